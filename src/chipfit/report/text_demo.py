"""What ``chipfit demo`` says."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from chipfit.report.info import DemoReport
from chipfit.report.text import blocks, command, count, facts, memory, next_step, plural, ratio, share, title
from chipfit.report.text_compile import memory_text


def demo_text(report: DemoReport) -> RenderableType:
    """Accuracy beside the float model's, what the chip needs, and the proof."""
    figures: list[tuple[str, RenderableType]] = [
        (
            "instructions",
            f"unknown: {report.board} is not emulated" if report.instructions is None else _instructions(report),
        ),
        ("stack", memory(report.stack_bytes)),
        ("obtained", report.how),
    ]
    proof = f"all {count(report.compared_bytes)} bytes of output equal those of the integer reference"
    return blocks(
        title(f"Handwritten digits on {report.board} ({report.core})", plural(report.samples, "picture")),
        facts(
            [
                ("on the chip", _accuracy(report.correct, report.samples, "int8")),
                ("float model", _accuracy(report.float_correct, report.samples, "float32, on this computer")),
            ]
        ),
        memory_text(report.flash, report.ram),
        facts(figures),
        facts([("proof", report.proof), ("", Text(proof, style="bold green"))]),
        next_step(
            command("inspect", "your_model.tflite"),
            command("compile", "your_model.tflite", "-b", report.board),
            command("board", "list"),
        ),
    )


def _accuracy(correct: int, samples: int, note: str) -> Text:
    return Text.assemble(
        (f"{share(correct, samples):>6}", "bold"), f" read right ({correct} of {samples})  ", (note, "dim")
    )


def _instructions(report: DemoReport) -> str:
    per_mac = f", {ratio(report.instructions, report.macs)} per MAC" if report.macs else ""
    return f"{count(report.instructions)} per picture{per_mac}"
