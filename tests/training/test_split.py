"""Which pictures validate: some of each class, the same ones everywhere, and no copies of those that train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chipfit.errors import ChipfitError
from chipfit.quantize import Preprocessing
from chipfit.training import Copies, PictureSet, class_weights, split_pictures


def pictures(
    labels: list[int], digests: list[str] | None = None, in_validation: list[bool] | None = None
) -> PictureSet:
    """Without pixels: a split does not look at them."""
    count = len(labels)
    return PictureSet(
        Path("data"),
        np.zeros((count, 1, 1, 1), np.uint8),
        np.array(labels, np.int64),
        tuple(f"class{i}" for i in range(max(labels) + 1)),
        tuple(f"{i}.png" for i in range(count)),
        tuple(digests or map(str, range(count))),
        None if in_validation is None else np.array(in_validation),
        Preprocessing(),
    )


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 1000),
)
def test_each_class_is_on_both_sides(counts: list[int], fraction: float, seed: int) -> None:
    labels = [i for i, n in enumerate(counts) for _ in range(n)]
    data = pictures(labels)
    split = split_pictures(data, fraction, seed)
    assert sorted([*split.train, *split.validation]) == list(range(len(labels)))
    assert (split.train.dtype, split.validation.dtype) == (np.int64, np.int64)
    assert (np.diff(split.train) > 0).all()
    for count, validating in zip(counts, data.counts(split.validation), strict=True):
        assert validating == min(max(1, round(fraction * count)), count - 1)


def test_a_split_depends_on_seed_and_bytes_alone() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60).tolist()
    digests = [f"d{i}" for i in range(60)]
    order = rng.permutation(60)

    def validating(data: PictureSet, seed: int) -> set[str]:
        return {data.digests[i] for i in split_pictures(data, 0.3, seed).validation}

    data = pictures(labels, digests)
    other = pictures([labels[i] for i in order], [digests[i] for i in order])
    assert validating(data, 0) == validating(other, 0) == validating(data, 0)
    assert validating(data, 0) != validating(data, 1)
    assert split_pictures(data, 0.3, 7).how == "30 % of each class, seed 7"


def test_a_picture_more_moves_few_others() -> None:
    """Adding pictures does not mix those that have been learned from with those that judge."""
    before = pictures([0] * 50 + [1] * 50)
    after = pictures([0] * 50 + [1] * 51)
    a, b = (set(split_pictures(p, 0.2).validation.tolist()) for p in (before, after))
    assert len(a ^ b) <= 2


def test_copies_stay_on_one_side() -> None:
    digests = [f"{i // 3}" for i in range(60)]
    for seed in range(5):
        split = split_pictures(pictures([0] * 30 + [1] * 30, digests), 0.25, seed)
        assert split.copies == Copies()
        assert len(split.validation) == 18  # 8 of each class, and the rest of the third group
    only_copies = split_pictures(pictures([0, 0, 0, 1, 1], ["x", "x", "x", "y", "z"]), 0.3)
    assert len(only_copies.validation) == 2
    assert len(only_copies.copies.across) == 1


def test_copies_in_given_folders_are_named() -> None:
    data = pictures([0, 0, 1, 0, 1, 1], ["a", "b", "c", "a", "c", "b"], [False, False, False, True, True, True])
    split = split_pictures(data)
    assert (split.how, split.train.tolist(), split.validation.tolist()) == ("by folder", [0, 1, 2], [3, 4, 5])
    assert split.copies.across == (("0.png", "3.png"), ("1.png", "5.png"), ("2.png", "4.png"))
    assert split.copies.in_two_classes == (("1.png", "5.png"),)
    assert split.to_json(data) == {
        "how": "by folder",
        "train": ["0.png", "1.png", "2.png"],
        "validation": ["3.png", "4.png", "5.png"],
    }


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, float("nan")])
def test_wrong_fractions(fraction: float) -> None:
    with pytest.raises(ChipfitError, match="a fraction of") as error:
        split_pictures(pictures([0, 1]), fraction)
    assert error.value.code == "U001"


def test_class_weights() -> None:
    """Each class has the same sum of weights, and the mean over all pictures is 1."""
    labels = np.array([0] * 30 + [1] * 10 + [2] * 20)
    weights = class_weights(labels, 3)
    np.testing.assert_allclose(weights, [60 / 90, 2.0, 1.0])
    np.testing.assert_allclose(weights * np.bincount(labels), 20)
    np.testing.assert_allclose(class_weights(np.array([0, 0, 2]), 3), [0.5, 0.0, 1.0])
