"""Split texts into tokens, and refuse texts that CLIP would not read to the end."""

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
            raise ValueError(
                f"Expected texts of at most {LONGEST_TEXT:,} characters; text {i} has {len(text):,}. Shorten it."
            )
    try:
        tokens = clip.tokenize(texts, context_length=context_length, truncate=truncate)
    except RuntimeError as error:
        raise ValueError(_too_long(texts, context_length)) from error
    ended_twice = ((tokens == tokenizer.encoder[END_TOKEN]).sum(dim=1) > 1).nonzero()
    if len(ended_twice):
        i = int(ended_twice[0])
        raise ValueError(
            f"CLIP reads nothing after {END_TOKEN!r}; got {shown(texts[i])} as text {i}. Leave the token out."
        )
    return tokens


def _too_long(texts: list[str], context_length: int) -> str:
    """Name the first text that is too long, and show where it would be cut."""
    room = context_length - 2  # the start and the end token take two positions
    for i, text in enumerate(texts):
        tokens = tokenizer.encode(text)
        if len(tokens) > room:
            kept = tokenizer.decode(tokens[:room]).strip()
            return (
                f"Expected texts of at most {context_length} tokens; text {i} has {len(tokens) + 2} with its start and "
                f"end, and would be cut after «…{printable(kept[-40:])}». Shorten it, or pass truncate=True."
            )
    raise AssertionError("no text is too long")
