"""The picture of a diagnosis: complete, deterministic, and no text over another."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from chipfit.model import Model
from chipfit.quantization import QuantizationReport, quantize_model
from chipfit.quantize import parse_recipe, samples_of
from chipfit.report.quantize_chart import diagnosis_figure, draw_diagnosis
from cli.cli_reports import EVIL, LONG
from quantize.nets import mobile, pictures

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def report() -> QuantizationReport:
    model = Model(mobile(np.random.default_rng(0)))
    samples = samples_of(pictures(np.random.default_rng(1), 12), model.graph.inputs)
    return quantize_model(model, samples, parse_recipe("int8 -equalize"), calibrated=8, explain=True).report


def renamed(report: QuantizationReport, name: str, times: int) -> QuantizationReport:
    """The same with many tensors of such names."""
    diagnosis = report.diagnosis
    assert diagnosis is not None
    tensors = [
        dataclasses.replace(t, name=f"{t.name}{name}{k}", sqnr=None if k == 1 else -20.0)
        for k in range(times)
        for t in diagnosis.tensors
    ]
    ranking = [dataclasses.replace(s, name=f"{s.name}{name}0") for s in diagnosis.ranking]
    changed = dataclasses.replace(diagnosis, tensors=tuple(tensors), ranking=tuple(ranking))
    return dataclasses.replace(report, diagnosis=changed)


def texts_that_meet(report: QuantizationReport) -> list[tuple[str, str]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    figure = diagnosis_figure(report)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    shown = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text()]
    boxes = [(t.get_text(), t.get_window_extent(canvas.get_renderer())) for t in shown]
    outside = [(name, "outside") for name, b in boxes if b.x0 < 0 or b.y0 < 0 or b.y1 > figure.bbox.y1]
    return outside + [
        (a, b)
        for (a, p), (b, q) in itertools.combinations(boxes, 2)
        if p.x0 < q.x1 - 1 and q.x0 < p.x1 - 1 and p.y0 < q.y1 - 1 and q.y0 < p.y1 - 1
    ]


def test_png_and_svg(report: QuantizationReport, tmp_path: Path) -> None:
    png, svg = draw_diagnosis(report, tmp_path / "a.png"), draw_diagnosis(report, tmp_path / "a.svg")
    assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert svg.read_text(encoding="utf-8").count("<svg") == 1
    for path in (png, svg):  # nothing of the day or of chance
        assert draw_diagnosis(report, tmp_path / f"again{path.suffix}").read_bytes() == path.read_bytes()


def test_bars_are_the_shares_of_the_ranking(report: QuantizationReport) -> None:
    diagnosis = report.diagnosis
    assert diagnosis is not None
    bars = [p.get_width() for p in diagnosis_figure(report).axes[1].patches]  # pyright: ignore
    assert sum(bars) == pytest.approx(100.0)
    worst = diagnosis.ranking[0]
    row = [t.name for t in diagnosis.tensors].index(worst.name)
    assert max(bars) == pytest.approx(bars[row + (0 if worst.part == "tensor" else len(diagnosis.tensors))])


@pytest.mark.parametrize(("name", "times"), [("", 1), (EVIL, 1), (LONG, 3), ("$\\frac{", 8)])
def test_no_text_lies_over_another(report: QuantizationReport, name: str, times: int) -> None:
    assert texts_that_meet(renamed(report, name, times)) == []
