"""A classifier made of words, against a slow and obvious reference."""

import math

import clip
import numpy as np
import pytest
import torch

import helpers

NAMES = ["cat", "alarm clock", "cup"]
TEMPLATES = ["a photo of a {}.", "{}, small {}", "art of the {}."]


def by_plain_clip(model, name, templates):
    """One class, one prompt at a time, with the calls of the official repository only."""
    rows = []
    for template in templates:
        with torch.no_grad():
            row = model.encode_text(clip.tokenize([name.join(template.split("{}"))]))[0].double().tolist()
        length = math.sqrt(sum(x * x for x in row))
        rows.append([x / length for x in row])
    mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    length = math.sqrt(sum(x * x for x in mean))
    return [x / length for x in mean]


def test_each_class_is_the_normalized_mean_of_its_normalized_prompts(random_vit):
    found = helpers.zero_shot_classifier(random_vit, NAMES, TEMPLATES)
    assert found.shape == (3, 64)
    assert found.dtype == np.float32
    for row, name in zip(found, NAMES, strict=True):
        assert np.allclose(row, by_plain_clip(random_vit, name, TEMPLATES), atol=1e-5)


def test_rows_have_length_one(random_vit):
    found = helpers.zero_shot_classifier(random_vit, NAMES, TEMPLATES)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_one_template_is_the_text_itself(random_vit):
    found = helpers.zero_shot_classifier(random_vit, iter(NAMES), ["a {}"])
    texts = helpers.normalize(helpers.encode_texts(random_vit, [f"a {name}" for name in NAMES]))
    assert np.allclose(found, texts, atol=1e-6)


def test_a_single_string_is_a_list_of_one(random_vit):
    found = helpers.zero_shot_classifier(random_vit, "cat", "a {}")
    assert np.array_equal(found, helpers.zero_shot_classifier(random_vit, ["cat"], ["a {}"]))


def test_without_templates_the_seven_of_openai_are_used(random_vit):
    assert len(helpers.PROMPT_TEMPLATES) == 7
    found = helpers.zero_shot_classifier(random_vit, ["cat"])
    assert np.allclose(found[0], by_plain_clip(random_vit, "cat", helpers.PROMPT_TEMPLATES), atol=1e-5)


def test_a_name_with_braces_is_taken_as_it_stands(random_vit):
    found = helpers.zero_shot_classifier(random_vit, ["{0} {x}"], ["a {}"])
    assert np.allclose(found[0], by_plain_clip(random_vit, "{0} {x}", ["a {}"]), atol=1e-5)


@pytest.mark.parametrize(
    ("names", "templates", "message"),
    [
        ([], TEMPLATES, "Expected at least one class name; got none"),
        (NAMES, [], "Expected at least one template"),
        (NAMES, ["a {}", "a photo"], r"templates with \"\{\}\" where the class name goes; got 'a photo'"),
        (["cat", "very " * 80], TEMPLATES, "at most 77 tokens; text 3 has .* cut after «"),
    ],
)
def test_bad_names_and_templates_are_told(random_vit, names, templates, message):
    with pytest.raises(ValueError, match=message):
        helpers.zero_shot_classifier(random_vit, names, templates)


def test_a_name_that_is_not_a_string_is_told(random_vit):
    with pytest.raises(TypeError, match=r"Expected class name 1 to be a string; got int \(7\)"):
        helpers.zero_shot_classifier(random_vit, ["cat", 7], TEMPLATES)
