"""Cut texts into tokens, and refuse those that CLIP would not read to their end."""

import clip
import torch

from helpers._clip import tokenizer
from helpers._validation import printable, shown

END_TOKEN = "<|endoftext|>"
LONGEST_TEXT = 10_000  # characters; the tokenizer takes a second for a word of them, and far more for longer ones


def tokenize(texts: list[str], context_length: int, truncate: bool) -> torch.Tensor:
    """Tokenize all texts before any is encoded, so that a bad one costs no time: ``(n, context_length)``."""
    for i, text in enumerate(texts):
        if len(text) > LONGEST_TEXT:
            raise ValueError(f"text {i} has {len(text):,} characters; no more than {LONGEST_TEXT:,} are taken: cut it")
    try:
        tokens = clip.tokenize(texts, context_length=context_length, truncate=truncate)
    except RuntimeError as error:
        raise ValueError(_too_long(texts, context_length)) from error
    ended_twice = ((tokens == tokenizer.encoder[END_TOKEN]).sum(dim=1) > 1).nonzero()
    if len(ended_twice):
        i = int(ended_twice[0])
        raise ValueError(f"text {i} is {shown(texts[i])}; CLIP reads nothing behind {END_TOKEN!r}: leave it out")
    return tokens


def _too_long(texts: list[str], context_length: int) -> str:
    """Name the first text that is too long, and show where it would be cut."""
    room = context_length - 2  # the start and the end token take two places
    for i, text in enumerate(texts):
        tokens = tokenizer.encode(text)
        if len(tokens) > room:
            kept = tokenizer.decode(tokens[:room]).strip()
            return (
                f"text {i} has {len(tokens) + 2} tokens with its start and end, the model takes {context_length}: "
                f"it would be cut after «…{printable(kept[-40:])}»; shorten it, or pass truncate=True"
            )
    raise AssertionError("no text is too long")
