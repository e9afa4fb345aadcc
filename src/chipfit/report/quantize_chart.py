"""What an integer network loses where, as a picture: signal to noise, single roundings, and histograms of the worst.

Needs matplotlib (``pip install 'chipfit[report]'``), which is imported only when a picture is drawn. Colours are those
of Okabe and Ito (2008), which colour-blind readers tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chipfit.quantization import QuantizationReport
from chipfit.quantize.diagnose import Diagnosis, Sensitivity, TensorDetails
from chipfit.report.memory_map import check_format, printable, short_names
from chipfit.report.text import shorten
from chipfit.report.text_diagnosis import clipped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _DIM, _GRID = "#222222", "#666666", "#E6E6E6"
_TENSOR, _WEIGHTS, _NETWORK, _CLIPPED = "#0072B2", "#E69F00", "#222222", "#D55E00"

_MOST_ROWS = 48
"""Tensors that are drawn: of more, those with the most noise of their own."""
_WORST = 6
"""Histograms."""
_DPI = 150
_NAME, _SHORT_NAME = 30, 26
"""Characters of a name at a row, and above a histogram."""
_ROW, _HEAD, _FOOT, _HISTOGRAMS = 0.235, 1.2, 0.45, 1.75
"""Inches: of a row, above and below the rows, of the histograms."""
_TOP_DB = 70.0
"""What is better lies at the edge, with what is exact: nobody looks for it."""


def draw_diagnosis(report: QuantizationReport, path: str | Path) -> Path:
    """Draw the diagnosis of a report into a ``.png`` or ``.svg`` file; returns its path.

    Raises ChipfitError U001 for another ending, T001 without matplotlib. The report must have a diagnosis.
    """
    target = Path(path)
    check_format(target)
    figure = diagnosis_figure(report)
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "chipfit"}):  # the same figures give the same file
        figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else {"Software": None})
    return target


def diagnosis_figure(report: QuantizationReport) -> Figure:
    """The picture as a matplotlib figure."""
    from matplotlib.figure import Figure

    diagnosis = report.diagnosis
    assert diagnosis is not None
    rows = _rows(diagnosis)
    names = short_names([t.name for t in diagnosis.tensors])
    body = max(4, len(rows)) * _ROW
    worst = _worst(diagnosis)
    height = _HEAD + body + _FOOT + (0.5 + _HISTOGRAMS + _FOOT if worst else 0.0)
    figure = Figure(figsize=(12, height), dpi=_DPI)
    top = figure.add_gridspec(
        1, 2, width_ratios=[1.55, 1], left=0.2, right=0.975, wspace=0.04,
        top=1 - _HEAD / height, bottom=1 - (_HEAD + body) / height,
    )  # fmt: skip
    noise = figure.add_subplot(top[0, 0])
    alone = figure.add_subplot(top[0, 1], sharey=noise)
    _draw_noise(noise, rows, names)
    _draw_alone(alone, rows, diagnosis)
    if worst:
        _draw_histograms(figure, worst, names, height)
    _draw_head(figure, report, diagnosis, height)
    for text in figure.findobj(lambda artist: hasattr(artist, "set_parse_math")):
        text.set_parse_math(False)  # pyright: ignore[reportAttributeAccessIssue]  # names are data: "$" too
    return figure


def _rows(diagnosis: Diagnosis) -> list[TensorDetails]:
    """In the order of the network."""
    if len(diagnosis.tensors) <= _MOST_ROWS:
        return list(diagnosis.tensors)
    costs = {name: -sum(parts) for name, parts in _costs(diagnosis.ranking).items()}
    kept = sorted(diagnosis.tensors, key=lambda t: costs.get(t.name, 0.0))[:_MOST_ROWS]
    return [t for t in diagnosis.tensors if t in kept]


def _costs(ranking: Sequence[Sensitivity]) -> dict[str, tuple[float, float]]:
    """Noise of the rounding of each tensor and of its layer's weights alone, as shares of the sum of all."""
    powers = {(s.name, s.part): 10 ** (-s.sqnr / 10) for s in ranking if s.sqnr is not None}
    total = sum(powers.values()) or 1.0
    names = dict.fromkeys(name for name, _ in powers)
    return {n: (powers.get((n, "tensor"), 0.0) / total, powers.get((n, "weights"), 0.0) / total) for n in names}


# ---------------------------------------------------------------------------------------------- panels


