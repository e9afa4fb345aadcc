"""The course of a training as a picture: loss, accuracy and learning rate, epoch by epoch.

Needs matplotlib (``pip install 'chipfit[report]'``), which is imported only when a picture is drawn. Colours are those
of Okabe and Ito (2008), which colour-blind readers tell apart.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chipfit.training.loop import Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _DIM, _GRID, _BAND = "#222222", "#666666", "#E6E6E6", "#F2F2F2"
_TRAINING, _VALIDATION, _RATE = "#0072B2", "#D55E00", "#009E73"
_DPI = 110


def curves_png(history: Sequence[Epoch], best: int, title: str) -> bytes:
    """A ``.png`` file; the same history gives the same bytes. ``best``: number of the epoch that was kept."""
    figure = curves_figure(history, best, title)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def curves_figure(history: Sequence[Epoch], best: int, title: str) -> Figure:
    """The picture as a matplotlib figure."""
    from matplotlib.figure import Figure

    has_accuracy = history[0].val_accuracy is not None
    figure = Figure(figsize=(9.5 if has_accuracy else 6.5, 4.6), dpi=_DPI)
    grid = figure.add_gridspec(
        2, 1 + has_accuracy, height_ratios=[4, 1], left=0.085, right=0.975, top=0.86, bottom=0.12, hspace=0.14,
        wspace=0.18,
    )  # fmt: skip
    loss = figure.add_subplot(grid[0, 0])
    _lines(loss, history, [e.loss for e in history], [e.val_loss for e in history], best)
    loss.set_ylabel("loss" if has_accuracy else "mean squared error", fontsize=9)
    loss.set_yscale("log")
    if has_accuracy:
        accuracy = figure.add_subplot(grid[:, 1])
        learned = [100 * (e.accuracy or 0.0) for e in history]
        judged = [100 * (e.val_accuracy or 0.0) for e in history]
        _lines(accuracy, history, learned, judged, best)
        accuracy.set_ylabel("accuracy, %", fontsize=9)
        accuracy.set_xlabel("epoch", fontsize=9)
    _rates(figure.add_subplot(grid[1, 0], sharex=loss), history)
    loss.tick_params(labelbottom=False)
    loss.legend(fontsize=8, frameon=False, loc="best")
    figure.text(0.085, 0.935, title, fontsize=11, color=_INK, weight="bold", parse_math=False)
    kept = history[best - 1]
    judged_by = f"{100 * (kept.val_accuracy or 0.0):.2f} %" if has_accuracy else f"{kept.val_loss:.4g}"
    figure.text(0.975, 0.935, f"kept: epoch {best}, {judged_by} on validation", fontsize=9, color=_DIM, ha="right")
    return figure


def _lines(axes: Axes, history: Sequence[Epoch], training: Sequence[float], judged: Sequence[float], best: int) -> None:
    numbers = [e.number for e in history]
    axes.plot(numbers, training, color=_TRAINING, marker=".", markersize=5, linewidth=1.2, label="training")
    axes.plot(numbers, judged, color=_VALIDATION, marker=".", markersize=5, linewidth=1.6, label="validation")
    axes.plot([best], [judged[best - 1]], "o", color=_VALIDATION, markersize=9, fillstyle="none", label="kept")
    _frame(axes, history)


def _rates(axes: Axes, history: Sequence[Epoch]) -> None:
    axes.step([e.number for e in history], [e.rate for e in history], color=_RATE, linewidth=1.2, where="mid")
    axes.set_yscale("log")
    rates = sorted({e.rate for e in history})
    axes.set_yticks([rates[0], rates[-1]], [f"{rates[0]:.1e}", f"{rates[-1]:.1e}"])
    axes.minorticks_off()
    axes.set_ylabel("rate", fontsize=9)
    axes.set_xlabel("epoch", fontsize=9)
    axes.margins(y=0.25)
    _frame(axes, history)


def _frame(axes: Axes, history: Sequence[Epoch]) -> None:
    """Grid, and a band under the epochs in which the head learned alone."""
    from matplotlib.ticker import MaxNLocator

    frozen = sum(e.phase == "head" for e in history)
    if frozen:
        axes.axvspan(0.5, frozen + 0.5, color=_BAND, zorder=0, label="head alone")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0.5, max(2, len(history)) + 0.5)
    axes.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=_DIM)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
