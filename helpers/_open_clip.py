"""A model of open_clip with the calls of clip's own, so that all of `helpers` takes it."""

from typing import Any

import torch
from torch import nn


class OpenClip(nn.Module):
    """A model of open_clip, its tokenizer, and what `helpers` asks of a CLIP model.

    Attributes:
        model: open_clip's own model.
        tokenizer: open_clip's own tokenizer.
        name: the name that it was loaded by.
        embedding_size: ``d``.
        context_length: positions of a text.
        dtype: the type of the weights in matrix products.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str, embedding_size: int, dtype: torch.dtype) -> None:
        """Wrap a model and its tokenizer."""
        super().__init__()
        self.model: Any
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self.embedding_size, self.context_length, self.dtype = embedding_size, tokenizer.context_length, dtype

    @property
    def visual(self) -> nn.Module:
        """The image encoder."""
        return self.model.visual

    @property
    def logit_scale(self) -> nn.Parameter:
        """Logarithm of the factor that turns a cosine into a logit."""
        return self.model.logit_scale

    @property
    def logit_bias(self) -> nn.Parameter | None:
        """Bias of the logits, of a model trained with the sigmoid loss such as SigLIP; None for any other."""
        return self.model.logit_bias

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode preprocessed images: ``(n, d)``, not normalized."""
        return self.model.encode_image(pixels.to(self.dtype), normalize=False)

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        """Encode tokens: ``(n, d)``, not normalized. A causal text encoder also takes them without padding."""
        length = tokens.shape[1]
        if length == self.context_length:
            return self.model.encode_text(tokens, normalize=False)
        tower = self._causal_tower()
        x = tower.token_embedding(tokens).to(self.dtype) + tower.positional_embedding[:length].to(self.dtype)
        x = tower.ln_final(tower.transformer(x, attn_mask=tower.attn_mask[:length, :length]))
        x = x[torch.arange(len(x), device=x.device), tokens.argmax(dim=1)]
        project = tower.text_projection
        return project(x) if isinstance(project, nn.Linear) else x if project is None else x @ project

    @property
    def is_causal(self) -> bool:
        """Whether the tokens of a text see only earlier ones, and the embedding is read at the end token."""
        return self._causal_tower() is not None

    def tokens_of(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the tokens of texts, ``(n, context_length)``, and which texts were truncated, ``(n,)``.

        No tokenizer of open_clip reports it, but then one more position changes the tokens before it.
        """
        length = self.context_length
        if not texts:
            return torch.zeros(0, length, dtype=torch.long), torch.zeros(0, dtype=torch.bool)
        tokens, longer = (self.tokenizer(texts, context_length=most) for most in (length, length + 1))
        same = length - (getattr(self.tokenizer, "tokenizer_mode", "") == "clips")  # which puts a class token last
        return tokens, (tokens[:, :same] != longer[:, :same]).any(dim=1)

    def _causal_tower(self) -> Any:
        """Return the module that holds the text encoder if its tokens see only earlier ones, up to the end token."""
        tower = getattr(self.model, "text", self.model)
        pool = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None))
        is_causal = isinstance(getattr(tower, "attn_mask", None), torch.Tensor)
        return tower if pool == "argmax" and is_causal and getattr(tower, "cls_emb", None) is None else None
