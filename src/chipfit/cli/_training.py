"""What a training says while it learns, and how a picture's size is written."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from chipfit.cli._console import stderr
from chipfit.errors import ChipfitError
from chipfit.training.loop import Epoch, Phase, Watch

if TYPE_CHECKING:
    from rich.console import Console

_LEARNING: dict[Phase, str] = {"head": "the head", "all": "all layers"}


def size_of(text: str) -> tuple[int, int]:
    """Height and width. Raises ChipfitError U001."""
    height, between, width = text.partition("x")
    if not height.isdigit() or not (width if between else height).isdigit():
        raise ChipfitError("U001", f"--size {text} is no size", "one number, or height and width: 64 or 96x128")
    return int(height), int(width or height)


class Telling(Watch):
    """A bar over all epochs, where there is a terminal, and a line for each."""

    def __init__(self, console: Console, epochs: int) -> None:
        self._console, self._epochs = console, epochs
        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(bar_width=24),
            TextColumn("{task.fields[figures]}", markup=False), TimeRemainingColumn(),
        )  # fmt: skip
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self.bar.add_task("reading pictures", total=None, figures="")

    def line(self, text: str) -> None:
        """A line that stays above the bar."""
        self._console.print(text, soft_wrap=True)

    def reading(self, what: str, done: int, total: int) -> None:
        self.bar.update(self._task, description=what, completed=done, total=total, figures="")

    def batch(self, number: int, phase: Phase, done: int, total: int, loss: float, accuracy: float | None) -> None:
        self.bar.update(
            self._task,
            description=f"epoch {number} of {self._epochs}, {_LEARNING[phase]}",
            completed=(number - 1) * total + done,
            total=self._epochs * total,
            figures=_figures(loss, accuracy),
        )

    def epoch(self, epoch: Epoch, is_best: bool) -> None:
        self._console.print(
            f"epoch {epoch.number:>{len(str(self._epochs))}}  {_LEARNING[epoch.phase]:<10}  "
            f"{_figures(epoch.loss, epoch.accuracy)}  validation: {_figures(epoch.val_loss, epoch.val_accuracy)}"
            f"  {epoch.seconds:.1f} s{'  best' if is_best else ''}",
            soft_wrap=True,
        )


def _figures(loss: float, accuracy: float | None) -> str:
    return f"loss {loss:.4f}" + ("" if accuracy is None else f", {100 * accuracy:.1f}% right")


@contextmanager
def telling(epochs: int) -> Generator[tuple[Telling, Callable[[str, int, int], None]]]:
    """What is told of batches and epochs, and of reading."""
    watch = Telling(stderr(), epochs)
    with watch.bar:
        yield watch, watch.reading
