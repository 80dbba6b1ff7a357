"""The loss that taught CLIP: of each picture its own text, of each text its own picture."""

import torch
from torch.nn import functional


def contrastive_loss(
    image_features: torch.Tensor,
    text_features: torch.Tensor,
    logit_scale: float | torch.Tensor = 100.0,
    same: torch.Tensor | None = None,
) -> torch.Tensor:
    """Tell how badly the pairs of a batch find each other: CLIP's symmetric cross-entropy.

    Every text chooses among all pictures of the batch, and every picture among all texts, by softmax of
    ``logit_scale × cosine``. The loss is the mean of both cross-entropies (Radford et al. 2021, figure 3). Who guesses
    among ``n`` pairs has ln n. A pair alone has 0, and nothing to learn from.

    Args:
        image_features: ``(n, d)``, rows of any length but zero, row by row the partners of ``text_features``.
        text_features: ``(n, d)``.
        logit_scale: how sharply to choose, the factor itself: of a model, ``model.logit_scale.exp()``.
        same: ``(n, n)`` of bool, symmetric. Where ``same[i, j]``, text ``i`` also fits picture ``j``, as when two
            captions are equal, so one is no wrong answer to the other: neither counts among the other's candidates.

    Returns:
        A scalar that gradients flow through, at least 0; float32, or float64 for features in float64.

    Raises:
        ValueError: the features are not both ``(n, d)`` with at least one row, or ``same`` is not ``(n, n)`` of bool.
    """
    if image_features.ndim != 2 or image_features.shape != text_features.shape or not len(image_features):
        raise ValueError(
            f"image features are {tuple(image_features.shape)} and text features {tuple(text_features.shape)}: "
            "both must be (n, d), with one picture for each text"
        )
    wide = torch.promote_types(image_features.dtype, torch.float32)
    images, texts = (functional.normalize(rows.to(wide), dim=1) for rows in (image_features, text_features))
    logits = logit_scale * texts @ images.T  # (texts, images)
    if same is not None:
        logits = logits.masked_fill(others_that_fit(same, len(logits)), -torch.inf)
    partners = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, partners) + functional.cross_entropy(logits.T, partners)) / 2


def others_that_fit(same: torch.Tensor, n: int) -> torch.Tensor:
    """Clear the diagonal of ``same``: what is left is no candidate."""
    if same.shape != (n, n) or same.dtype != torch.bool:
        raise ValueError(f"same is {tuple(same.shape)} of {same.dtype}; it must be ({n}, {n}) of torch.bool")
    return same & ~torch.eye(n, dtype=torch.bool, device=same.device)
