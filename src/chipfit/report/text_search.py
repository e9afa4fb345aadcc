"""What ``chipfit search`` says."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from chipfit.report.text import Column, blocks, count, facts, kib, next_step, plural, safe, table, title
from chipfit.search import SearchReport, Trial


def search_text(report: SearchReport, width: int) -> RenderableType:
    head = title(
        f"{plural(len(report.trials), 'network')} of {report.space} on {report.board}", f"{report.seconds:.0f} s"
    )
    known = f"{report.costed} of {report.candidates} candidates compiled, {report.refused} of them over the limits"
    if not report.trials:
        none = Text("No candidate that was compiled keeps to the limits.", style="bold red")
        return blocks(head, facts([("space", known), ("limits", _limits(report))]), none, next_step(report.offer))
    rows = [
        ("space", known),
        ("limits", _limits(report)),
        ("accuracy", f"of {plural(report.pictures, 'validation picture')}"),
        ("figures", report.how),
        ("folder", f"{report.folder}: {', '.join(report.files)}"),
    ]
    return blocks(
        head,
        trials_table(report.front, report.best, width),
        Text("The front: nothing that was trained is as good in all of these figures and better in one.", style="dim"),
        facts(rows),
        next_step(report.offer),
    )


def trials_table(trials: Sequence[Trial], best: int | None, width: int) -> RenderableType:
    columns = [
        Column("network", flexible=True),
        Column("float", "right"),
        Column("int", "right"),
        Column("flash KiB", "right"),
        Column("RAM KiB", "right"),
        Column("instructions", "right"),
        Column("ms", "right"),
        Column("trial", "right"),
    ]
    return table(columns, [_row(t, best) for t in trials], width)


def _row(trial: Trial, best: int | None) -> list[str]:
    needs = trial.needs
    return [
        safe(trial.point.title),
        f"{100 * trial.float32:.2f}%",
        f"{100 * trial.integer:.2f}%",
        kib(needs.flash),
        kib(needs.ram),
        count(needs.instructions),
        "" if needs.milliseconds is None else f"{needs.milliseconds:,.1f}",
        f"{trial.number}{' best' if trial.number == best else ''}",
    ]


def trial_line(trial: Trial, done: int, total: int) -> str:
    """For the log, when one has been trained."""
    needs = trial.needs
    speed = "" if needs.instructions is None else f", {needs.instructions:,} instructions"
    return (
        f"{done:>{len(str(total))}} of {total}  {trial.point.title}: {100 * trial.integer:.2f}% right, flash "
        f"{kib(needs.flash)} KiB, RAM {kib(needs.ram)} KiB{speed}, {trial.seconds:.0f} s"
    )


def _limits(report: SearchReport) -> str:
    limits = report.limits
    said = [
        f"{name} {value / 1024:,.1f} KiB" for name, value in (("flash", limits.flash), ("RAM", limits.ram)) if value
    ]
    said += [f"{limits.milliseconds:,.1f} ms"] if limits.milliseconds else []
    return ", ".join(said) or "the board's memories"
