"""How figures, names and tables look. One place, so that all output reads alike.

Memory is in KiB with one decimal, counts have thousands separators, shares are percent with one decimal; what is not
known is the word "unknown". Names come from files, so they are data: never markup, and control characters are shown,
not sent to the terminal.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from chipfit.report.data import TensorInfo

UNKNOWN = "unknown"
GAP = 2
"""Blanks between two columns."""

_SHORTEST = 12


def kib(nbytes: int | None) -> str:
    """Bytes as KiB, without the unit."""
    return UNKNOWN if nbytes is None else f"{nbytes / 1024:,.1f}"


def memory(nbytes: int | None) -> str:
    """Bytes as KiB, with the unit."""
    return UNKNOWN if nbytes is None else f"{kib(nbytes)} KiB"


def count(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,}"


def share(part: int | None, whole: int | None) -> str:
    """Percent of ``whole``."""
    return UNKNOWN if part is None or not whole else f"{100 * part / whole:.1f}%"


def ratio(part: int | None, whole: int | None) -> str:
    """``part`` for each of ``whole``; empty where there is nothing to divide by."""
    if whole == 0:
        return ""
    return UNKNOWN if part is None or whole is None else f"{part / whole:,.2f}"


def plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def safe(name: str) -> str:
    """A name from a file, fit for a terminal: what cannot be printed is written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name)


def safe_lines(text: str) -> str:
    """A text of several lines, each of them safe."""
    return "\n".join(safe(line) for line in text.split("\n"))


def paragraphs(text: str) -> Text:
    """A docstring: lines of one paragraph run on, marks of code go."""
    return Text("\n\n".join(safe(" ".join(p.split())) for p in text.replace("``", "").split("\n\n")))


def shorten(name: str, width: int) -> str:
    """At most ``width`` cells of a name.

    TensorFlow Lite joins the names of fused layers by semicolons: the first is kept. Names in a tree differ at their
    end: that is kept.
    """
    if cell_len(name) <= width:
        return name
    first = name.split(";")[0]
    if first and cell_len(first) + 3 <= width:
        return f"{first}..."
    return f"...{_last_cells(first or name, width - 3)}"


def _last_cells(name: str, width: int) -> str:
    at = len(name)
    while at and cell_len(name[at - 1 :]) <= width:
        at -= 1
    return name[at:]


def tensor(info: TensorInfo) -> str:
    """Type and quantization of an input or output, without its name."""
    text = f"{info.dtype}[{','.join(map(str, info.shape))}]"
    return text if info.scale is None else f"{text}, scale {info.scale:g}, zero point {info.zero_point}"


def tensors(kind: str, infos: Sequence[TensorInfo]) -> list[tuple[str, str]]:
    """A line of facts for each input or output."""
    names = [kind] if len(infos) == 1 else [f"{kind} {i}" for i in range(len(infos))]
    return [(name, f"'{safe(info.name)}' {tensor(info)}") for name, info in zip(names, infos, strict=True)]


# ---------------------------------------------------------------------------------------------- tables


@dataclass(frozen=True)
class Column:
    """``flexible``: shortened where the line is too narrow; as a name, or as ``prose`` at its end.

    ``wide``: left out below that width.
    """

    title: str
    align: Literal["left", "right"] = "left"
    flexible: bool = False
    wide: int = 0
    style: str = ""
    prose: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], width: int, total: Sequence[str] = ()) -> Table:
    """A calm table: no lines, numbers to the right, a dim head, a bold total."""
    body = [[safe(cell) for cell in row] for row in rows]
    everything = [[c.title for c in columns], *body, *([list(total)] if total else [])]
    kept = [k for k, c in enumerate(columns) if width >= c.wide]
    room = width - sum(max(cell_len(row[k]) for row in everything) for k in kept if not columns[k].flexible)
    room -= GAP * (len(kept) - 1)
    flexible = sum(columns[k].flexible for k in kept)
    result = Table(
        box=None, pad_edge=False, padding=(0, GAP, 0, 0), collapse_padding=True, header_style="dim", show_edge=False
    )
    for k in kept:
        c = columns[k]
        result.add_column(Text(c.title), justify=c.align, no_wrap=True, overflow="ellipsis", style=c.style)
    for row in body:
        result.add_row(*(_cell(row[k], columns[k], room // max(flexible, 1)) for k in kept))
    if total:
        result.add_row(*(Text(total[k], style="bold") for k in kept))
    return result


def _cell(text: str, column: Column, room: int) -> Text:
    room = max(room, _SHORTEST)
    if not column.flexible or cell_len(text) <= room:
        return Text(text)
    return Text(f"{set_cell_size(text, room - 3).rstrip()}..." if column.prose else shorten(text, room))


def facts(pairs: Iterable[tuple[str, RenderableType]], name_width: int = 8) -> Table:
    """Names to the left, what is said of them to the right."""
    grid = Table.grid(padding=(0, GAP, 0, 0))
    grid.add_column(style="dim", no_wrap=True, min_width=name_width)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(Text(name), Text(safe(value)) if isinstance(value, str) else value)
    return grid


def title(text: str, note: str = "") -> Text:
    """The first line of a report."""
    return Text.assemble((safe(text), "bold"), (f"  {safe(note)}" if note else "", ""))


def command(*words: str) -> str:
    """``chipfit`` with these words, quoted so that it can be pasted into a shell."""
    return " ".join(["chipfit", *(shlex.quote(safe(word)) for word in words)])


def next_step(*commands: str) -> Text:
    """What a user would do now: the last line of a report."""
    lines = [Text.assemble(("Next: " if i == 0 else "      ", "dim"), (c, "cyan")) for i, c in enumerate(commands)]
    return Text("\n", no_wrap=True, overflow="ignore").join(lines)  # a command that is cut cannot be pasted


def blocks(*parts: RenderableType | None) -> Group:
    """Parts below each other with an empty line in between; None is left out."""
    shown = [part for part in parts if part is not None]
    spaced = [item for part in shown for item in (part, Text(""))]
    return Group(*spaced[:-1])


def to_text(renderable: RenderableType, width: int = 80) -> str:
    """As it is printed where there is no terminal."""
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable, crop=False)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"
