"""Build a classifier out of words: no training, only names."""

from collections.abc import Iterable

import numpy as np

from helpers._clip import CLIP
from helpers._validation import shown, strings
from helpers.encode import encode_texts
from helpers.similarity import normalize

PLACE = "{}"
PROMPT_TEMPLATES = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
"""The seven templates that OpenAI chose out of its eighty for ImageNet, word for word.

They do slightly better than the eighty. Source: openai/CLIP, notebooks/Prompt_Engineering_for_ImageNet.ipynb.
"""


def zero_shot_classifier(
    model: CLIP,
    class_names: Iterable[str],
    templates: Iterable[str] = PROMPT_TEMPLATES,
    progress: bool = True,
) -> np.ndarray:
    """Encode each class as one embedding, a prompt ensemble: the normalized average of its normalized prompts.

    Use the result like any text features: ``cosine_similarity(classifier, image_features).argmax(axis=0)``.
    It averages embeddings rather than probabilities, so that classifying an image with many templates costs no more
    than with one (Radford et al. 2021, section 3.1.4).

    Args:
        model: from `load` or `clip.load`.
        class_names: one name per class; a single string counts as a list of one.
        templates: texts with ``{}`` where the name goes; a single string counts as a list of one.
        progress: show a progress bar if the work takes longer than two seconds.

    Returns:
        ``(classes, d)`` float32, every row of length 1, in the order of the names.

    Raises:
        TypeError: a name or a template is not a string.
        ValueError: there is no name or no template, a template lacks ``{}``, or a prompt is too long.
    """
    class_names, templates = strings("class name", class_names), strings("template", templates)
    _check(class_names, templates)
    prompts = [template.replace(PLACE, name) for name in class_names for template in templates]
    features = normalize(encode_texts(model, prompts, progress=progress))
    return normalize(features.reshape(len(class_names), len(templates), -1).mean(axis=1))


def _check(class_names: list[str], templates: list[str]) -> None:
    if not class_names:
        raise ValueError("Expected at least one class name; got none.")
    if not templates:
        raise ValueError('Expected at least one template, such as "a photo of a {}."; got none.')
    for template in templates:
        if PLACE not in template:
            raise ValueError(f'Expected templates with "{{}}" where the class name goes; got {shown(template)}.')
