"""Numbers for pictures: what a file may say, what is refused, and a network that learns them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.metadata import facts_of
from chipfit.quantization import quantize_model
from chipfit.report.text import to_text
from chipfit.report.text_train import train_text
from chipfit.training.judge import NumberJudgement, judge_numbers
from chipfit.training.numbers import Standard, read_numbers
from chipfit.training.report import TrainReport
from chipfit.training.run_folder import BEST, RUN
from chipfit.training.settings import TrainSettings
from chipfit.training.split import split_rows
from chipfit.training.train import resume, train
from training.photos import noise, write_picture

SIDE = 32


@pytest.fixture(scope="session")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 pictures whose brightness is a number, in a folder of their own, and ``labels.csv``."""
    folder = tmp_path_factory.mktemp("lanes")
    rows = ["file,distance m,heading"]
    for i in range(40):
        bright = (7 * i) % 40
        write_picture(folder / "images" / f"{i}.png", noise(i, SIDE) // 8 + np.uint8(5 * bright))
        rows.append(f"{i}.png,{1000 + bright},{-bright / 1000}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


# ---------------------------------------------------------------------------------------------- the file


def written(folder: Path, text: str) -> Path:
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    return folder / "labels.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/1.png", "b/1.png", "b/2.png", "3.png"):
        write_picture(tmp_path / name, noise(1, SIDE))
    return tmp_path


def test_paths_bare_names_and_headings(folder: Path) -> None:
    """The order is that of the rows; a byte order mark, empty lines and spaces do not matter."""
    numbers = read_numbers(written(folder, "\ufefffile,x, y (m)\n2.png, 1, -2e3\n\na/1.png,3,4.5\n"), folder)
    assert numbers.names == ("x", "y (m)")
    np.testing.assert_array_equal(numbers.values, [[1, -2000], [3, 4.5]])
    assert [(f.name, f.label) for f in numbers.found.files] == [("b/2.png", 0), ("a/1.png", 1)]
    assert numbers.without == 2
    assert read_numbers(written(folder, "2.png,1\n3.png,2\n"), folder).names == ("number 1",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3.png,1\n2.png,\n", r"line 2 of .*: 'number 1' is '', no number"),
        ("f,x\n3.png,1\n2.png,nan\n", r"line 3 of .*: 'x' is 'nan', no number"),
        ("3.png,1\n2.png,1,2\n", "line 2 of .* has 2 numbers, others have 1"),
        ("3.png,1\n4.png,2\n", "line 2 of .*: there is no picture '4.png'"),
        ("3.png,1\n1.png,2\n", "line 2 of .*: 2 pictures have the name '1.png'"),
        ("3.png,1\n2.png,2\nb/2.png,3\n", "line 3 of .* names 'b/2.png' again, after line 2"),
        ("f,x\n3.png,1\n", "has 1 row"),
        ("3.png;1\n2.png;2\n", "has no column of numbers"),
        ("", "has no column of numbers"),
    ],
)
def test_files_that_are_refused(text: str, said: str, folder: Path) -> None:
    with pytest.raises(ChipfitError, match=said) as caught:
        read_numbers(written(folder, text), folder)
    assert caught.value.code == "N001"


def test_no_file(folder: Path) -> None:
    with pytest.raises(ChipfitError, match="cannot read") as caught:
        read_numbers(folder / "none.csv", folder)
    assert caught.value.code == "F001"


def test_a_column_of_one_value(folder: Path) -> None:
    with pytest.raises(ChipfitError, match="'y' is 4 for all pictures") as caught:
        Standard.of(np.array([[1.0, 4.0], [2.0, 4.0]]), ("x", "y"))
    assert caught.value.code == "N001"


# ---------------------------------------------------------------------------------------------- arithmetic


def test_standardising_is_folded_back() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.0, 1.0, (50, 2)) * (30.0, 0.01) + (1000.0, -2.0)
    standard = Standard.of(values, ("x", "y"))
    learned = standard.apply(values)
    np.testing.assert_allclose((learned.mean(axis=0), learned.std(axis=0)), [[0, 0], [1, 1]], atol=1e-5)
    features, kernel, bias = rng.normal(size=(7, 5)), rng.normal(size=(5, 2)), rng.normal(size=2)
    folded, offset = standard.folded(kernel, bias)
    wanted = (features @ kernel + bias) * values.std(axis=0) + values.mean(axis=0)
    np.testing.assert_allclose(features @ folded + offset, wanted, rtol=1e-5)


def test_errors_are_in_units() -> None:
    judged = judge_numbers(np.array([[1.0, 5.0], [4.0, 5.0]]), np.array([[0.0, 5.0], [2.0, 9.0]]), ("x", "y"))
    one, two = judged.numbers
    assert (one.name, one.error, one.rms, one.deviation) == ("x", 1.5, pytest.approx(2.5**0.5), 1.0)
    assert (two.name, two.error, two.rms, two.deviation) == ("y", 2.0, pytest.approx(8.0**0.5), 2.0)


