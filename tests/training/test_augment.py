"""Augmentation: what each setting does, that the seed decides alone, and what texts are understood."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.quantize import Preprocessing
from chipfit.training import STRENGTHS, Augmentation, PictureSet, batches, parse_augmentation

pytest.importorskip("PIL.Image", reason="pictures are moved with Pillow")


def pixels(count: int = 16, height: int = 24, width: int = 32, channels: int = 3) -> Array:
    return np.random.default_rng(5).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def applied(augmentation: Augmentation, x: Array, seed: int = 0) -> Array:
    before = x.copy()
    y = augmentation.apply(x, np.random.default_rng(seed))
    np.testing.assert_array_equal(x, before)
    assert (y.shape, y.dtype) == (x.shape, np.uint8)
    return y


@pytest.mark.parametrize("strength", ["light", "strong"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_seed_decides(strength: str, channels: int) -> None:
    x = pixels(channels=channels)
    y = applied(STRENGTHS[strength], x)
    np.testing.assert_array_equal(y, applied(STRENGTHS[strength], x))
    assert (y != applied(STRENGTHS[strength], x, 1)).mean() > 0.5
    assert all((a != b).mean() > 0.3 for a, b in zip(x, y, strict=True))


def test_none_does_nothing() -> None:
    x = pixels()
    np.testing.assert_array_equal(applied(STRENGTHS["none"], x), x)


@pytest.mark.parametrize(("setting", "axis"), [("flip", 1), ("flip_vertical", 0)])
def test_flips(setting: str, axis: int) -> None:
    x = pixels(200)
    y = applied(Augmentation(**{setting: True}), x)
    same = [bool((a == b).all()) for a, b in zip(x, y, strict=True)]
    turned = [bool((np.flip(a, axis) == b).all()) for a, b in zip(x, y, strict=True)]
    assert all(a != b for a, b in zip(same, turned, strict=True))
    assert 70 < sum(turned) < 130


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(shift=0.5),
        Augmentation(zoom=0.5),
        Augmentation(rotation=180),
        Augmentation(False, False, 0.5, 0.5, 180),
    ],
)
@pytest.mark.parametrize("shape", [(24, 32, 3), (32, 24, 1)])
def test_nothing_comes_from_outside_of_the_picture(augmentation: Augmentation, shape: tuple[int, int, int]) -> None:
    """However far it moves, what fills the edges is the picture, and no black."""
    x = np.full((64, *shape), 200, np.uint8)
    np.testing.assert_array_equal(applied(augmentation, x), x)


def spot(y: float, x: float, size: int = 64) -> Array:
    """A soft white spot on black: (1, size, size, 1)."""
    rows, columns = np.mgrid[0:size, 0:size] + 0.5
    return np.rint(255 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 18)).astype(np.uint8)[None, ..., None]


def centre(x: Array) -> Array:
    """Row and column of a spot's centre of mass, for each picture."""
    weight = x[..., 0].astype(float)
    rows, columns = np.mgrid[0 : x.shape[1], 0 : x.shape[2]] + 0.5
    total = weight.sum(axis=(1, 2))
    return np.stack([(weight * rows).sum(axis=(1, 2)) / total, (weight * columns).sum(axis=(1, 2)) / total], axis=1)


def test_shift_moves_by_up_to_its_part() -> None:
    moved = centre(applied(Augmentation(shift=0.25), spot(32, 32).repeat(300, 0))) - 32
    for axis in (0, 1):
        assert 14.5 < moved[:, axis].max() <= 16.1
        assert -16.1 <= moved[:, axis].min() < -14.5
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.2


def test_rotation_turns_about_the_middle_by_up_to_its_degrees() -> None:
    moved = centre(applied(Augmentation(rotation=30), spot(32, 48).repeat(300, 0))) - 32
    np.testing.assert_allclose(np.hypot(*moved.T), 16, atol=0.15)
    angles = np.degrees(np.arctan2(moved[:, 0], moved[:, 1]))
    assert 28 < angles.max() <= 30.3
    assert -30.3 <= angles.min() < -28
    np.testing.assert_allclose(centre(applied(Augmentation(rotation=180), spot(32, 32).repeat(9, 0))), 32, atol=0.1)


def test_zoom_keeps_the_middle() -> None:
    moved = centre(applied(Augmentation(zoom=0.3), spot(32, 40).repeat(300, 0))) - 32
    np.testing.assert_allclose(moved[:, 0], 0, atol=0.1)
    factors = moved[:, 1] / 8
    assert 1.27 < factors.max() < 1.32
    assert 0.68 < factors.min() < 0.73


def grey_patches() -> Array:
    """300 pictures, half 60 and half 140, of mean 100."""
    x = np.full((300, 8, 8, 3), 60, np.uint8)
    x[:, 4:] = 140
    return x


