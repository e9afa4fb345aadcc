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


def test_compression_follows_the_training(tmp_path: Path) -> None:
    text = 'quantization = ["int8", "qat", "int8 weights=tensor"]\n'
    text += 'compression = ["none", "cluster 16", "sparsify 0.75", "sparsify 2:4", "prune 0.5"]\n'
    space = read_space(written(tmp_path, text + "[train]\nqat_epochs = 3\n[compress]\nepochs = 1\nrate = 1e-3\n"))
    points = {(p.quantization, p.compression): p for p in space.points()}
    # integers that a method chooses are of no other recipe
    assert space.size == len(points) == 12
    assert {q for q, c in points if c in ("none", "prune 0.5")} == {"int8", "qat", "int8 weights=tensor"}
    assert {q for q, c in points if c not in ("none", "prune 0.5")} == {"int8", "qat"}

    def words(quantization: str, compression: str) -> list[tuple[str, list[str]]]:
        return [(m.name, m.words) for m in space.methods_of(points[quantization, compression], seed=5)]

    tuning = ["--epochs", "1", "--rate", "0.001", "--batch", "32", "--augment", "light"]
    assert words("int8", "none") == []
    assert words("int8", "cluster 16") == [("cluster", ["--values", "16", *tuning])]
    assert words("int8", "sparsify 0.75") == [("sparsify", ["--sparsity", "0.75", *tuning])]
    assert words("int8", "sparsify 2:4") == [("sparsify", ["--pattern", "2:4", *tuning])]
    learned = ["--qat", "--epochs", "3", "--rate", "0.0002", "--batch", "32", "--augment", "light"]
    assert words("qat", "none") == []
    assert words("qat", "cluster 16") == [("cluster", ["--values", "16", *learned])]
    assert words("qat", "sparsify 2:4") == [("sparsify", ["--pattern", "2:4", *learned])]
    assert [name for name, _ in words("qat", "prune 0.5")] == ["prune", "qat"]
    assert words("qat", "prune 0.5")[0][1][:2] == ["--instructions", "0.5"]
    assert words("qat", "prune 0.5")[1][1][:2] == ["--epochs", "3"]
    assert space.settings_of(points["qat", "none"]).qat
    assert not space.settings_of(points["qat", "prune 0.5"]).qat
    assert points["int8", "cluster 16"].weights == points["int8", "sparsify 2:4"].weights == "compressed"
    assert points["qat", "prune 0.5"].weights == "plain"
    assert points["qat", "prune 0.5"].title.endswith("rgb, qat, prune 0.5")
    assert len({p.key for p in points.values()}) == 12


@pytest.mark.parametrize(("text", "epochs"), [("", 2), ("[compress]\nepochs = 0\n", 0)])
def test_how_long_compression_learns(tmp_path: Path, text: str, epochs: int) -> None:
    space = read_space(written(tmp_path, 'compression = ["cluster 4"]\n' + text))
    (method,) = space.methods_of(next(space.points()), seed=0)
    assert method.words[2:4] == ["--epochs", str(epochs)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('compression = ["clutser 16"]', "did you mean cluster 16?"),
        ('compression = ["cluster"]', "such as cluster 16"),
        ('compression = ["none 3"]', "such as none"),
        ('compression = ["cluster many"]', "such as cluster 16"),
        ('compression = ["cluster 300"]', "none of 2 to 127"),
        ('compression = ["sparsify 4:2"]', "2:4"),
        ('compression = ["sparsify 75"]', "no share"),
        ('compression = ["prune 1.5"]', "such as prune 0.5"),
        ('compression = [""]', "there are none, cluster 16"),
        ("[compress]\nseed = 3", "unknown key 'seed'"),
        ("[compress]\nepochs = 0\nvalues = 3", "unknown key 'values'"),
        ("[compress]\nrate = 0", "trains nothing"),
        ("[train]\nqat = true", "unknown key 'qat'"),
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
