"""Spaces, as files say them."""

from __future__ import annotations

from pathlib import Path

import pytest

from chipfit.errors import ChipfitError
from chipfit.search import Point, read_space, space_names


def written(folder: Path, text: str) -> Path:
    file = folder / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_space_that_comes_with_chipfit_can_be_built() -> None:
    space = read_space("small")
    assert "small" in space_names()
    assert space.size == len(list(space.points())) > 100
    for point in space.points():
        assert space.settings_of(point).network(2).depth == point.depth


def test_a_file_says_what_is_chosen_of_and_how_it_is_trained(tmp_path: Path) -> None:
    text = 'alpha = [0.5, 0.25]\ncolour = ["rgb", "grey"]\n[train]\nepochs = 3\n'
    text += '[weights]\n"mobilenet_v1 0.25" = "w.h5"\n'
    space = read_space(written(tmp_path, text))
    assert (space.name, space.size, space.choices["alpha"]) == ("mine", 4, (0.25, 0.5))
    point = Point("mobilenet_v1", 0.25, 64, "grey", 1.0, "int8")
    settings = space.settings_of(point)
    assert (settings.epochs, settings.grey, settings.weights) == (3, True, str(tmp_path / "w.h5"))
    assert space.settings_of(Point("mobilenet_v1", 0.5, 64, "grey", 1.0, "int8")).weights is None
    assert space.point(space.indices(point)) == point


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alhpa = [0.5]", "did you mean alpha"),
        ("alpha = 0.5", "list of different numbers"),
        ("size = [64, 64]", "list of different whole numbers"),
        ("size = [64.5]", "list of different whole numbers"),
        ('colour = ["blue"]', "grey or rgb"),
        ("[train]\nalpha = 0.5", "unknown key 'alpha'"),
        ("[train]\nepochs = 0", "trains nothing"),
        ("alpha = [", "no TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ChipfitError) as caught:
        read_space(written(tmp_path, text))
    assert caught.value.code == "U001"
    assert said in str(caught.value)


def test_a_name_that_is_none() -> None:
    with pytest.raises(ChipfitError, match="there is no space 'tiny'") as caught:
        read_space("tiny")
    assert "small" in caught.value.hint
