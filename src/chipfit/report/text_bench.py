"""What ``chipfit bench`` says."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from chipfit.bench import BenchReport, BenchRow, failures
from chipfit.report.text import UNKNOWN, Column, blocks, count, memory, plural, ratio, safe, table, title


def bench_text(report: BenchReport, before: BenchReport | None, width: int) -> RenderableType:
    """The table, with the change against an earlier report where there is one, and the verdict."""
    rows = [row for row in report.rows if row.problem is None]
    samples = plural(report.rows[0].samples, "random sample") if report.rows else "no rows"
    goals = ", ".join(dict.fromkeys(row.optimize for row in report.rows))
    return blocks(
        title("Benchmark", f"{samples}, {goals}, {report.compiler}"),
        _table(rows, before, width) if rows else None,
        _notes(report),
        _verdict(report, before),
    )


def _table(rows: list[BenchRow], before: BenchReport | None, width: int) -> RenderableType:
    changed = [Column("change", "right")] if before else []
    columns = [
        Column("model", flexible=True),
        Column("board"),
        Column("instructions", "right"),
        *changed,
        Column("per MAC", "right"),
        Column("cycles*", "right", wide=100),
        Column("per MAC", "right", wide=100),
        Column("flash", "right"),
        Column("less weights", "right", wide=130),
        *changed,
        Column("arena", "right", wide=130),
        Column("RAM", "right"),
        *changed,
        Column("stack", "right"),
        Column("compiled", "right", wide=130),
        Column("outputs", wide=100),
    ]
    return table(columns, [_cells(row, before) for row in rows], width)


def _cells(row: BenchRow, before: BenchReport | None) -> list[str]:
    earlier = before.row(row.key) if before else None

    def change(figure: str) -> list[str]:
        return [] if before is None else [_change(getattr(earlier, figure, None), getattr(row, figure))]

    return [
        row.model,
        row.board,
        count(row.instructions),
        *change("instructions"),
        ratio(row.instructions, row.macs),
        count(row.cycles),
        ratio(row.cycles, row.macs),
        memory(row.flash),
        memory(row.flash_less_weights),
        *change("flash"),
        memory(row.arena),
        memory(row.ram),
        *change("ram"),
        f"{count(row.stack)} B",
        UNKNOWN if row.compile_seconds is None else f"{row.compile_seconds:.1f} s",
        "identical" if row.identical else "close enough" if row.passed else "differ",
    ]


def _change(before: int | None, after: int | None) -> str:
    if before is None or after is None:
        return "new"
    if before == after:
        return "="
    return f"{100 * (after / before - 1):+.2f}%" if before else f"+{after:,}"


def _notes(report: BenchReport) -> RenderableType | None:
    lines = [f"{row.model} on {row.board}: {row.problem}" for row in report.rows if row.problem is not None]
    lines += [f"* {row.board}: {row.cycles_how}" for row in _one_a_board(report) if row.cycles_how]
    return Group(*(Text(safe(line), style="dim") for line in lines)) if lines else None


def _one_a_board(report: BenchReport) -> list[BenchRow]:
    return list({row.board: row for row in report.rows if row.problem is None}.values())


def _verdict(report: BenchReport, before: BenchReport | None) -> RenderableType:
    problems = failures(before, report)
    if problems:
        return Group(*(Text.assemble(("worse: ", "bold red"), safe(line)) for line in problems))
    measured = sum(row.problem is None for row in report.rows)
    if not measured:
        return Text("Nothing was measured.", style="bold yellow")
    better = " Nothing became worse." if before else ""
    return Text(f"Every output of {plural(measured, 'row')} is the reference's.{better}", style="bold green")
