"""The arithmetic of the comparison, against slow and obvious references."""

import math

import numpy as np
import pytest
import torch

import helpers

RANDOM = np.random.default_rng(0)
TEXTS = RANDOM.normal(size=(5, 8))
IMAGES = RANDOM.normal(size=(7, 8)) * 100


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def test_normalize_gives_rows_of_length_one_in_the_same_direction():
    unit = helpers.normalize(IMAGES)
    assert unit.dtype == np.float32
    for row, original in zip(unit, IMAGES, strict=True):
        assert math.isclose(math.sqrt(sum(float(x) ** 2 for x in row)), 1, abs_tol=1e-6)
        assert math.isclose(cosine(row, original), 1, abs_tol=1e-6)


def test_normalize_never_works_in_place_and_may_be_repeated():
    features = IMAGES.astype(np.float32)
    before = features.copy()
    once = helpers.normalize(features)
    assert np.array_equal(features, before)
    assert np.allclose(helpers.normalize(once), once, atol=1e-6)


def test_normalize_takes_a_single_row():
    assert np.allclose(helpers.normalize(IMAGES[2]), helpers.normalize(IMAGES)[2])


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_normalize_names_the_row_without_direction(value):
    features = np.ones((3, 4))
    features[1] = value
    with pytest.raises(ValueError, match="direction; row 1 has length"):
        helpers.normalize(features)


def test_similarity_has_texts_as_rows_and_images_as_columns():
    similarity = helpers.cosine_similarity(TEXTS, IMAGES)
    assert similarity.shape == (5, 7)
    assert similarity.dtype == np.float32
    for i, text in enumerate(TEXTS):
        for j, image in enumerate(IMAGES):
            assert math.isclose(similarity[i, j], cosine(text, image), abs_tol=1e-6)


def test_similarity_never_leaves_its_range():
    same = RANDOM.normal(size=(200, 512))
    similarity = helpers.cosine_similarity(same, same)
    assert similarity.max() <= 1
    assert np.allclose(similarity.diagonal(), 1, atol=1e-6)


def test_similarity_refuses_features_of_two_models():
    with pytest.raises(ValueError, match="size; got 8 and 6. Encode both with the same model"):
        helpers.cosine_similarity(TEXTS, IMAGES[:, :6])


@pytest.mark.parametrize("axis", [0, 1])
def test_probabilities_are_the_softmax_of_the_scaled_similarity(axis):
    similarity = helpers.cosine_similarity(TEXTS, IMAGES)
    expected = torch.softmax(torch.from_numpy(similarity) * 100, dim=axis).numpy()
    found = helpers.probabilities(similarity, axis=axis)
    assert np.allclose(found, expected, atol=1e-6)
    assert np.allclose(found.sum(axis=axis), 1, atol=1e-5)


def test_probabilities_choose_among_texts_unless_told_otherwise():
    assert np.allclose(helpers.probabilities(np.zeros((4, 2))), 1 / 4)


@pytest.mark.parametrize("bias", [None, 0.0])
def test_probabilities_survive_huge_logits(bias):
    found = helpers.probabilities(np.array([[1.0], [-1.0]]), logit_scale=1e5, logit_bias=bias)
    assert np.allclose(found.ravel(), [1, 0])


def test_probabilities_with_a_bias_judge_each_pair_by_itself():
    similarity = helpers.cosine_similarity(TEXTS, IMAGES)
    expected = torch.sigmoid(torch.from_numpy(similarity) * 50 - 10).numpy()
    assert np.allclose(helpers.probabilities(similarity, 50, logit_bias=-10), expected, atol=1e-6)


def test_top_k_gives_the_best_first():
    similarity = helpers.cosine_similarity(TEXTS, IMAGES)
    scores, indices = helpers.top_k(similarity, 3)
    assert indices.shape == scores.shape == (5, 3)
    for row, found, values in zip(similarity, indices, scores, strict=True):
        expected = sorted(range(7), key=lambda j: -row[j])[:3]
        assert found.tolist() == expected
        assert values.tolist() == [row[j] for j in expected]


def test_top_k_of_equal_scores_takes_the_lower_index():
    _, indices = helpers.top_k(np.tile([0.5, 0.9], 50)[None], 100)
    assert indices.tolist() == [[*range(1, 100, 2), *range(0, 100, 2)]]


@pytest.mark.parametrize("k", [0, 8])
def test_top_k_says_what_k_may_be(k):
    with pytest.raises(ValueError, match=f"Expected k to be (between 1 and 7|at least 1); got {k}"):
        helpers.top_k(helpers.cosine_similarity(TEXTS, IMAGES), k)


LAYOUTS = {
    "as it is": lambda array: array,
    "column by column": np.asfortranarray,
    "every second": lambda array: np.repeat(np.repeat(array, 2, axis=0), 2, axis=1)[::2, ::2],
    "backwards": lambda array: np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1],
    "a list": lambda array: array.tolist(),
    "a tensor": lambda array: torch.tensor(array.tolist(), dtype=torch.float64),
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
}
KINDS = "bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float16 float32 float64 longdouble".split()
VALUES = [0, 1, -1, 5e-23, 1e-30, 1e30, -1e38, 127, -128, 255, 32767, 65535, 2**31, 2**53]


def odd_arrays():
    """Every kind of number in every layout and many shapes, of random and of extreme values: a seeded thousand."""
    random = np.random.default_rng(0)
    for name in KINDS:
        for layout, lay in LAYOUTS.items():
            for shape in ((1, 1), (1, 5), (5, 1), (3, 4), (17, 9)):
                for extreme in (False, True):
                    values = random.choice(VALUES, shape) if extreme else random.normal(size=shape) * 100
                    with np.errstate(all="ignore"):
                        yield f"{name}, {layout}, {shape}, {extreme}", lay(values.astype(name))


def test_odd_kinds_layouts_and_values_give_what_the_slow_way_gives():
    for tried, (case, given) in enumerate(odd_arrays()):
        plain = np.asarray(given, dtype=np.float64)
        k = 1 + tried % plain.shape[1]
        if np.isfinite(plain).all():
            for result, row in zip(helpers.top_k(given, k)[1], np.asarray(given).tolist(), strict=True):
                assert result.tolist() == sorted(range(len(row)), key=lambda j, row=row: (-row[j], j))[:k], case
            assert np.allclose(helpers.probabilities(given, 0.01).sum(axis=0), 1, atol=1e-5), case
        else:
            for call in (helpers.top_k, helpers.probabilities):
                with pytest.raises(ValueError, match=r"similarity to be finite; got -?(inf|nan) at \(\d+, \d+\)"):
                    call(given, 1)
        lengths = np.sqrt((plain**2).sum(axis=1, keepdims=True))
        if np.isfinite(plain).all() and ((lengths > 1e-37) & (lengths < 3e38)).all():
            units = helpers.normalize(given)
            assert units.dtype == np.float32
            assert np.allclose(units, plain / lengths, atol=1e-6), case
            assert np.allclose(helpers.cosine_similarity(given, given), units @ units.T, atol=1e-5), case
        else:
            with pytest.raises(ValueError, match=r"direction; row \d+ has length"):
                helpers.normalize(given)
