"""Split texts into tokens, and refuse texts that CLIP would not read to the end."""

import clip
import torch

from helpers._clip import CLIP, tokenizer
from helpers._open_clip import OpenClip
from helpers._validation import printable, shown

LONGEST_TEXT = 10_000  # characters; the tokenizer takes a second for a word of them, and far more for longer ones


def tokenize(model: CLIP | OpenClip, texts: list[str], truncate: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokenize all texts before any is encoded, so that a bad one costs no time.

    Returns:
        ``(tokens, lengths)``: ``(n, context_length)``, and ``(n,)``, the number of tokens of each text that its
        embedding depends on: up to the end token where the text encoder is causal, else all.
    """
    for i, text in enumerate(texts):
        if len(text) > LONGEST_TEXT:
            raise ValueError(
                f"Expected texts of at most {LONGEST_TEXT:,} characters; text {i} has {len(text):,}. Shorten it."
            )
    if isinstance(model, OpenClip):
        tokens, cut = model.tokens_of(texts)
        if not truncate and cut.any():
            i = int(cut.nonzero()[0])
            raise ValueError(
                f"Expected texts of at most {model.context_length} tokens; text {i} has more: {shown(texts[i])}. "
                "Shorten it, or pass truncate=True."
            )
        if not model.is_causal:
            return tokens, torch.full((len(texts),), model.context_length)
    else:
        try:
            tokens = clip.tokenize(texts, context_length=model.context_length, truncate=truncate)
        except RuntimeError as error:
            raise ValueError(_too_long(texts, model.context_length)) from error
    end = tokens.amax(dim=1, keepdim=True)  # the end token has the largest number
    ended_twice = ((tokens == end).sum(dim=1) > 1).nonzero()
    if len(ended_twice):
        i = int(ended_twice[0])
        raise ValueError(
            f"CLIP reads nothing after its end token; got {shown(texts[i])} as text {i}. Leave the token out."
        )
    return tokens, tokens.argmax(dim=1) + 1


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