class Rows:
    """As much of a set of pictures as a split asks for."""

    def __init__(self, count: int) -> None:
        self.labels = np.arange(count)
        self.files = self.digests = tuple(map(str, range(count)))

    def __len__(self) -> int:
        return len(self.labels)


def split_of(count: int, share: float, seed: int) -> Array:
    return split_rows(Rows(count), share, seed).validation  # type: ignore[arg-type]


def test_neighbours_stay_together() -> None:
    drawn = split_of(600, 0.2, 0)
    assert len(drawn) == 120
    np.testing.assert_array_equal(np.unique(drawn // 20, return_counts=True)[1], [20] * 6)
    assert split_of(600, 0.2, 1).tolist() != drawn.tolist() == split_of(600, 0.2, 0).tolist()
    assert [len(split_of(count, share, 0)) for count, share in ((2, 0.9), (2, 0.1), (9, 0.3))] == [1, 1, 3]


# ---------------------------------------------------------------------------------------------- a run


def settings(lanes: Path, **others: Any) -> TrainSettings:
    chosen: dict[str, Any] = {"epochs": 8, "batch": 8, "rate": 1e-2, "dropout": 0.0, "patience": 0, **others}
    return TrainSettings("ds_cnn", 0.125, SIDE, SIDE, grey=True, labels=str(lanes / "labels.csv"), **chosen)


@pytest.fixture(scope="module")
def run(keras: Any, lanes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainReport, Path]:
    pytest.importorskip("matplotlib", reason="curves and sheets are drawn with matplotlib")
    out = tmp_path_factory.mktemp("runs") / "run"
    return train(lanes, out, settings(lanes), name="lane", cache=False), out


def test_it_learns_and_says_so_in_units(run: tuple[TrainReport, Path]) -> None:
    report, out = run
    judged = report.judgement
    assert isinstance(judged, NumberJudgement)
    assert [n.name for n in judged.numbers] == ["distance m", "heading"]
    assert all(n.error <= n.rms < 0.7 * n.deviation for n in judged.numbers)
    assert report.best == min(report.history, key=lambda epoch: epoch.val_loss).number
    assert {epoch.accuracy for epoch in report.history} == {epoch.val_accuracy for epoch in report.history} == {None}
    kept = json.loads((out / RUN).read_text())
    assert (kept["classes"], kept["training"], kept["validation"]) == (["distance m", "heading"], [32], [8])
    assert kept["settings"]["augment"] == "colours"
    text = to_text(train_text(report, 80))
    assert "judged on 8 validation pictures" in text
    assert "mean absolute error" in text
    assert "32 to train with; validation: 20 % in blocks of 4 rows, seed 0" in text


def test_its_files_give_units(keras: Any, run: tuple[TrainReport, Path]) -> None:
    """The integers of the quantized network take the pixel less 128, and it is as good."""
    _, out = run
    model = chipfit.load(out / "lane.tflite")
    facts = facts_of(model)
    assert facts.labels == ("distance m", "heading")
    assert facts.preprocessing is not None
    pixels = np.arange(SIDE * SIDE).reshape(1, SIDE, SIDE, 1).astype(np.uint8)
    x = facts.preprocessing.apply(pixels)
    (given,) = model.run(x)
    np.testing.assert_allclose(given, keras.saving.load_model(out / BEST).predict_on_batch(x), rtol=1e-4)
    assert 900 < given[0, 0] < 1100
    quantized = quantize_model(model, x[None], "int8").model.graph
    (taken,) = quantized.inputs
    assert (taken.q.s, taken.q.zp) == (float(np.float32(1 / 127.5)), 0)
    stored = np.rint(x / np.float32(taken.q.s)) + taken.q.zp
    np.testing.assert_array_equal(stored, pixels.astype(int) - 128)


def test_other_numbers_are_refused(lanes: Path, run: tuple[TrainReport, Path], tmp_path: Path) -> None:
    """And the same ones are not, wherever the command is given."""
    shutil.copytree(run[1], tmp_path / "run")
    kept = json.loads((tmp_path / "run" / RUN).read_text())
    assert kept["settings"]["labels"] == str(lanes / "labels.csv")
    other = tmp_path / "other.csv"
    other.write_text((lanes / "labels.csv").read_text().replace("1007,", "1008,"))
    kept["settings"]["labels"] = str(other)
    (tmp_path / "run" / RUN).write_text(json.dumps(kept))
    with pytest.raises(ChipfitError, match="are others than those") as caught:
        resume(tmp_path / "run", cache=False)
    assert caught.value.code == "N003"


def test_what_goes_with_classes_only(lanes: Path, tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match="--label-smoothing is for classes"):
        settings(lanes, label_smoothing=0.1)
    pytest.importorskip("keras")
    with pytest.raises(ChipfitError, match="--labels and --val do not go together"):
        train(lanes, tmp_path / "run", settings(lanes), validation=lanes, cache=False)
