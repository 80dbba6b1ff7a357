"""CLIP's loss: each text chooses among the images of its batch, each image among the texts."""

import torch
from torch.nn import functional

from helpers._validation import shown


def contrastive_loss(
    image_features: torch.Tensor,
    text_features: torch.Tensor,
    logit_scale: float | torch.Tensor = 100.0,
    same: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return CLIP's symmetric cross-entropy for a batch of pairs.

    Every text chooses among all images of the batch, and every image among all texts, by softmax of
    ``logit_scale × cosine``. The loss is the mean of both cross-entropies (Radford et al. 2021, figure 3). A uniform
    guess among ``n`` pairs has a loss of ln n; a single pair always has a loss of 0, so it teaches nothing.

    Args:
        image_features: ``(n, d)``, of any length but zero; row ``i`` belongs to row ``i`` of ``text_features``.
        text_features: ``(n, d)``.
        logit_scale: the factor itself, not its logarithm; for a model, ``model.logit_scale.exp()``.
        same: ``(n, n)``, bool, symmetric. Where ``same[i, j]``, text ``i`` also fits image ``j``, for instance because
            two captions are equal. Such a pair is a false negative, so neither is a candidate for the other.

    Returns:
        A differentiable scalar, at least 0, in float32, or in float64 for features in float64.

    Raises:
        TypeError: the features are not tensors.
        ValueError: the features are not both ``(n, d)`` with n ≥ 1, or ``same`` is not ``(n, n)`` of bool.
    """
    for name, features in (("image_features", image_features), ("text_features", text_features)):
        if not isinstance(features, torch.Tensor):
            raise TypeError(f"Expected {name} as a tensor; got {shown(features)}. Wrap an array in torch.tensor.")
    if image_features.ndim != 2 or image_features.shape != text_features.shape or not len(image_features):
        raise ValueError(
            "Expected image_features and text_features of the same shape (n, d); got "
            f"{tuple(image_features.shape)} and {tuple(text_features.shape)}. Pass one text for each image."
        )
    dtype = torch.promote_types(image_features.dtype, torch.float32)
    images, texts = (functional.normalize(rows.to(dtype), dim=1) for rows in (image_features, text_features))
    logits = logit_scale * texts @ images.T  # (texts, images)
    if same is not None:
        n = len(logits)
        if same.shape != (n, n) or same.dtype != torch.bool:
            raise ValueError(f"Expected same as ({n}, {n}) of torch.bool; got {tuple(same.shape)} of {same.dtype}.")
        own = torch.eye(n, dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(same & ~own, -torch.inf)
    partners = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, partners) + functional.cross_entropy(logits.T, partners)) / 2
