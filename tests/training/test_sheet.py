"""The sheet of pictures: what is on it, pixel by pixel, and how it is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.training import STRENGTHS, Augmentation, draw_sheet, read_pictures, split_pictures
from training.photos import image_module, write_classes

pytest.importorskip("matplotlib")


def sheet(tmp_path: Path, counts: dict[str, int], augmentation: Augmentation, side: int = 32) -> Array:
    pictures = read_pictures(write_classes(tmp_path / "data", counts), (side, side, 3), cache=False)
    path = draw_sheet(pictures, split_pictures(pictures), tmp_path / "sheet.png", augmentation)
    with image_module.open(path) as file:
        return np.asarray(file.convert("RGB"))


def places(drawn: Array, pixels: Array) -> int:
    """How often a picture is on the sheet."""
    windows = np.lib.stride_tricks.sliding_window_view(drawn[..., 0], pixels.shape[:1] * 2)
    corners = np.argwhere((windows[:, :, 0, 0] == pixels[0, 0, 0]) & (windows[:, :, -1, -1] == pixels[-1, -1, 0]))
    return sum(bool((drawn[y : y + len(pixels), x : x + len(pixels)] == pixels).all()) for y, x in corners)


def test_pictures_are_on_it_as_they_are(tmp_path: Path) -> None:
    """Each training picture three times as large; augmentation gives a second block."""
    drawn = sheet(tmp_path, {"one": 3, "two": 3}, Augmentation())
    pictures = read_pictures(tmp_path / "data", (32, 32, 3), cache=False)
    split = split_pictures(pictures)
    large = pictures.pixels.repeat(3, 1).repeat(3, 2)
    assert [places(drawn, large[i]) for i in split.train] == [1] * 4
    assert [places(drawn, large[i]) for i in split.validation] == [0] * 2
    flipped = sheet(tmp_path, {"one": 3, "two": 3}, Augmentation(flip=True))
    both = [places(flipped, large[i]) + places(flipped, large[i][:, ::-1]) for i in split.train]
    assert both == [2] * 4
    assert flipped.shape[0] > 1.5 * drawn.shape[0]


def test_large_pictures_are_halved(tmp_path: Path) -> None:
    drawn = sheet(tmp_path, {"a": 2, "b": 2}, Augmentation(), side=200)
    pictures = read_pictures(tmp_path / "data", (200, 200, 3), cache=False)
    first = pictures.pixels[split_pictures(pictures).train[0]].astype(int)
    half = (first[::2, ::2] + first[1::2, ::2] + first[::2, 1::2] + first[1::2, 1::2] + 2) // 4
    assert places(drawn, half.astype(np.uint8)) == 1


def test_many_classes_and_odd_names(tmp_path: Path) -> None:
    """12 of 14 are shown; names may be anything, too long, or of letters that the font lacks."""
    names = {"$x_1$": 2, "a" * 60: 2, "猫": 2} | {f"class {i}": 2 for i in range(11)}
    few = sheet(tmp_path / "few", dict(list(names.items())[:12]), STRENGTHS["light"])
    many = sheet(tmp_path / "many", names, STRENGTHS["light"])
    assert few.shape == many.shape


def test_the_same_file_again(tmp_path: Path) -> None:
    counts = {"a": 4, "b": 4}
    first = sheet(tmp_path, counts, STRENGTHS["strong"])
    data = (tmp_path / "sheet.png").read_bytes()
    np.testing.assert_array_equal(first, sheet(tmp_path, counts, STRENGTHS["strong"]))
    assert (tmp_path / "sheet.png").read_bytes() == data
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "sheet.png"]


def test_it_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = read_pictures(write_classes(tmp_path / "data", {"a": 2, "b": 2}), (32, 32, 3), cache=False)
    with pytest.raises(ChipfitError, match="cannot write") as error:
        draw_sheet(pictures, split_pictures(pictures), tmp_path / "nowhere" / "sheet.png")
    assert error.value.code == "P003"
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ChipfitError, match="matplotlib") as error:
        draw_sheet(pictures, split_pictures(pictures), tmp_path / "sheet.png")
    assert error.value.code == "T001"
