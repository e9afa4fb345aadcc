"""A comparison as a picture: for each board accuracy against instructions, as large as the flash, and bars of what each
model needs.

Needs matplotlib (``pip install 'chipfit[report]'``), which is imported only when a picture is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chipfit.comparison import CompareReport, Entry, OnBoard
from chipfit.report.memory_map import check_format
from chipfit.report.panels import DIM, DPI, GRID, INK, Bar, draw_bars, draw_rows, printable, save_figure, style_axes
from chipfit.report.text import plural, shorten
from chipfit.report.text_compare import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec
    from matplotlib.transforms import Bbox

_FRONT, _OTHER, _LARGE = "#0072B2", "#9AA3AD", "#D55E00"
_MARKS = "osD^vP"
"""Of models that were judged by different samples, in turn."""

_NAME_CELLS = 30
_LEAST, _MOST = 40.0, 520.0
"""Area of the marks, square points: of the smallest flash that could be, and of the greatest that is."""

_POINT = 4.6
_PANEL = 2.35
_BESIDE = 0.85
"""Inches: of the two kinds of panels, and between the first and the names."""

_AROUND = tuple(
    (dx, dy)
    for reach in (9.0, 15.0, 22.0)
    for dx, dy in ((reach, 0.0), (0.0, reach), (0.0, -reach), (-reach, 0.0),
                   (reach, reach), (reach, -reach), (-reach, reach), (-reach, -reach))
)  # fmt: skip
"""Places for a number about its mark, points, the best ones first."""


@dataclass(frozen=True)
class _Panel:
    title: str
    note: str
    value: Callable[[OnBoard], float | None]
    text: Callable[[float], str]
    change: Callable[[OnBoard], float | None]


def _kib(size: int | None) -> float | None:
    return None if size is None else size / 1024


def _short(value: float) -> str:
    return f"{value:,.3g}" if value < 100 else f"{value:,.0f}"


_FLASH = _Panel(
    "flash", "KiB, computed (compiler)", lambda b: _kib(b.flash), "{:,.1f}".format,
    lambda b: b.against and b.against.flash,
)  # fmt: skip
_RAM = _Panel(
    "RAM", "KiB, computed (compiler)", lambda b: _kib(b.ram), "{:,.1f}".format, lambda b: b.against and b.against.ram
)
_INSTRUCTIONS = _Panel(
    "instructions", "millions, measured (emulator)",
    lambda b: None if b.instructions is None else b.instructions / 1e6, _short,
    lambda b: b.against and b.against.instructions,
)  # fmt: skip
_ENERGY = _Panel(
    "energy of a run", "mJ, estimated", lambda b: b.energy_mj, _short, lambda b: b.against and b.against.energy
)
_TIME = _Panel(
    "time of a run", "ms, estimated", lambda b: b.milliseconds, _short, lambda b: b.against and b.against.milliseconds
)


def draw_comparison(report: CompareReport, path: Path) -> Path:
    """Draw into a ``.png`` or ``.svg`` file. Raises ChipfitError U001 for another ending, T001 without matplotlib."""
    check_format(path)
    return save_figure(comparison_figure(report), path)


def comparison_figure(report: CompareReport) -> Figure:
    """A block of panels for each board, one below the other. Numbers stand for models, in their order."""
    from matplotlib.figure import Figure

    names = [f"{k}  {shorten(e.name, _NAME_CELLS)}" for k, e in enumerate(report.entries, 1)]
    has_points = any(e.accuracy is not None for e in report.entries)
    has_energy = any(b.energy_mj is not None for e in report.entries for b in e.boards)
    panels = [_FLASH, _RAM, _INSTRUCTIONS, _ENERGY if has_energy else _TIME]
    margin = 0.3 + 0.075 * max(map(len, names))
    left = 0.75 + _POINT + _BESIDE if has_points else 0.2
    width = left + margin + _PANEL * len(panels) + 0.2
    below = 0.55 + (0.19 + 0.19 * len(report.judged) if len(report.judged) > 1 else 0.0)
    block = max(2.55 if has_points else 1.05, 0.6 + 0.36 * len(names)) + below
    head = 0.62
    height = head + block * len(report.boards)
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    for k, board in enumerate(report.boards):
        top, bottom = 1 - (head + block * k + 0.45) / height, 1 - (head + block * (k + 1) - below) / height

        def grid(columns: int, start: float, end: float, low: float = bottom, high: float = top) -> GridSpec:
            sides = {"left": start / width, "right": end / width, "bottom": low, "top": high}
            return figure.add_gridspec(1, columns, wspace=0.14, **sides)

        found = [e.boards[k] for e in report.entries]
        if has_points:
            axes = figure.add_subplot(grid(1, 0.75, 0.75 + _POINT)[0, 0])
            _points(axes, report, found, board, (top - bottom) * height)
        bars = grid(len(panels), left + margin, width - 0.2)
        first: Axes | None = None
        for i, panel in enumerate(panels):
            axes = figure.add_subplot(bars[0, i], sharey=first)
            if first is None:
                first = axes
                draw_rows(axes, names)
            else:
                axes.tick_params(labelleft=False)
            title = panel.title if has_points or i else f"{panel.title} on {board}"
            draw_bars(axes, title, panel.note, [_bar(panel, b) for b in found], room=0.6)
    _head(figure, report, width, height)
    return figure


def _head(figure: Figure, report: CompareReport, width: float, height: float) -> None:
    heading = f"{plural(len(report.entries), 'model')} side by side"
    figure.text(0.18 / width, 1 - 0.14 / height, heading, fontsize=13, fontweight="bold", va="top", color=INK)
    said = ["blue: no other one is as good in accuracy, flash, RAM and instructions, and better in one"]
    if any(b.problem for e in report.entries for b in e.boards):
        said.append("outlined: too large for the board")
    if len(report.entries) > 1:
        said.append(f"changes: against {printable(report.entries[0].name)}")
    figure.text(
        0.18 / width, 1 - 0.42 / height, "; ".join(said), fontsize=8.5, va="top", color=DIM, parse_math=False
    )  # fmt: skip


def _bar(panel: _Panel, found: OnBoard) -> Bar:
    value = panel.value(found)
    if value is None:
        return Bar(None, "unknown" if not found.problem else "too large" if found.flash else "refused", _LARGE)
    change = percent(panel.change(found))
    more = "" if found.is_whole else ">"
    text = f"{more}{panel.text(value)}" + (f"  {change}" if change else "")
    return Bar(value, text, _colour(found), is_open=bool(found.problem))


def _colour(found: OnBoard) -> str:
    return _LARGE if found.problem else _FRONT if found.on_front else _OTHER


# ---------------------------------------------------------------------------------------------- accuracy


@dataclass(frozen=True)
class _Mark:
    number: int
    x: float
    y: float
    area: float
    colour: str
    shape: str


def _points(axes: Axes, report: CompareReport, found: Sequence[OnBoard], board: str, inches: float) -> None:
    """Accuracy of the integer models against instructions. ``inches``: height of the axes."""
    marks = _marks(report.entries, found)
    for mark in sorted(marks, key=lambda m: -m.area):
        axes.scatter(
            [mark.x], [mark.y], s=mark.area, marker=mark.shape, color=mark.colour, alpha=0.7, edgecolor="white",
            linewidth=0.8, zorder=3,
        )  # fmt: skip
    if len(report.judged) > 1:
        for place, judged in enumerate(report.judged):
            text = f"judged by {plural(judged.samples, 'sample')} of {printable(Path(judged.data).name)}"
            axes.scatter([], [], s=36, marker=_shape(place), color=DIM, label=text)
        axes.legend(
            loc="upper left", bbox_to_anchor=(0.0, -0.46 / inches), borderaxespad=0.0, borderpad=0.0, handletextpad=0.2,
            frameon=False, fontsize=8, labelcolor=DIM,
        )  # fmt: skip
    axes.set_ylabel("right answers, %", fontsize=8.5, color=DIM)
    style_axes(axes, f"accuracy on {board}", "million instructions of a run; larger: more flash")
    axes.grid(axis="y", color=GRID, linewidth=0.8, zorder=0)
    axes.tick_params(axis="y", labelsize=8, colors=DIM)
    if not marks:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no model runs there", transform=axes.transAxes, ha="center", color=DIM, fontsize=9)
        return
    xs, ys = [m.x for m in marks], [m.y for m in marks]
    if max(xs) > 12 * min(xs):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlim(min(xs) / 1.6, max(xs) * 1.6)
    else:
        axes.set_xlim(0, 1.15 * max(xs))
    room = max(0.22 * (max(ys) - min(ys)), 0.5)
    axes.set_ylim(min(ys) - room, min(max(ys) + room, 100 + 0.4 * room))
    _number(axes, marks)


def _marks(entries: Sequence[Entry], found: Sequence[OnBoard]) -> list[_Mark]:
    """Of models whose figures are all known."""
    largest = max((b.flash or 0 for b in found), default=0) or 1
    return [
        _Mark(
            k, b.instructions / 1e6, 100 * e.accuracy.integer.share,
            _LEAST + (_MOST - _LEAST) * (b.flash or 0) / largest, _colour(b), _shape(e.accuracy.judged),
        )
        for k, (e, b) in enumerate(zip(entries, found, strict=True), 1)
        if e.accuracy is not None and b.instructions is not None
    ]  # fmt: skip


def _shape(place: int) -> str:
    return _MARKS[place % len(_MARKS)]


def _number(axes: Axes, marks: Sequence[_Mark]) -> None:
    """A number for each mark, in it where no other one is near; else beside it, where it covers least."""
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import Bbox

    scale = DPI / 72
    places = [(m, *map(float, axes.transData.transform((m.x, m.y)))) for m in marks]
    taken: list[Bbox] = []
    for mark, x, y in places:
        others = [
            Bbox.from_bounds(a - 4 * scale, b - 4 * scale, 8 * scale, 8 * scale) for o, a, b in places if o != mark
        ]

        def box(dx: float, dy: float, x: float = x, y: float = y) -> Bbox:
            return Bbox.from_bounds(x + (dx - 6) * scale, y + (dy - 5) * scale, 12 * scale, 10 * scale)

        def cover(at: tuple[float, float], others: Sequence[Bbox] = others, box: Callable[..., Bbox] = box) -> float:
            mine = box(*at)
            return sum(_common(mine, b) for b in taken) * 3 + sum(_common(mine, b) for b in others)

        dx, dy = min(((0.0, 0.0), *_AROUND), key=cover)
        taken.append(box(dx, dy))
        axes.annotate(
            str(mark.number), (mark.x, mark.y), (dx, dy), textcoords="offset points", ha="center", va="center",
            fontsize=8.5, fontweight="bold", color=INK, zorder=6,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip


def _common(a: Bbox, b: Bbox) -> float:
    """Area that two boxes share."""
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return max(width, 0.0) * max(height, 0.0)
