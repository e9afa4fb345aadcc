"""Parts that charts share: rows with names, bars or points from 0 in them, and how axes look.

matplotlib is imported only when a picture is drawn. Colours are those of Okabe and Ito (2008), which colour-blind
readers tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, DIM, GRID = "#222222", "#666666", "#E4E4E4"
DPI = 150

_MOST_RATIO = 20
"""Of the longest to the shortest bar of a panel."""


@dataclass(frozen=True)
class Bar:
    """``value``: where it ends, None: unknown; ``text``: behind it. ``is_open``: drawn as an outline."""

    value: float | None
    text: str
    colour: str
    is_open: bool = False


def draw_rows(axes: Axes, names: Sequence[str]) -> None:
    """A row for each name, the first one above."""
    axes.set_yticks(range(len(names)), [printable(n) for n in names], fontsize=9.5, color=INK)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_ylim(len(names) - 0.45, -0.55)


def draw_bars(axes: Axes, title: str, note: str, bars: Sequence[Bar], room: float = 0.22) -> None:
    """Bars from 0; points on a logarithmic axis where the shortest bars could not be seen beside the longest.

    ``room``: for the texts, as a share of the longest bar.
    """
    known = [b.value for b in bars if b.value]
    is_wide = bool(known) and max(known) > _MOST_RATIO * min(known)
    start = 0.4 * min(known) if is_wide else 0.0
    for k, bar in enumerate(bars):
        inside = "white" if bar.is_open else bar.colour
        if is_wide and bar.value:
            axes.plot([start, bar.value], [k, k], color=bar.colour, linewidth=1.2, alpha=0.5)
            axes.plot([bar.value], [k], "o", color=bar.colour, markerfacecolor=inside, markersize=8, zorder=4)
        elif not is_wide:
            edge = bar.colour if bar.is_open else "none"
            axes.barh(k, bar.value or 0.0, height=0.5, facecolor=inside, edgecolor=edge, zorder=3)
        axes.annotate(
            bar.text, (bar.value or start, k), (8 if is_wide else 4, 0),
            textcoords="offset points", va="center", fontsize=8.5, color=INK, parse_math=False,
        )  # fmt: skip
    if is_wide:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlim(start, max(known) * (max(known) / start) ** (room + 0.06))
    else:
        axes.set_xlim(0, (1 + room) * max(known, default=1.0))
    style_axes(axes, title, f"{note}, logarithmic" if is_wide else note)


def style_axes(axes: Axes, title: str, note: str) -> None:
    """Calm: a title and a note to the left, lines for values alone."""
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title, loc="left", fontsize=10.5, color=INK, pad=8, parse_math=False)
    axes.set_xlabel(note, loc="left", fontsize=8.5, color=DIM)
    if axes.get_xscale() == "linear":
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(axis="x", which="minor", length=0, labelbottom=False)
    axes.tick_params(axis="x", labelsize=8, colors=DIM, length=0)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GRID, linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color("#BBBBBB")


def save_figure(figure: Figure, path: Path) -> Path:
    """The same figures give the same file."""
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "chipfit"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})
    return path


def printable(text: str) -> str:
    """What the font can show."""
    return "".join(c if c.isprintable() and ord(c) < 0x250 else "?" for c in text)
