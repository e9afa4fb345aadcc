"""A search as a picture: accuracy against instructions, RAM and flash of all networks, and the front among them.

Needs matplotlib (``pip install 'chipfit[report]'``), which is imported only when a picture is drawn. Colours are those
of Okabe and Ito (2008), which colour-blind readers tell apart.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from chipfit.report.memory_map import check_format
from chipfit.search import SearchReport, Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OTHER, _FRONT, _BEST = "#9AA3AD", "#0072B2", "#D55E00"
_GRID, _DIM = "#E4E4E4", "#666666"
_DPI = 150

_PANELS: tuple[tuple[str, Callable[[Trial], float | None]], ...] = (
    ("million instructions", lambda t: None if t.needs.instructions is None else t.needs.instructions / 1e6),
    ("RAM, KiB", lambda t: t.needs.ram / 1024),
    ("flash, KiB", lambda t: t.needs.flash / 1024),
)


def draw_search(report: SearchReport, path: Path) -> None:
    """Draw into a ``.png`` or ``.svg`` file. Raises ChipfitError U001 for another ending, T001 without matplotlib."""
    check_format(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), dpi=_DPI, layout="constrained")
    axes = figure.subplots(1, len(_PANELS), sharey=True)
    for panel, (name, of) in zip(axes, _PANELS, strict=True):
        _panel(panel, report, name, of)
    axes[0].set_ylabel("right answers of the integer network, %")
    axes[-1].legend(loc="lower right", frameon=False, fontsize=8)
    figure.suptitle(f"{len(report.trials)} networks on {report.board}", x=0.01, ha="left", fontsize=11)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})


def _panel(axes: Axes, report: SearchReport, name: str, of: Callable[[Trial], float | None]) -> None:
    groups = (
        ("trained", _OTHER, [t for t in report.trials if not t.on_front]),
        ("front", _FRONT, [t for t in report.front if t.number != report.best]),
        ("best", _BEST, [t for t in report.trials if t.number == report.best]),
    )
    for label, colour, trials in groups:
        known = [(x, 100 * t.integer, t.number) for t in trials if (x := of(t)) is not None]
        axes.scatter([x for x, _, _ in known], [y for _, y, _ in known], s=32, color=colour, label=label, zorder=3)
        for x, y, number in known:
            axes.annotate(str(number), (x, y), (4, 4), textcoords="offset points", fontsize=7, color=_DIM)
    axes.set_xlabel(name)
    axes.grid(color=_GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
