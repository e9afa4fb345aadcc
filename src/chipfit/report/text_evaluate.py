"""What ``chipfit evaluate`` says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from chipfit.evaluation import EvaluationReport, Latency, ModelFigures, Share
from chipfit.report.text import Column, blocks, command, count, facts, kib, next_step, plural, table, title

NONE = "-"
_CONFUSIONS = 3
_PAIRS = 8


def evaluate_text(report: EvaluationReport, width: int, *, charts: Sequence[str], board: str) -> RenderableType:
    """``charts``: files that were drawn; ``board``: one to offer."""
    note = f"{plural(report.samples, 'sample')} of {report.data}"
    if report.skipped:
        note += f", behind the first {count(report.skipped)}"
    return blocks(
        title(plural(len(report.models), "model"), note),
        _accuracy(report, width),
        _cost(report, width),
        _boards(report, width) if report.board is not None else None,
        facts(_facts(report, charts)),
        _next(report, board),
    )


def percent(share: Share | None) -> str:
    return NONE if share is None else f"{100 * share.share:.2f}%"


def milliseconds(seconds: float) -> str:
    """Three digits that matter."""
    ms = 1e3 * seconds
    return f"{ms:.{max(0, 2 - math.floor(math.log10(ms)))}f}" if 1e-6 < ms < 100 else f"{ms:,.0f}"


def decibels(model: ModelFigures) -> str:
    if model.sqnr is None:
        return NONE
    return "exact" if model.sqnr == math.inf else f"{model.sqnr:.1f}"


def _accuracy(report: EvaluationReport, width: int) -> RenderableType:
    columns = [Column("model", flexible=True), Column("kind")]
    columns += [Column(name, "right") for name in ("top-1", "95% within", "top-5", "agreement", "SQNR, dB")]
    rows: list[tuple[str, ...]] = []
    for m in report.models:
        around = NONE if m.top1 is None else f"±{100 * m.top1.half_width:.2f}"
        agrees = NONE if m.agreement is None else f"{100 * m.agreement:.2f}%"
        if m.name == report.reference and len(report.models) > 1:
            agrees = "reference"
        rows.append((m.name, m.form, percent(m.top1), around, percent(m.top5), agrees, decibels(m)))
    unused = {k for k in range(2, 7) if all(row[k] == NONE for row in rows)}
    kept = [k for k in range(7) if k not in unused]
    return table([columns[k] for k in kept], [[row[k] for k in kept] for row in rows], width)


def _cost(report: EvaluationReport, width: int) -> RenderableType:
    engines = list(dict.fromkeys(t.engine for m in report.models for t in m.latency))
    columns = [Column("model", flexible=True), Column("file, KiB", "right"), Column("weights, KiB", "right")]
    columns += [Column(f"{engine}, ms", "right") for engine in engines]
    rows: list[list[str]] = []
    for m in report.models:
        times = {t.engine: t for t in m.latency}
        cells = [_time(times[e]) if e in times else NONE for e in engines]
        rows.append([m.name, kib(m.file_bytes), kib(m.weights_bytes), *cells])
    return table(columns, rows, width)


def _time(latency: Latency) -> str:
    return f"{milliseconds(latency.median)} ({milliseconds(latency.low)} to {milliseconds(latency.high)})"


def _boards(report: EvaluationReport, width: int) -> RenderableType:
    columns = [
        Column(f"on {report.board}", flexible=True), Column("instructions", "right"), Column("ms", "right"),
        Column("flash, KiB", "right"), Column("RAM, KiB", "right"), Column("", flexible=True, prose=True),
    ]  # fmt: skip
    rows: list[tuple[str, ...]] = []
    for m in report.models:
        b = m.board
        if b is None or b.problem is not None:
            rows.append((m.name, NONE, NONE, NONE, NONE, "" if b is None or b.problem is None else b.problem))
            continue
        time = "unknown" if b.milliseconds is None else milliseconds(b.milliseconds / 1e3)
        rows.append((m.name, count(b.instructions), time, kib(b.flash), kib(b.ram), ""))
    if all(not row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return table(columns, rows, width)


def _facts(report: EvaluationReport, charts: Sequence[str]) -> Iterator[tuple[str, RenderableType]]:
    if report.labelled is not None:
        yield "labels", f"{report.labelled}; {count(report.classes)} classes"
    if report.pixels is not None:
        yield "pixels", ", ".join(f"{k} {_plain(v)}" for k, v in report.pixels.items())
    yield "figures", "on the tensor before the softmax; SQNR and agreement against the reference"
    runs = {t.runs for m in report.models for t in m.latency}
    yield "ms", f"single runs on this computer, 1 thread: median of {_span(runs)} runs (half of them within)"
    for engine in dict.fromkeys(m.engine for m in report.models):
        names = ", ".join(m.name for m in report.models if m.engine == engine)
        yield "run by", f"{engine}: {names}"
    if report.board is not None:
        yield "board", "instructions measured (emulator), time estimated (cycle model)"
    for m in report.models:
        if _mistakes(report, m):
            yield "mistakes", f"{m.name}: {_mistakes(report, m)}"
    yield from (("noise", line) for line in _noise(report))
    for m in report.models:
        if m.unclear:
            samples = plural(m.unclear, "sample")
            yield "note", f"{m.name}: on {samples} the greatest element of its own output is another one (equal ones)"
    yield from (("note", note) for note in report.notes)
    yield "time", f"{report.seconds:.1f} s, of which the models ran {sum(m.seconds for m in report.models):.1f} s"
    yield from (("chart", chart) for chart in charts)


def _span(numbers: set[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return "/".join(_plain(v) for v in value)  # pyright: ignore[reportUnknownVariableType]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _mistakes(report: EvaluationReport, model: ModelFigures) -> str:
    return ", ".join(
        f"{c.count} {report.class_name(c.actual)} taken for {report.class_name(c.predicted)}"
        for c in model.worst[:_CONFUSIONS]
        if c.count > 1
    )


def _noise(report: EvaluationReport) -> Iterator[str]:
    """What must not be read as a difference, and what may: each model against the reference, or all pairs."""
    shown = [d for d in report.differences if report.reference in (None, d.a, d.b)]
    for d in shown[:_PAIRS]:
        base, other = (d.b, d.a) if d.b == report.reference else (d.a, d.b)
        lost, won = (d.only_b, d.only_a) if base == d.b else (d.only_a, d.only_b)
        against = "" if base == report.reference else f" against {base}"
        said = "within noise" if d.is_noise else f"{'better' if won > lost else 'worse'} by more than noise"
        yield f"{other}: {plural(lost, 'sample')} lost, {count(won)} won{against}: {said} (p = {d.p_value:.2g})"
    if len(shown) > _PAIRS:
        yield f"{plural(len(shown) - _PAIRS, 'other pair')}: see --json"


def _next(report: EvaluationReport, board: str) -> RenderableType | None:
    """Compile the smallest that can be."""
    found = [m for m in report.models if m.problem is None and m.file is not None]
    if report.board is not None or not found:
        return None
    smallest = min(found, key=lambda m: m.weights_bytes)
    return next_step(command("compile", str(smallest.file), "-b", board))