def _draw_noise(axes: Axes, rows: Sequence[TensorDetails], names: dict[str, str]) -> None:
    places = range(len(rows))
    in_network = [_shown(t.sqnr) for t in rows]
    inherited = [_shown(t.sqnr if t.op == "input" else t.inherited) for t in rows]
    for i, (a, b) in enumerate(zip(inherited, in_network, strict=True)):
        axes.plot([a, b], [i, i], color=_CLIPPED, linewidth=2.2, alpha=0.75, solid_capstyle="butt", zorder=2)
    axes.plot(in_network, places, color=_NETWORK, linewidth=0.8, alpha=0.35, zorder=1)
    weighted = [(t.weights.sqnr, i) for i, t in enumerate(rows) if t.weights is not None]
    axes.scatter(
        [_shown(t.rounding) for t in rows], places, marker="|", s=52, linewidths=2, color=_TENSOR, zorder=3,
        label="its rounding alone",
    )  # fmt: skip
    axes.scatter(
        [_shown(x) for x, _ in weighted], [i for _, i in weighted], marker="^", s=20, color=_WEIGHTS, zorder=3,
        label="its weights alone",
    )  # fmt: skip
    axes.scatter(in_network, places, s=22, color=_NETWORK, zorder=4, label="whole network")
    axes.plot([], [], color=_CLIPPED, linewidth=2.2, alpha=0.75, label="lost here")
    axes.set_yticks(places, [printable(shorten(names[t.name], _NAME)) for t in rows], fontsize=8, color=_INK)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    first = int(max(0.0, 10 * (min(in_network) // 10)))
    ticks = [*range(first, int(_TOP_DB) - 4, 10), _TOP_DB]
    axes.set_xticks(ticks, [*map(str, ticks[:-1]), "exact"])
    axes.set_xlim(first, _TOP_DB + 1)
    axes.set_xlabel("signal to noise of the tensor, dB", fontsize=8.5, color=_DIM)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, fontsize=7.5, frameon=False, handlelength=1.2,
        columnspacing=1.4, handletextpad=0.5, borderaxespad=0.2,
    )  # fmt: skip
    _calm(axes)


def _draw_alone(axes: Axes, rows: Sequence[TensorDetails], diagnosis: Diagnosis) -> None:
    costs = _costs(diagnosis.ranking)
    pairs = [costs.get(t.name, (0.0, 0.0)) for t in rows]
    places = range(len(rows))
    tensors, weights = [100 * a for a, _ in pairs], [100 * b for _, b in pairs]
    axes.barh(places, tensors, height=0.62, color=_TENSOR)
    axes.barh(places, weights, height=0.62, left=tensors, color=_WEIGHTS)
    widest = max([a + b for a, b in zip(tensors, weights, strict=True)], default=0.0) or 1.0
    for i, (a, b) in enumerate(zip(tensors, weights, strict=True)):
        if a + b >= 1.0:
            axes.text(a + b + 0.012 * widest, i, f"{a + b:.0f}%", fontsize=7.5, va="center", color=_DIM)
    axes.set_xlim(0, 1.12 * widest)
    axes.set_xlabel("share of the noise of single roundings, %", fontsize=8.5, color=_DIM)
    axes.tick_params(axis="y", labelleft=False)
    _keep_ticks(axes)
    axes.text(0, 1.012, "each rounding alone", transform=axes.transAxes, fontsize=7.5, color=_INK, va="bottom")
    _calm(axes)


def _worst(diagnosis: Diagnosis) -> list[TensorDetails]:
    """The tensors whose rounding costs most; none where activations are floats."""
    by_name = {t.name: t for t in diagnosis.tensors}
    return [by_name[s.name] for s in diagnosis.ranking if s.part == "tensor" and s.name in by_name][:_WORST]


def _draw_histograms(figure: Figure, worst: Sequence[TensorDetails], names: dict[str, str], height: float) -> None:
    figure.text(
        0.02, (_FOOT + _HISTOGRAMS + 0.12) / height,
        "The tensors whose rounding costs most: how often values occur (root of the count); dashed: the least and the "
        "greatest integer.",
        fontsize=9, va="top", color=_DIM,
    )  # fmt: skip
    grid = figure.add_gridspec(
        1, _WORST, left=0.035, right=0.975, wspace=0.16,
        bottom=_FOOT / height, top=(_FOOT + _HISTOGRAMS - 0.45) / height,
    )  # fmt: skip
    for k, t in enumerate(worst):
        axes = figure.add_subplot(grid[0, k])
        h = t.histogram
        width = (h.high - h.low) / len(h.counts)
        edges = [h.low + i * width for i in range(len(h.counts))]
        tops = [n**0.5 for n in h.counts]
        axes.bar(edges, tops, width=0.92 * width, align="edge", color=_TENSOR)
        for end in (t.low, t.high):
            if end is not None:
                axes.axvline(end, color=_CLIPPED, linewidth=1.1, linestyle=(0, (4, 2)))
        axes.set_yticks([])
        axes.tick_params(axis="x", labelsize=7, colors=_DIM, length=2)
        axes.locator_params(axis="x", nbins=4)
        _keep_ticks(axes)
        axes.set_title(printable(shorten(names[t.name], _SHORT_NAME)), fontsize=8, color=_INK, loc="left", pad=14)
        axes.text(0, 1.03, _said_of(t), transform=axes.transAxes, fontsize=7, color=_DIM)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color("#BBBBBB")


def _said_of(t: TensorDetails) -> str:
    parts = [] if t.used is None else [f"uses {100 * t.used:.0f}%"]
    if clipped(t):
        parts.append(f"cuts {clipped(t)}")
    return ", ".join(parts)


def _draw_head(figure: Figure, report: QuantizationReport, diagnosis: Diagnosis, height: float) -> None:
    figure.text(
        0.02, 1 - 0.18 / height, printable(f"{report.model}: what {report.recipe} loses, and where"),
        fontsize=13, fontweight="bold", va="top", color=_INK,
    )  # fmt: skip
    judged = "exact" if diagnosis.sqnr is None else f"{diagnosis.sqnr:.1f} dB at what the network is judged by"
    figure.text(
        0.02, 1 - 0.52 / height,
        f"{judged}, on {diagnosis.samples} samples. Below: each tensor, from the input to the scores.",
        fontsize=9, va="top", color=_DIM,
    )  # fmt: skip


def _shown(sqnr: float | None) -> float:
    return _TOP_DB if sqnr is None else min(max(sqnr, 0.0), _TOP_DB)


def _keep_ticks(axes: Axes) -> None:
    """Only those inside of the panel."""
    low, high = axes.get_xlim()
    axes.set_xticks([x for x in axes.get_xticks() if low <= x <= high])
    axes.set_xlim(low, high)


def _calm(axes: Axes) -> None:
    axes.grid(axis="x", color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", labelsize=7.5, colors=_DIM)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#BBBBBB")
