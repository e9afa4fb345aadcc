"""What ``chipfit deploy`` says."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from chipfit.deployment import Accuracy, Advice, DeployReport, Needs
from chipfit.report.text import Column, blocks, count, facts, kib, memory, next_step, plural, safe, share, table, title


def deploy_text(report: DeployReport, width: int) -> RenderableType:
    if report.problem is not None:
        return _stopped(report, report.problem, width)
    head = title(f"{report.model} on {report.board}", f"{report.folder}/, in {report.seconds:.0f} s")
    rows: list[tuple[str, RenderableType]] = []
    if report.accuracy is not None:
        rows += _accuracy(report.accuracy)
    if report.flash is not None and report.ram is not None:
        flash, ram = report.flash, report.ram
        goal = _goal(report)
        rows.append(("flash", f"{_of(flash.total, flash.available)}{goal}"))
        rows.append(("RAM", f"{_of(ram.total, ram.available)}, stack included"))
    if report.instructions is not None:
        about = "" if report.milliseconds is None else f", about {report.milliseconds:,.1f} ms"
        rows.append(("one run", f"{count(report.instructions)} instructions{about}"))
    if report.proof is not None:
        proof = report.proof
        what = "every output byte is that of the integer reference" if proof.identical else "within the tolerance"
        rows.append(("proof", f"{plural(proof.samples, 'run')} on the emulated chip: {what}"))
        rows.append(("", proof.line))
    return blocks(head, facts(rows), next_step(report.offer))


def _of(need: int | None, most: int | None) -> str:
    return f"{memory(need)} of {memory(most)}  {share(need, most)}"


def _goal(report: DeployReport) -> str:
    """Which goal was taken, if it was not the first."""
    left = [needs for needs in report.tried if not needs.fits]
    if not left:
        return f"  (--optimize {report.optimize})"
    return f"  (--optimize {report.optimize}, since {left[0].optimize} takes {left[0].problem})"


def _accuracy(accuracy: Accuracy) -> list[tuple[str, RenderableType]]:
    rows: list[tuple[str, RenderableType]] = []
    float32 = "" if accuracy.float32 is None else f"float {_percent(accuracy.float32)}, "
    lost = "" if accuracy.lost is None else f" ({0.0 - accuracy.lost:+.2f} points)"
    what = f"of {plural(accuracy.pictures, 'sample')}, on this computer"
    rows.append(("accuracy", f"{float32}int8 {_percent(accuracy.int8)}{lost} {what}"))
    on_chip = "" if accuracy.chip_float32 is None else f"float {_percent(accuracy.chip_float32)}, "
    if accuracy.chip_int8 is not None:
        rows.append(("", f"{on_chip}int8 {_percent(accuracy.chip_int8)} of the {accuracy.chip_pictures} on the chip"))
    return rows


def _percent(part: float | None) -> str:
    return "unknown" if part is None else f"{100 * part:.2f} %"


# ---------------------------------------------------------------------------------------------- it does not fit


def _stopped(report: DeployReport, problem: str, width: int) -> RenderableType:
    head = Text.assemble((f"{safe(report.model)} does not fit {report.board}: ", "bold red"), safe(problem))
    advice = report.advice
    if advice is None:
        return blocks(head, next_step(report.offer))
    parts: list[RenderableType] = [head]
    if advice.candidates:
        parts.append(_candidates(report.tried, advice, width))
    if advice.best is None:
        parts.append(Text("None of what was computed fits."))
    if advice.skipped:
        parts.append(
            Text(f"{plural(advice.skipped, 'other candidate')} were not computed for lack of time.", style="dim")
        )
    return blocks(*parts, next_step(report.offer))


def _candidates(tried: tuple[Needs, ...], advice: Advice, width: int) -> RenderableType:
    columns = [
        Column("if", flexible=True, prose=True),
        Column("options", flexible=True),
        Column("flash KiB", "right"),
        Column("RAM KiB", "right"),
        Column("ms", "right"),
        Column("fits"),
        Column("costs"),
    ]
    rows = [(f"as it is, {n.optimize}", "", *_figures(n), "") for n in tried]
    rows += [
        (c.change, " ".join(c.options), *_figures(c.needs), c.lost or "time or nothing") for c in advice.candidates
    ]
    said: list[RenderableType] = [table(columns, rows, width)]
    if not all(needs.is_whole for needs in (*tried, *(c.needs for c in advice.candidates))):
        said.append(Text("> : constants alone, and arena, state and stack; it needs more", style="dim"))
    return Group(*said)


def _figures(needs: Needs) -> tuple[str, str, str, str]:
    more = "" if needs.is_whole else ">"
    speed = "" if needs.milliseconds is None else f"{needs.milliseconds:,.1f}"
    return f"{more}{kib(needs.flash)}", f"{more}{kib(needs.ram)}", speed, "yes" if needs.fits else "no"
