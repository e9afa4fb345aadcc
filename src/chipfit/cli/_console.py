"""Where output goes: results to stdout, talk to stderr."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

PIPE_WIDTH = 160
"""Columns where there is no terminal: wide, so that other programs get whole names. COLUMNS overrides it."""


def stdout() -> Console:
    return _console(stderr=False)


def stderr() -> Console:
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console


def show(render: Callable[[int], RenderableType]) -> None:
    """Print a report, which is told the width it has."""
    console = stdout()
    with console.capture() as capture:
        console.print(render(console.width), crop=False)
    # what rich pads to the width of the terminal is of no use in a file
    lines = [line.rstrip() for line in capture.get().split("\n")]
    # names and bars may hold what the terminal's encoding has no character for
    text = "\n".join(lines).encode(console.encoding, "replace")
    console.file.write(text.decode(console.encoding))


def show_json(data: dict[str, Any]) -> None:
    """Print a report as JSON, and nothing else."""
    print(json.dumps(_strict(data), indent=2, allow_nan=False))


def _strict(value: Any) -> Any:
    """JSON has no NaN and no infinities: they become the strings that JavaScript prints."""
    if isinstance(value, dict):
        return {k: _strict(v) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_strict(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


class Talk:
    """What happens now, on one line that goes when it is done. Silent where stderr is no terminal."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None) if progress else None

    def say(self, text: str) -> None:
        if self._progress and self._task is not None:
            self._progress.update(self._task, description=text)

    def progress(self, what: str, done: int, total: int) -> None:
        """What long work is told with."""
        self.say(f"{what}: {done} of {total}")

    def tell(self, text: str) -> None:
        """A line that stays."""
        console = self._progress.console if self._progress else stderr()
        console.print(text, soft_wrap=True)

    def instructions(self, count: int) -> None:
        self.say(f"running: {count / 1e6:,.0f} million instructions")


@contextmanager
def talk(text: str) -> Generator[Talk]:
    """Talk while something takes its time."""
    console = stderr()
    if not console.is_terminal:
        yield Talk(None)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        one = Talk(progress)
        one.say(text)
        yield one
