"""The picture of an evaluation says what its report says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chipfit.errors import ChipfitError
from chipfit.evaluation import BoardFigures, Confusion, EvaluationReport, Latency, ModelFigures
from chipfit.evaluation.statistics import share_of
from chipfit.report.evaluate_chart import check_target, confusion_figure, draw_charts, evaluation_figure

pytest.importorskip("matplotlib")


def latency(ms: float, engine: str = "LiteRT") -> Latency:
    return Latency(ms / 1e3, ms / 2e3, ms / 5e2, 9, engine, f"measured (host: {engine}, 1 thread)")


def model(name: str, form: str, right: int, size: int, *times: Latency) -> ModelFigures:
    return ModelFigures(
        name=name,
        file=f"{name}.tflite",
        problem=None,
        form=form,
        engine="LiteRT",
        top1=share_of(right, 100),
        top5=None,
        agreement=0.9,
        sqnr=20.0,
        unclear=0,
        file_bytes=size,
        weights_bytes=size,
        latency=times,
        seconds=1.0,
        board=BoardFigures(instructions=12_300_000) if form == "int8" else BoardFigures(problem="does not fit"),
        confusion=((right // 2, 3), (100 - right - 3, right - right // 2)),
        worst=(Confusion(0, 1, 3),),
    )


@pytest.fixture
def report() -> EvaluationReport:
    models = (
        model("net_$1_f32", "float32", 91, 40960, latency(2.5)),
        model("net_int8", "int8", 88, 10240, latency(1.25), latency(7.0, "chipfit C")),
    )
    names = ("dog", "cat $x$")
    return EvaluationReport(
        "data", 100, 0, "folders", 2, names, None, "net_$1_f32", "uno", models, (), (), 1.0
    )  # fmt: skip


def texts(figure: Any) -> list[str]:
    return [t.get_text() for t in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def lines(axes: Any, points: int) -> list[list[float]]:
    """Where the lines of so many points lie."""
    return [[float(x) for x in line.get_xdata()] for line in axes.lines if len(line.get_xdata()) == points]


def widths(axes: Any) -> list[float]:
    return [bar.get_width() for bar in axes.patches]


def test_panels_and_their_figures(report: EvaluationReport) -> None:
    figure = evaluation_figure(report)
    assert [a.get_title(loc="left") for a in figure.axes] == [
        "top-1 accuracy", "file size", "one run on this computer", "instructions on uno",
    ]  # fmt: skip
    written = texts(figure)
    for text in ("net_$1_f32", "net_int8", "91.00%", "88.00%", "40", "10", "2.50", "1.25", "12.3", "none"):
        assert text in written
    accuracy, size, time, instructions = figure.axes
    assert widths(size) == [40, 10]
    assert widths(time) == [pytest.approx(2.5), pytest.approx(1.25)]  # LiteRT's for both
    assert widths(instructions) == [0, pytest.approx(12.3)]
    share = report.models[0].top1
    assert share is not None
    assert [pytest.approx(100 * share.low), pytest.approx(100 * share.high)] in lines(accuracy, 2)


def test_without_labels_agreement_takes_the_place_of_accuracy(report: EvaluationReport) -> None:
    models = tuple(replace(m, top1=None, agreement=None if m.form == "float32" else 0.9) for m in report.models)
    figure = evaluation_figure(replace(report, labelled=None, board=None, models=models))
    assert [a.get_title(loc="left") for a in figure.axes] == ["agreement", "file size", "one run on this computer"]
    assert {"90.0", "reference"} <= set(texts(figure))


def test_times_that_are_far_apart_are_points_on_a_logarithmic_axis(report: EvaluationReport) -> None:
    slow = replace(report.models[1], latency=(latency(80.0),))
    figure = evaluation_figure(replace(report, models=(report.models[0], slow)))
    axes = figure.axes[2]
    assert (axes.get_xscale(), len(axes.patches)) == ("log", 0)
    assert lines(axes, 1) == [[pytest.approx(2.5)], [pytest.approx(80.0)]]
    assert "logarithmic" in axes.get_xlabel()


def test_confusions(report: EvaluationReport) -> None:
    written = texts(confusion_figure(report, report.models[1]))
    assert {"44", "3", "9", "dog", "cat $x$", "net_int8"} <= set(written)


def test_a_file_or_a_folder(report: EvaluationReport, tmp_path: Path) -> None:
    assert draw_charts(report, tmp_path / "a.png") == [tmp_path / "a.png"]
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    (tmp_path / "b.svg").write_bytes(b"")
    draw_charts(report, tmp_path / "b.svg")
    first = (tmp_path / "b.svg").read_bytes()
    draw_charts(report, tmp_path / "b.svg")
    assert (tmp_path / "b.svg").read_bytes() == first
    drawn = draw_charts(report, tmp_path / "charts")
    assert [p.name for p in drawn] == ["evaluation.png", "confusion_net__1_f32.png", "confusion_net_int8.png"]
    assert all(p.is_file() for p in drawn)
    many = replace(report.models[0], confusion=((0,) * 21,) * 21)
    assert len(draw_charts(replace(report, models=(many,)), tmp_path / "many")) == 1


def test_targets(tmp_path: Path) -> None:
    with pytest.raises(ChipfitError) as caught:
        check_target(tmp_path / "chart.pdf")
    assert caught.value.code == "U001"
    check_target(tmp_path / "charts")
    (tmp_path / "with.dot").mkdir()
    check_target(tmp_path / "with.dot")
