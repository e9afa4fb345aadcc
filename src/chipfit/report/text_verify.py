"""What ``chipfit verify`` says."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from chipfit.report.data import Comparison, VerifyReport
from chipfit.report.text import Column, blocks, plural, safe, table, title


def verify_text(report: VerifyReport, width: int, *, left_out: bool = False) -> RenderableType:
    """Each execution beside the reference, what differs or was left out, and the verdict.

    ``left_out``: a board that the user asked for could not run the model.
    """
    head = title(f"{report.model} against its reference", plural(report.samples, "sample"))
    columns = [Column("execution", flexible=True), Column("result"), Column("largest difference", "right")]
    rows = [(c.against, result(c, report.tolerance), _error(c, report.tolerance)) for c in report.comparisons]
    return blocks(head, table(columns, rows, width), _notes(report.comparisons), verdict(report, left_out))


def result(comparison: Comparison, tolerance: float) -> str:
    """One comparison in a word or two."""
    if comparison.skipped is not None:
        return "skipped"
    if comparison.identical:
        return "identical"
    return f"within {tolerance:g}" if comparison.passed else "differs"


def _error(comparison: Comparison, tolerance: float) -> str:
    if comparison.skipped is not None:
        return ""
    if tolerance:
        return f"{comparison.max_error:.1e} relative"
    return f"{comparison.max_error:g}"


def _notes(comparisons: tuple[Comparison, ...]) -> RenderableType | None:
    notes = [(c.against, c.skipped or (None if c.passed else c.first_difference)) for c in comparisons]
    lines = [Text.assemble((f"{name}: ", "dim"), safe(note)) for name, note in notes if note]
    return Group(*lines) if lines else None


def verdict(report: VerifyReport, left_out: bool) -> Text:
    """The last line. What was skipped proves nothing, and is not counted."""
    done = [c for c in report.comparisons if c.skipped is None]
    if not done:
        return Text("Nothing was compared.", style="bold yellow")
    if not report.passed:
        return Text("Not passed: outputs differ.", style="bold red")
    if left_out:
        return Text("Not passed: a board that was asked for could not run the model.", style="bold red")
    if report.identical:
        return Text("Passed: every byte of every output is identical.", style="bold green")
    return Text(f"Passed: every output is within {report.tolerance:g} of the reference.", style="bold green")
