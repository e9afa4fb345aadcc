"""What ``chipfit flash`` and ``chipfit monitor`` say."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from chipfit.flashing import FlashReport, MonitorReport
from chipfit.report.text import blocks, command, next_step, safe, title


def flash_text(report: FlashReport) -> RenderableType:
    if not report.is_done:
        lines = [title(f"In {report.folder}/:"), *(Text(f"  {safe(line)}") for line in report.commands)]
        return Text("\n", no_wrap=True, overflow="ignore").join(lines)
    where = f" at {report.port}" if report.port else ""
    head = title(f"{report.board}{where} runs {report.folder}/")
    words = ["--port", report.port] if report.port else []
    return blocks(head, next_step(command("monitor", *words)))


def monitor_text(report: MonitorReport) -> RenderableType:
    """Why a board did not pass."""
    if report.difference is not None:
        return Text.assemble(("The board says that outputs differ: ", "bold red"), safe(report.difference))
    return Text(f"The text that was waited for did not come in {report.seconds:.0f} s.", style="bold red")
