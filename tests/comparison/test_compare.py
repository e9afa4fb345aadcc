"""Models side by side: each judged by the samples that the others are judged by, or said not to be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chipfit import load_board
from chipfit.comparison import CompareReport, compare_models, judge
from chipfit.comparison import run as module
from chipfit.deployment import Needs, integers
from chipfit.errors import ChipfitError
from chipfit.evaluation import right_answers
from chipfit.graph import Array
from chipfit.metadata import Facts
from chipfit.targets.board import Power
from comparison.runs import (
    HOW,
    quickly,
    write_arrays,
    write_deployment,
    write_float,
    write_integer,
    write_photos,
    write_run,
    write_search,
)

BOARD = "arduino-nano-33-ble"

pytestmark = pytest.mark.usefixtures("uncompiled")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """50 pictures, 4 of them in the wrong folder: 10 validate."""
    return write_photos(tmp_path / "photos", 25, wrong=2)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[int, ...], Array]]:
    """The shape of the pictures that each model is judged by, and their labels."""
    seen: list[tuple[tuple[int, ...], Array]] = []

    def watched(models: Sequence[Any], data: Any, **options: Any) -> Any:
        if isinstance(data, dict):
            seen.append((data["x"].shape[1:], data["labels"]))
        return right_answers(models, data, **options)

    monkeypatch.setattr(judge, "right_answers", watched)
    return seen


def shares(report: CompareReport) -> list[tuple[int, float] | None]:
    return [None if (a := e.accuracy) is None else (a.judged, a.integer.share) for e in report.entries]


# ---------------------------------------------------------------------------------------------- runs


def test_runs_of_other_sizes_are_judged_by_the_same_pictures(
    photos: Path, tmp_path: Path, judged: list[tuple[tuple[int, ...], Array]]
) -> None:
    runs = [
        write_run(tmp_path / "large", photos, 48),
        write_run(tmp_path / "grey", photos, 32, grey=True),
        write_run(tmp_path / "worse", photos, 32, bias=2.0),
    ]
    report = compare_models(runs, [BOARD], limit=8)
    assert [shape for shape, _ in judged] == [(48, 48, 3), (32, 32, 1), (32, 32, 3)]
    assert all(np.array_equal(judged[0][1], labels) for _, labels in judged)
    assert [j.samples for j in report.judged] == [8]
    assert "20 % of each class, seed 0" in report.judged[0].how
    large, grey, worse = report.entries
    assert large.accuracy is not None
    assert grey.accuracy is not None
    assert worse.accuracy is not None
    assert grey.accuracy.integer == large.accuracy.integer
    assert grey.accuracy.float32 is not None
    assert (large.accuracy.points, grey.accuracy.points) == (None, 0.0)
    assert worse.accuracy.integer.share == 0.5
    assert worse.accuracy.points == pytest.approx(100 * (0.5 - large.accuracy.integer.share))
    assert worse.accuracy.difference is not None
    assert report.is_comparable
    assert report.notes == ()
    assert [e.name for e in report.entries] == ["large", "grey", "worse"]
    assert "48x48 RGB" in large.about


def test_the_order_of_the_first_one_counts(
    tmp_path: Path, judged: list[tuple[tuple[int, ...], Array]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs that were divided by folders validate with the same pictures, which each seed has in another order."""
    write_photos(tmp_path / "photos" / "train", 5)
    write_photos(tmp_path / "photos" / "val", 6, wrong=2, first=1)
    runs = [write_run(tmp_path / f"run{seed}", tmp_path / "photos", seed=seed) for seed in (0, 3)]
    orders: list[tuple[str, ...]] = []
    pictures_of_run = judge.pictures_of_run

    def watched(*words: Any) -> Any:
        found = pictures_of_run(*words)
        orders.append(found.files)
        return found

    monkeypatch.setattr(judge, "pictures_of_run", watched)
    report = compare_models(runs, [BOARD], limit=5)
    assert orders[0] != orders[1]
    assert set(orders[0]) == set(orders[1])
    assert len(report.judged) == 1
    first, second = report.entries
    assert first.accuracy is not None
    assert second.accuracy is not None
    assert second.accuracy.difference is not None
    assert (second.accuracy.difference.only_a, second.accuracy.difference.only_b) == (0, 0)
    assert 0 < first.accuracy.integer.count < 5
    assert np.array_equal(judged[0][1], judged[1][1])


