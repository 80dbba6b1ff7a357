"""The loss that taught CLIP: of each image its own text, of each text its own image."""

from collections.abc import Callable

import torch
from torch.nn import functional

from helpers._clip import CLIP
from helpers._validation import shown
from helpers.forward import image_features, text_features


def contrastive_loss(
    image_features: torch.Tensor,
    text_features: torch.Tensor,
    logit_scale: float | torch.Tensor = 100.0,
    same: torch.Tensor | None = None,
) -> torch.Tensor:
    """Tell how badly the pairs of a batch find each other: CLIP's symmetric cross-entropy.

    Every text chooses among all images of the batch, and every image among all texts, by softmax of
    ``logit_scale × cosine``. The loss is the mean of both cross-entropies (Radford et al. 2021, figure 3). Who guesses
    among ``n`` pairs has ln n. A pair alone has 0, and nothing to learn from.

    Args:
        image_features: ``(n, d)``, rows of any length but zero, row by row the partners of ``text_features``.
        text_features: ``(n, d)``.
        logit_scale: how sharply to choose, the factor itself: of a model, ``model.logit_scale.exp()``.
        same: ``(n, n)`` of bool, symmetric. Where ``same[i, j]``, text ``i`` also fits image ``j``, as when two
            captions are equal, so one is no wrong answer to the other: neither counts among the other's candidates.

    Returns:
        A scalar that gradients flow through, at least 0; float32, or float64 for features in float64.

    Raises:
        TypeError: the features are no tensors.
        ValueError: the features are not both ``(n, d)`` with at least one row, or ``same`` is not ``(n, n)`` of bool.
    """
    for rows in (image_features, text_features):
        if not isinstance(rows, torch.Tensor):
            raise TypeError(f"features are {shown(rows)}, a {type(rows).__name__}; they must be tensors, for gradients")
    if image_features.ndim != 2 or image_features.shape != text_features.shape or not len(image_features):
        raise ValueError(
            f"image features are {tuple(image_features.shape)} and text features {tuple(text_features.shape)}: "
            "both must be (n, d), with one image for each text"
        )
    wide = torch.promote_types(image_features.dtype, torch.float32)
    images, texts = (functional.normalize(rows.to(wide), dim=1) for rows in (image_features, text_features))
    logits = logit_scale * texts @ images.T  # (texts, images)
    if same is not None:
        logits = logits.masked_fill(others_that_fit(same, len(logits)), -torch.inf)
    partners = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, partners) + functional.cross_entropy(logits.T, partners)) / 2


def add_gradients(
    model: CLIP,
    pixels: list[torch.Tensor],
    tokens: torch.Tensor,
    text_of: torch.Tensor,
    same: torch.Tensor,
    piece_size: int,
    scaler: torch.amp.GradScaler,
) -> float:
    """Add to each parameter's gradient that of a batch's loss, with the memory of a piece of the batch.

    A pair's loss depends on all pairs of its batch, so a mean over pieces would be another loss. Here all features are
    computed first, without gradients; the loss then has a gradient for each feature; with these, each piece is computed
    once more and sent backward (GradCache, Gao et al. 2021, arXiv 2101.06983). This needs a model that gives an image
    the same features in any company: batch normalization must be in eval mode.

    Args:
        model: in float32; on CUDA its products are computed in float16.
        pixels: ``n`` preprocessed images.
        tokens: ``(m, length)`` of the different texts.
        text_of: ``(n,)``, which text each image goes with.
        same: as in `contrastive_loss`.
        piece_size: how many images or texts go through the model at once.
        scaler: of the loss, for float16; one that is not enabled does nothing.

    Returns:
        The loss.
    """
    device = model.logit_scale.device
    pieces: list[tuple[Callable, tuple[torch.Tensor, ...]]]
    pieces = [(image_features, tuple(pixels[i : i + piece_size])) for i in range(0, len(pixels), piece_size)]
    image_pieces = len(pieces)
    pieces += [(text_features, tuple(rows)) for rows in tokens.split(piece_size)]
    whole = len(pieces) == 2

    def encode(tower: Callable, piece: tuple[torch.Tensor, ...]) -> torch.Tensor:
        with torch.autocast("cuda", torch.float16, enabled=device.type == "cuda"):
            return tower(model, torch.stack(piece).to(device))

    with torch.set_grad_enabled(whole):
        features = [encode(*piece) for piece in pieces]
    if not whole:
        features = [rows.float().requires_grad_() for rows in features]
    images, texts = torch.cat(features[:image_pieces]), torch.cat(features[image_pieces:])
    loss = contrastive_loss(images, texts[text_of.to(device)], model.logit_scale.exp(), same.to(device))
    scaler.scale(loss).backward()
    if not whole:
        for piece, rows in zip(pieces, features, strict=True):
            again = encode(*piece)
            if again.requires_grad:  # not where this side is frozen
                again.float().backward(rows.grad)
    return loss.item()


def others_that_fit(same: torch.Tensor, n: int) -> torch.Tensor:
    """Clear the diagonal of ``same``: what is left is no candidate."""
    if same.shape != (n, n) or same.dtype != torch.bool:
        raise ValueError(f"same is {tuple(same.shape)} of {same.dtype}; it must be ({n}, {n}) of torch.bool")
    return same & ~torch.eye(n, dtype=torch.bool, device=same.device)
