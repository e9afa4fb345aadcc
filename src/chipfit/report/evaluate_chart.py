"""The figures of an evaluation as a picture: accuracy, size and latency side by side; and confusion matrices.

Needs matplotlib (``pip install 'chipfit[report]'``), which is imported only when a picture is drawn. Colours are those
of Okabe and Ito (2008), which colour-blind readers tell apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chipfit.evaluation import EvaluationReport, ModelFigures
from chipfit.report.memory_map import FORMATS, check_format
from chipfit.report.panels import DIM, DPI, GRID, INK, Bar, draw_bars, draw_rows, printable, save_figure, style_axes
from chipfit.report.text import shorten
from chipfit.report.text_evaluate import milliseconds, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = {
    "float32": "#56606B",
    "float16": "#0072B2",
    "dynamic": "#56B4E9",
    "int16x8": "#E69F00",
    "mixed": "#CC79A7",
    "int8": "#009E73",
    "uint8": "#D55E00",
}
_MOST_CLASSES = 20
"""Classes up to which a confusion matrix is drawn."""

_NAME_CELLS = 34


def check_target(path: Path) -> None:
    """Raise U001 for a file of another ending than .png and .svg, T001 without matplotlib. No ending: a folder."""
    check_format(path if path.suffix and not path.is_dir() else path / "evaluation.png")


def draw_charts(report: EvaluationReport, path: Path) -> list[Path]:
    """Draw into a ``.png`` or ``.svg`` file; or into a folder: ``evaluation.png``, and ``confusion_MODEL.png`` for each
    model that tells few classes apart. Returns what was written. Raises as :func:`check_target` does."""
    check_target(path)
    if path.suffix in FORMATS and not path.is_dir():
        return [save_figure(evaluation_figure(report), path)]
    path.mkdir(parents=True, exist_ok=True)
    written = [save_figure(evaluation_figure(report), path / "evaluation.png")]
    for model in report.models:
        if model.confusion is not None and len(model.confusion) <= _MOST_CLASSES:
            name = re.sub(r"[^\w.-]+", "_", model.name)
            written.append(save_figure(confusion_figure(report, model), path / f"confusion_{name}.png"))
    return written


# ---------------------------------------------------------------------------------------------- all models


@dataclass(frozen=True)
class _Panel:
    """``bar``: the end of a model's bar, None: unknown; ``text``: behind it."""

    title: str
    note: str
    bar: Callable[[ModelFigures], float | None]
    text: Callable[[ModelFigures], str]


_SIZE = _Panel("file size", "KiB", lambda m: m.file_bytes / 1024, lambda m: f"{m.file_bytes / 1024:,.0f}")


def _latency(models: Sequence[ModelFigures]) -> _Panel:
    """By the engine that runs them all; else by whatever ran each."""
    common = set.intersection(*({t.engine for t in m.latency} for m in models))
    engine = next((t.engine for t in models[0].latency if t.engine in common), None)

    def seconds(m: ModelFigures) -> float:
        return next(t.median for t in m.latency if engine in (None, t.engine))

    def text(m: ModelFigures) -> str:
        return milliseconds(seconds(m)) + ("" if engine else f" ({m.latency[0].engine})")

    note = f"ms, median, {engine}, 1 thread" if engine else "ms, median, 1 thread"
    return _Panel("one run on this computer", note, lambda m: 1e3 * seconds(m), text)


def _instructions(board: str) -> _Panel:
    def millions(m: ModelFigures) -> float | None:
        return None if m.board is None or m.board.instructions is None else m.board.instructions / 1e6

    def text(m: ModelFigures) -> str:
        value = millions(m)
        return "none" if value is None else f"{value:.3g}" if value < 100 else f"{value:,.0f}"

    return _Panel(f"instructions on {board}", "millions, measured (emulator)", millions, text)


def evaluation_figure(report: EvaluationReport) -> Figure:
    """Accuracy, size and latency side by side, a row for each model; with a board its instructions, too."""
    from matplotlib.figure import Figure

    panels = [_SIZE, _latency(report.models), *([_instructions(report.board)] if report.board is not None else [])]
    names = [shorten(m.name, _NAME_CELLS) for m in report.models]
    margin = 0.35 + 0.075 * max(map(len, names))
    width, height = margin + 3.3 * (1 + len(panels)), 1.6 + 0.42 * len(names)
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    grid = figure.add_gridspec(
        1, 1 + len(panels), left=margin / width, right=1 - 0.3 / width, bottom=0.5 / height, top=1 - 1.05 / height,
        wspace=0.16,
    )  # fmt: skip
    first = figure.add_subplot(grid[0, 0])
    draw_rows(first, names)
    if report.labelled is not None:
        _accuracy(first, report.models, report.reference)
    else:
        _agreement(first, report.models)
    for k, panel in enumerate(panels, 1):
        axes = figure.add_subplot(grid[0, k], sharey=first)
        axes.tick_params(labelleft=False)
        _bars(axes, panel, report.models)
    samples = f"{report.samples:,} samples" if report.samples != 1 else "1 sample"
    figure.text(0.18 / width, 1 - 0.14 / height, "Evaluation", fontsize=13, fontweight="bold", va="top", color=INK)
    note = f"{samples} of {printable(report.data)}"
    if report.labelled is not None:
        note += "; bars about the accuracy: 95 % confidence"
    figure.text(0.18 / width, 1 - 0.42 / height, note, fontsize=8.5, va="top", color=DIM, parse_math=False)
    return figure