@pytest.mark.parametrize("other", ["split", "folder"])
def test_other_pictures_are_not_set_against_each_other(other: str, photos: Path, tmp_path: Path) -> None:
    second = write_photos(tmp_path / "second", 25, first=1) if other == "folder" else photos
    runs = [
        write_run(tmp_path / "a", photos),
        write_run(tmp_path / "b", second, seed=1 if other == "split" else 0),
        write_run(tmp_path / "c", photos, bias=2.0),
    ]
    report = compare_models(runs, [BOARD])
    assert [s and s[0] for s in shares(report)] == [0, 1, 0]
    assert len(report.judged) == 2
    a, b, c = report.entries
    assert b.accuracy is not None
    assert c.accuracy is not None
    assert (b.accuracy.points, b.accuracy.difference) == (None, None)
    assert c.accuracy.points is not None
    assert "judged by different pictures" in report.notes[0]
    assert not report.is_comparable
    # it needs as much as the others, and is as good as the first one: each is the best of its own samples
    assert [e.boards[0].on_front for e in (a, b, c)] == [True, True, False]


def test_equal_names_are_not_equal_pictures(tmp_path: Path) -> None:
    """Both folders say who validates, by the same names."""
    runs: list[Path] = []
    for name, first in (("a", 0), ("b", 7)):
        write_photos(tmp_path / name / "train", 3, first=first)
        write_photos(tmp_path / name / "val", 3, first=first + 1)
        runs.append(write_run(tmp_path / f"run_{name}", tmp_path / name))
    splits = [json.loads((run / "split.json").read_text()) for run in runs]
    assert splits[0] == splits[1]
    report = compare_models(runs, [BOARD])
    assert [Path(j.data).name for j in report.judged] == ["a", "b"]


def test_a_run_without_an_integer_model_gets_one(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run", photos, learned=False)
    made = quickly(monkeypatch, integers)
    out = tmp_path / "out"
    report = compare_models([run], [BOARD], folder=out)
    assert report.entries[0].file == str(out / "models" / "run" / "net.tflite")
    assert report.files == ("compare.json", "compare.png", "models")
    assert json.loads((out / "compare.json").read_text())["entries"][0]["accuracy"]["judged"] == 0
    again = compare_models([run], [BOARD], folder=out)
    assert len(made) == 1
    assert again.entries == report.entries
    nowhere = compare_models([run], [BOARD])
    assert (nowhere.entries[0].file, nowhere.files) == (None, ())


def test_a_run_without_pictures(photos: Path, tmp_path: Path) -> None:
    """What was compressed with arrays."""
    run = write_run(tmp_path / "run", photos, more={"settings": None, "data": str(tmp_path / "data.npz")})
    assert "without pictures" in compare_models([run], [BOARD]).entries[0].unknown
    data = write_arrays(tmp_path / "data.npz", 10)
    report = compare_models([run], [BOARD], data=data)
    assert shares(report) == [(0, 1.0)]
    assert "was trained with" in report.notes[0]
    (run / "run.json").write_text((run / "run.json").read_text().replace("net_int8.tflite", "none"))
    with pytest.raises(ChipfitError, match="Q001"):
        compare_models([run], [BOARD])


def test_how_pixels_become_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the file says; else as it is stated."""
    photos = write_photos(tmp_path / "photos", 6)
    quickly(monkeypatch, integers)
    said = write_float(tmp_path / "said.tflite", 32, 3)
    bare = write_float(tmp_path / "bare.tflite", 32, 3, facts=Facts())
    report = compare_models([said, bare], [BOARD], data=photos, preprocessing=HOW)
    assert [s and s[1] for s in shares(report)] == [1.0, 1.0]
    assert [s and s[1] for s in shares(compare_models([said, bare], [BOARD], data=photos))] == [1.0, 0.5]
    integer = write_integer(tmp_path / "bare_int8.tflite", bare, facts=Facts())
    assert shares(compare_models([integer], [BOARD], data=photos, preprocessing=HOW)) == [(0, 1.0)]


def test_a_run_that_estimates_numbers_is_refused(photos: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", photos)
    kept = json.loads((run / "run.json").read_text())
    kept["settings"]["labels"] = "numbers.csv"
    (run / "run.json").write_text(json.dumps(kept))
    with pytest.raises(ChipfitError, match="U001"):
        compare_models([run], [BOARD])


# ---------------------------------------------------------------------------------------------- models and data


def test_a_model_that_nothing_is_known_of(photos: Path, tmp_path: Path) -> None:
    float_file = write_float(tmp_path / "bare.tflite", 32, 3)
    integer = write_integer(tmp_path / "bare_int8.tflite", float_file)
    report = compare_models([write_run(tmp_path / "run", photos), integer], [BOARD])
    bare = report.entries[1]
    assert bare.accuracy is None
    assert "without pictures" in bare.unknown
    assert any("accuracy of 'bare_int8' unknown" in note for note in report.notes)
    assert bare.boards[0].on_front is None
    assert bare.boards[0].flash is not None
    assert not report.is_comparable
    with pytest.raises(ChipfitError, match=r"Q001.*float model"):
        compare_models([float_file], [BOARD])


@pytest.mark.parametrize(("count", "skipped", "samples"), [(120, 100, 20), (40, 0, 40)])
def test_data_judge_all(
    count: int, skipped: int, samples: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind those that integers were chosen on, as far as there are others."""
    float_file = write_float(tmp_path / "bare.tflite", 32, 3)
    integer = write_integer(tmp_path / "int.tflite", float_file)
    other = write_integer(tmp_path / "small.tflite", write_float(tmp_path / "small_float.tflite", 48, 3))
    wrong = [0, 1, 2, 3, count - 1]
    data = write_arrays(tmp_path / "data.npz", count, wrong=wrong)
    quickly(monkeypatch, integers)
    sources = [write_run(tmp_path / "run", photos), float_file, integer, other]
    report = compare_models(sources, [BOARD], data=data)
    assert [(j.samples, j.skipped) for j in report.judged] == [(samples, skipped)]
    right = (samples - 1 if skipped else samples - 5) / samples
    assert shares(report) == [(0, right)] * 3 + [None]
    assert "takes [1, 48, 48, 3]" in report.entries[3].unknown
    alone = compare_models([integer], [BOARD], data=data, limit=6)
    assert (alone.judged[0].skipped, shares(alone)) == (0, [(0, pytest.approx(2 / 6))])
    with pytest.raises(ChipfitError, match="I001"):
        compare_models([other], [BOARD], data=data)


def test_data_that_a_run_has_learned(photos: Path, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "run", photos)]
    report = compare_models(runs, [BOARD], data=photos)
    assert shares(report) == [(0, 0.92)]
    assert "was trained with pictures of" in report.notes[0]
    # its own are not needed then
    photos.rename(tmp_path / "elsewhere")
    assert compare_models(runs, [BOARD], data=write_photos(tmp_path / "new", 2)).notes == ()