def test_brightness_is_a_factor() -> None:
    y = applied(Augmentation(brightness=0.5), grey_patches())
    dark, light = y[:, 0, 0, 0], y[:, 7, 0, 0]
    np.testing.assert_allclose(light / 140, dark / 60, atol=0.02)
    assert 200 < light.max() <= 210
    assert 70 <= light.min() < 76


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_are_rounded(channels: int) -> None:
    x = pixels(channels=channels)
    factors = np.random.default_rng(0).uniform(0.5, 1.5, len(x))  # the generator's first numbers
    expected = np.minimum(np.rint(x * factors[:, None, None, None]), 255)
    difference = applied(Augmentation(brightness=0.5), x) - expected
    assert (difference != 0).mean() < 0.001
    assert abs(difference).max() <= 1


def test_contrast_keeps_the_mean() -> None:
    y = applied(Augmentation(contrast=0.5), grey_patches()).astype(int)
    np.testing.assert_allclose(y.mean(axis=(1, 2, 3)), 100, atol=0.5)
    spread = y[:, 7, 0, 0] - y[:, 0, 0, 0]
    assert 116 < spread.max() <= 120
    assert 40 <= spread.min() < 44


def test_saturation_keeps_the_grey() -> None:
    x = np.full((300, 4, 4, 3), (200, 100, 50), np.uint8)
    luma = np.array([0.299, 0.587, 0.114])
    y = applied(Augmentation(saturation=1.0), x).astype(float)
    whole = y[(y.min(axis=(1, 2, 3)) > 0)]  # the strongest are cut off at black
    np.testing.assert_allclose(whole @ luma, x[0, 0, 0] @ luma, atol=1)
    differences = whole[:, 0, 0, 0] - whole[:, 0, 0, 2]
    assert differences.min() < 10
    assert differences.max() > 200
    grey = pixels(channels=1)
    np.testing.assert_array_equal(applied(Augmentation(saturation=1.0), grey), grey)


def test_too_much_is_cut_off() -> None:
    x = np.array([0, 255], np.uint8).reshape(1, 2, 1, 1).repeat(100, 0)
    y = applied(Augmentation(brightness=1.0, contrast=1.0), x)
    assert y.max() == 255
    assert (y[:, 0] <= y[:, 1]).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", Augmentation()),
        ("strong", STRENGTHS["strong"]),
        ("none,rotation=10", Augmentation(rotation=10)),
        ("rotation=10, flip=yes", Augmentation(flip=True, rotation=10)),
        ("light,flip=no,flip-vertical=yes,shift=0", Augmentation(False, True, 0.0, 0.1, 5.0, 0.1, 0.1, 0.1)),
    ],
)
def test_texts(text: str, expected: Augmentation) -> None:
    assert parse_augmentation(text) == expected
    assert Augmentation.from_json(expected.to_json()) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("heavy", "'heavy' is unknown"),
        ("", "'' is unknown"),
        ("light,blur=2", "'blur=2' is unknown"),
        ("light,rotation", "rotation takes a number"),
        ("light,flip=1", "flip takes yes or no"),
        ("light,shift=0.6", "shift 0.6"),
        ("zoom=nan", "zoom nan"),
        ("rotation=-1", "rotation -1"),
    ],
)
def test_wrong_texts(text: str, message: str) -> None:
    with pytest.raises(ChipfitError, match=message) as error:
        parse_augmentation(text)
    assert error.value.code == "U001"
    assert error.value.hint


def a_set(x: Array) -> PictureSet:
    names = tuple(map(str, range(len(x))))
    return PictureSet(Path(), x, np.arange(len(x)), names, names, names, None, Preprocessing())


def test_batches_in_order() -> None:
    data = a_set(pixels(10))
    found = list(batches(data, np.array([1, 3, 4, 8, 9]), 2, STRENGTHS["strong"]))
    assert [labels.tolist() for _, labels in found] == [[1, 3], [4, 8], [9]]
    np.testing.assert_array_equal(np.concatenate([x for x, _ in found]), data.pixels[[1, 3, 4, 8, 9]])


def test_batches_are_shuffled_and_augmented_by_the_generator() -> None:
    data = a_set(pixels(50))
    indices = np.arange(5, 45)

    def epoch(number: int) -> tuple[list[int], Array]:
        found = list(batches(data, indices, 7, STRENGTHS["light"], np.random.default_rng([3, number])))
        return [int(i) for _, labels in found for i in labels], np.concatenate([x for x, _ in found])

    order, x = epoch(0)
    assert sorted(order) == indices.tolist() != order
    again, y = epoch(0)
    assert order == again
    np.testing.assert_array_equal(x, y)
    other, _ = epoch(1)
    assert order != other


def test_it_is_quick() -> None:
    """Training on 6000 pictures has no time for more than 1 ms a picture; this counts the processor's time."""
    x = pixels(128, 64, 64)
    start = time.process_time()
    applied(STRENGTHS["strong"], x)
    assert time.process_time() - start < 128 * 0.002