def _accuracy(axes: Axes, models: Sequence[ModelFigures], reference: str | None) -> None:
    """Points with their intervals: the axis need not begin at 0, since no lengths are compared."""
    from matplotlib.patheffects import withStroke

    shares = [(k, m, m.top1) for k, m in enumerate(models) if m.top1 is not None]
    low, high = min(s.low for _, _, s in shares), max(s.high for _, _, s in shares)
    for _, m, s in shares:
        if m.name == reference and len(shares) > 1:
            axes.axvline(100 * s.share, color=DIM, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    for k, m, s in shares:
        colour = _colour(m)
        axes.plot([100 * s.low, 100 * s.high], [k, k], color=colour, linewidth=2.2, alpha=0.55, solid_capstyle="round")
        axes.plot([100 * s.share], [k], "o", color=colour, markersize=7, zorder=4)
        axes.annotate(
            percent(s), (100 * s.share, k), (0, 7), textcoords="offset points", ha="center", fontsize=8.5, color=INK,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip
    room = max(high - low, 0.01) * 0.12
    axes.set_xlim(100 * (low - room), 100 * min(1.0 + room, high + room))
    style_axes(axes, "top-1 accuracy", "%")


def _agreement(axes: Axes, models: Sequence[ModelFigures]) -> None:
    def value(m: ModelFigures) -> float | None:
        return None if m.agreement is None else 100 * m.agreement

    panel = _Panel("agreement", "% with the reference", value, lambda m: f"{value(m):.1f}" if value(m) else "reference")
    _bars(axes, panel, models)


def _bars(axes: Axes, panel: _Panel, models: Sequence[ModelFigures]) -> None:
    bars = [Bar(panel.bar(m), panel.text(m), _colour(m)) for m in models]
    draw_bars(axes, panel.title, panel.note, bars)


def _colour(model: ModelFigures) -> str:
    return _COLOURS.get(model.form, INK)


# ---------------------------------------------------------------------------------------------- one model


def confusion_figure(report: EvaluationReport, model: ModelFigures) -> Figure:
    """A row for each actual class, a column for each choice: shares of the row as shade, counts as numbers."""
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    matrix = np.array(model.confusion)
    names = [shorten(printable(report.class_name(i)), 18) for i in range(len(matrix))]
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    cell, margin = 0.46, 0.45 + 0.085 * max(map(len, names))
    side = cell * len(matrix)
    width, height = margin + max(side, 2.4) + 0.3, 0.8 + side + margin
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    axes = figure.add_axes((margin / width, margin / height, side / width, side / height))
    shades = LinearSegmentedColormap.from_list("chipfit", ["#FFFFFF", "#56B4E9", "#003B5C"])
    axes.imshow(shares, cmap=shades, vmin=0, vmax=1)
    for (actual, chosen), n in np.ndenumerate(matrix):
        if n:
            colour = "white" if shares[actual, chosen] > 0.55 else INK
            axes.text(chosen, actual, str(n), ha="center", va="center", fontsize=8, color=colour)
    for ticks, rotation in ((axes.set_xticks, 90), (axes.set_yticks, 0)):
        for label in ticks(range(len(names)), names, fontsize=8.5, rotation=rotation):
            label.label1.set_parse_math(False)
    axes.set_xticks(np.arange(len(matrix) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(matrix) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=GRID, linewidth=0.8)
    axes.tick_params(which="both", length=0, colors=INK)
    for spine in axes.spines.values():
        spine.set_color("#BBBBBB")
    axes.set_ylabel("actual class", fontsize=8.5, color=DIM)
    axes.set_xlabel("what the model takes it for", fontsize=8.5, color=DIM)
    name = printable(shorten(model.name, 48))
    figure.text(0.15 / width, 1 - 0.14 / height, name, fontsize=12, fontweight="bold", va="top", parse_math=False)
    top1 = "" if model.top1 is None else f"{percent(model.top1)} ± {100 * model.top1.half_width:.1f} of "
    note = f"{top1}{report.samples:,} samples"
    figure.text(0.15 / width, 1 - 0.42 / height, note, fontsize=8.5, va="top", color=DIM)
    return figure