def test_data_without_labels(photos: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", np.zeros((3, 32, 32, 3), np.float32))
    report = compare_models([write_run(tmp_path / "run", photos)], [BOARD], data=tmp_path / "x.npz")
    assert (report.judged, report.entries[0].unknown) == ((), "the data have no labels")


# ---------------------------------------------------------------------------------------------- other folders


def test_the_front_of_a_search(photos: Path, tmp_path: Path) -> None:
    runs = {n: write_run(tmp_path / f"r{n}", photos, side) for n, side in ((2, 32), (5, 40), (7, 48))}
    folder = write_search(
        tmp_path / "found", {2: (runs[2], True, 0.7), 5: (runs[5], False, 0.6), 7: (runs[7], True, 0.9)}
    )
    report = compare_models([folder], [BOARD])
    assert [e.name for e in report.entries] == ["found/007", "found/002"]
    assert {e.source for e in report.entries} == {str(folder)}
    assert "48x48" in report.entries[0].about
    one = compare_models([folder / "trials" / "005", runs[5].parent / "found"], [BOARD])
    assert [(e.name, e.kind) for e in one.entries] == [(f"found/{n}", "trial") for n in ("005", "007", "002")]
    assert report.offer is not None
    assert report.offer.startswith(f"chipfit deploy {folder / 'trials'}")


def test_deployments(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run", photos, learned=False)
    learned = write_run(tmp_path / "learned", photos, 48)
    float_file = write_float(tmp_path / "bare.tflite", 32, 3)
    integer = write_integer(tmp_path / "int.tflite", float_file)
    made = quickly(monkeypatch, integers)
    folders = [
        write_deployment(tmp_path / "of_run", run, "net", run / "net.tflite"),
        write_deployment(tmp_path / "of_learned", learned, "net"),
        write_deployment(tmp_path / "of_float", float_file, "bare", float_file),
        write_deployment(tmp_path / "of_integer", integer, "int"),
    ]
    report = compare_models(folders, [BOARD])
    files = [folders[0] / "net.tflite", learned / "net_int8.tflite", folders[2] / "bare.tflite", integer]
    assert [e.file for e in report.entries] == list(map(str, files))
    assert made == []
    assert [s and s[0] for s in shares(report)] == [0, 0, None, None]
    data = write_arrays(tmp_path / "data.npz", 104)
    # its integers may have been chosen on the first of just these
    assert compare_models(folders, [BOARD], data=data).judged[0].skipped == 100
    assert compare_models(folders[3:], [BOARD], data=data).judged[0].skipped == 0


def test_what_is_no_source(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match="F001"):
        compare_models([tmp_path / "nothing"], [BOARD])
    with pytest.raises(ChipfitError, match=r"U001.*no run, search or deployment"):
        compare_models([photos], [BOARD])
    with pytest.raises(ChipfitError, match=r"N003.*not finished"):
        compare_models([write_run(tmp_path / "run", photos, more={"status": "interrupted"})], [BOARD])
    with pytest.raises(ChipfitError, match="U001"):
        compare_models([write_search(tmp_path / "search", {})], [BOARD])
    gone = write_deployment(tmp_path / "gone", tmp_path / "elsewhere.tflite", "net")
    with pytest.raises(ChipfitError, match=r"F001.*elsewhere"):
        compare_models([gone], [BOARD])
    (gone / "deploy.json").write_text("{")
    with pytest.raises(ChipfitError, match="N003"):
        compare_models([gone], [BOARD])
    with pytest.raises(ChipfitError, match="U001"):
        compare_models([], [BOARD])


def test_a_folder_of_others_is_not_touched(photos: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", photos)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("mine")
    with pytest.raises(ChipfitError, match="P001"):
        compare_models([run], [BOARD], folder=theirs)
    assert [p.name for p in theirs.iterdir()] == ["thesis.txt"]


# ---------------------------------------------------------------------------------------------- boards


def test_boards_energy_and_what_is_too_large(photos: Path, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "a", photos), write_run(tmp_path / "b", photos, 48, grey=True)]
    board = replace(load_board(BOARD), power=Power(run_ma=5.0, volt=3.0))
    report = compare_models(runs, [board, "arduino-uno"])
    assert report.boards == (BOARD, "arduino-uno")
    (a, a_uno), (b, b_uno) = (e.boards for e in report.entries)
    assert a.energy_mj is not None
    assert b.energy_mj is not None
    assert b.against is not None
    assert b.against.energy == pytest.approx(b.energy_mj / a.energy_mj - 1)
    assert b.against.ram == pytest.approx(48 * 48 / (32 * 32 * 3) - 1)
    assert (a_uno.energy_mj, a_uno.on_front, a_uno.instructions) == (None, False, None)
    assert a_uno.problem
    assert b_uno.problem
    assert report.offer is not None
    assert report.offer.endswith(f"-b {BOARD}")
    assert compare_models(runs, ["arduino-uno"]).offer is None
    both = compare_models(runs[::-1], ["arduino-uno", BOARD])
    assert both.offer == report.offer.replace(str(runs[0]), str(runs[1]))


def test_the_goal_that_comes_nearest_to_fitting(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run", photos)
    first = Needs(BOARD, "size", False, 9, 20, False, problem="no")
    large = [first, replace(first, optimize="ram", ram=30)]
    monkeypatch.setattr(module, "first_that_fits", lambda *_, **options: large)
    assert compare_models([run], [BOARD]).entries[0].boards[0].optimize == "size"
    fitting = [*large, replace(first, optimize="balanced", ram=40, problem="")]
    monkeypatch.setattr(module, "first_that_fits", lambda *_, **options: fitting)
    assert compare_models([run], [BOARD]).entries[0].boards[0].optimize == "balanced"


def test_a_layer_that_a_board_cannot_run(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run", photos)

    def refused(*_: Any, **options: Any) -> list[Needs]:
        raise ChipfitError("O002", "no kernel for 'mean'")

    monkeypatch.setattr(module, "first_that_fits", refused)
    report = compare_models([run], [BOARD])
    found = report.entries[0].boards[0]
    assert (found.problem, found.optimize, found.flash, found.on_front) == ("no kernel for 'mean'", None, None, False)
    assert report.offer is None


def test_weights_that_were_made_for_it_are_compressed(photos: Path, tmp_path: Path) -> None:
    coded = write_run(tmp_path / "coded", photos, more={"applied": ["prune", "cluster"]})
    plain = write_run(tmp_path / "plain", photos, more={"applied": ["prune"]})
    ways = [e.boards[0].weights for e in compare_models([coded, plain], [BOARD]).entries]
    assert ways == ["compressed", "plain"]
    for stored in ("plain", "compressed"):
        ways = [e.boards[0].weights for e in compare_models([coded, plain], [BOARD], weights=stored).entries]
        assert ways == [stored] * 2
