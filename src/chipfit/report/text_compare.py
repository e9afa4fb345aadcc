"""What ``chipfit compare`` says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from string import ascii_lowercase

from rich.console import RenderableType
from rich.text import Text

from chipfit.comparison import Accuracy, CompareReport, OnBoard
from chipfit.report.text import Column, blocks, count, facts, kib, next_step, plural, safe, table, title

NONE = "-"
FRONT = "*"

_WIDE = 100
"""Columns of a terminal that also has room for what changes in flash and RAM."""


def compare_text(report: CompareReport, width: int, *, charts: Sequence[str] = ()) -> RenderableType:
    """``charts``: files that were drawn."""
    boards = [part for k in range(len(report.boards)) for part in (_heading(report, k), _board(report, k, width))]
    return blocks(
        title(plural(len(report.entries), "model"), f"on {', '.join(report.boards)}, {report.seconds:.0f} s"),
        _models(report, width),
        *boards,
        Text(_legend(report), style="dim"),
        facts(_facts(report, charts)),
        None if report.offer is None else next_step(report.offer),
    )


def letter(place: int) -> str:
    """What stands for the samples at a place of :attr:`CompareReport.judged`."""
    return ascii_lowercase[place % len(ascii_lowercase)]


def percent(change: float | None) -> str:
    """Against the first model: -52%."""
    if change is None:
        return ""
    if abs(change) < 0.0005:
        return "0%"
    return f"{100 * change:+.0f}%" if abs(change) >= 0.0995 else f"{100 * change:+.1f}%"


def points(accuracy: Accuracy | None) -> str:
    """Percentage points against the first model, in brackets where chance makes as many."""
    if accuracy is None or accuracy.points is None:
        return ""
    text = f"{accuracy.points:+.2f}"
    return f"({text})" if accuracy.difference is not None and accuracy.difference.is_noise else text


def _models(report: CompareReport, width: int) -> RenderableType:
    """What is so on every board."""
    entries = report.entries
    columns = [Column("model", flexible=True)]
    rows = [[e.name] for e in entries]
    if any(e.accuracy for e in entries):
        columns += [Column(name, "right") for name in ("float", "integer", "95% within", "points")]
        if len(report.judged) > 1:
            columns += [Column("of")]
        for row, entry in zip(rows, entries, strict=True):
            row += _accuracy(entry.accuracy, is_first=entry is entries[0], with_place=len(report.judged) > 1)
    columns += [Column("parameters", "right"), Column("MACs", "right")]
    rows = [[*row, count(e.parameters), count(e.macs)] for row, e in zip(rows, entries, strict=True)]
    return table(columns, rows, width)


def _accuracy(accuracy: Accuracy | None, *, is_first: bool, with_place: bool) -> list[str]:
    place = [] if not with_place else [NONE if accuracy is None else letter(accuracy.judged)]
    if accuracy is None:
        return [NONE, "unknown", NONE, NONE, *place]
    whole = NONE if accuracy.float32 is None else f"{100 * accuracy.float32.share:.2f}%"
    apart = NONE if is_first else points(accuracy) or NONE
    exact = accuracy.integer
    return [whole, f"{100 * exact.share:.2f}%", f"±{100 * exact.half_width:.2f}", apart, *place]


def _heading(report: CompareReport, place: int) -> RenderableType:
    return Text(f"on {safe(report.boards[place])}", style="bold")


def _board(report: CompareReport, place: int, width: int) -> RenderableType:
    found = [(e.name, e.boards[place]) for e in report.entries]
    has_energy = any(b.energy_mj is not None for _, b in found)
    columns = [
        Column("model", flexible=True),
        Column("flash KiB", "right"), Column("", "right", wide=_WIDE),
        Column("RAM KiB", "right"), Column("", "right", wide=_WIDE),
        Column("instructions", "right"), Column("", "right"),
        Column("ms", "right"),
        *((Column("mJ", "right"),) if has_energy else ()),
        Column("front"),
    ]  # fmt: skip
    return table(columns, [[name, *_costs(b, has_energy)] for name, b in found], width)


def _costs(found: OnBoard, has_energy: bool) -> list[str]:
    against = found.against
    flash, ram, speed = (None, None, None) if against is None else (against.flash, against.ram, against.instructions)
    more = "" if found.is_whole or found.flash is None else ">"
    energy = NONE if found.energy_mj is None else f"{found.energy_mj:,.3g}"
    front = "too large" if found.flash is not None and found.problem else FRONT if found.on_front else ""
    return [
        NONE if found.flash is None else f"{more}{kib(found.flash)}",
        percent(flash),
        NONE if found.ram is None else f"{more}{kib(found.ram)}",
        percent(ram),
        NONE if found.instructions is None else count(found.instructions),
        percent(speed),
        NONE if found.milliseconds is None else milliseconds(found.milliseconds),
        *((energy,) if has_energy else ()),
        "refused" if found.flash is None else front,
    ]


def milliseconds(value: float) -> str:
    return f"{value:,.3g}" if value < 100 else f"{value:,.0f}"


def _legend(report: CompareReport) -> str:
    """What marks and brackets mean, of those that are there."""
    other = "other model" if len(report.judged) < 2 else "other model that the same samples judged"
    said = [f"{FRONT} no {other} is as good in accuracy, flash, RAM and instructions, and better in one of them."]
    if len(report.entries) > 1:
        said.append(f"Changes are against {safe(report.entries[0].name)}.")
    if any(points(e.accuracy).startswith("(") for e in report.entries):
        said.append("Points in brackets are within noise.")
    return " ".join(said)


def _facts(report: CompareReport, charts: Sequence[str]) -> Iterator[tuple[str, RenderableType]]:
    for about in dict.fromkeys(e.about for e in report.entries if e.about):
        yield "network", f"{', '.join(e.name for e in report.entries if e.about == about)}: {about}"
    for place, judged in enumerate(report.judged):
        name = "accuracy" if len(report.judged) == 1 else f"samples {letter(place)}"
        yield name, f"of {plural(judged.samples, 'sample')} of {judged.data} ({judged.how})"
    for entry in report.entries:
        for found in entry.boards:
            if found.problem:
                yield "problem", f"{entry.name} on {found.board}: {found.problem}"
    yield from _compiled(report)
    yield "figures", f"flash, RAM {report.how_memory}; instructions {report.how_instructions}; ms estimated"
    yield from (("note", note) for note in report.notes)
    if report.folder is not None:
        yield "folder", f"{report.folder}: {', '.join(report.files)}"
    yield from (("chart", chart) for chart in charts)


def _compiled(report: CompareReport) -> Iterator[tuple[str, RenderableType]]:
    """How, where that is not the same for all."""
    ways = {(e.name, b.board): _way(b) for e in report.entries for b in e.boards if b.optimize is not None}
    if set(ways.values()) - {"--optimize balanced"}:
        for way in dict.fromkeys(ways.values()):
            names = [_where(report, name, board) for (name, board), found in ways.items() if found == way]
            yield "compiled", f"{way}: {', '.join(names)}"


def _way(found: OnBoard) -> str:
    return f"--optimize {found.optimize}{' --weights compressed' if found.weights == 'compressed' else ''}"


def _where(report: CompareReport, name: str, board: str) -> str:
    return name if len(report.boards) == 1 else f"{name} ({board})"
