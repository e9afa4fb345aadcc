"""What reports look like, at two widths."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import RenderableType

from chipfit.comparison import CompareReport
from chipfit.errors import CODES
from chipfit.report import text
from chipfit.report.text_catalog import board_text, boards_text, code_text, doctor_text
from chipfit.report.text_compare import compare_text
from chipfit.report.text_compile import compile_text
from chipfit.report.text_demo import demo_text
from chipfit.report.text_inspect import inspect_text
from chipfit.report.text_memory import memory_text
from chipfit.report.text_quantize import quantize_text
from chipfit.report.text_run import run_text
from chipfit.report.text_stream import stream_text
from chipfit.report.text_variants import variants_text
from chipfit.report.text_verify import verify_text
from cli import cli_reports as made
from comparison.reports import made_up


def _named(report: CompareReport) -> CompareReport:
    """Whose models have odd names, and in which nothing is known of one."""
    names = ("\x1b[31mred\u202e", "名前" * 20, "runs/a_long_name_that_ends_with_what_differs_0", "plain")
    entries = [dataclasses.replace(e, name=n, about=n) for e, n in zip(report.entries, names, strict=True)]
    entries[3] = dataclasses.replace(entries[3], accuracy=None, unknown="nothing says")
    return dataclasses.replace(report, entries=tuple(entries), folder="out", files=("compare.json",), offer=None)


RENDER: dict[str, Callable[[int], RenderableType]] = {
    "inspect": lambda width: inspect_text(made.INSPECT, width, source="my models/kws.tflite", board="host"),
    "compile": lambda width: compile_text(made.COMPILE, width),
    "compile_kernels": lambda width: compile_text(made.COMPILE, width, kernels=True),
    "run": lambda width: run_text(made.RUN, width, source="random (seed 0)"),
    "verify": lambda width: verify_text(made.VERIFY, width),
    "verify_float": lambda width: verify_text(made.VERIFY_FLOAT, width),
    "memory": lambda width: memory_text(made.MEMORY, width, offers=("chipfit compile x -b host",)),
    "stream": lambda width: stream_text(made.STREAM, width, source="my models/wake.tflite", board="host"),
    "stream_file": lambda width: stream_text(
        dataclasses.replace(made.STREAM, file="my out.tflite", file_bytes=20_480), width, source="x", board="host"
    ),
    "stream_no_file": lambda width: stream_text(
        dataclasses.replace(made.STREAM, file_problem="it has no form"), width, source="x", board="host"
    ),
    "quantize": lambda width: quantize_text(made.QUANTIZE, width, source="my models/kws.tflite", board="host"),
    "quantize_file": lambda width: quantize_text(
        dataclasses.replace(made.QUANTIZE, contributions=(), file="my out.tflite", file_bytes=20_480),
        width,
        source="x",
        board="host",
    ),
    "quantize_set": lambda width: variants_text(
        made.QUANTIZE_SET, width, source="my models/kws.tflite", data=Path("my data")
    ),
    "compare": lambda width: compare_text(_named(made_up(4, ("nano",), large={(2, 0)})), width),
    "compare_boards": lambda width: compare_text(
        made_up(3, ("nano", "my uno"), groups=2, energy=True), width, charts=["my chart.png"]
    ),
    "demo": lambda width: demo_text(made.DEMO),
    "doctor": lambda width: doctor_text(made.DOCTOR),
    "boards": lambda width: boards_text(made.BOARDS, width),
    "board": lambda width: board_text(made.BOARDS.boards[0], width),
    "explain": lambda width: code_text("M001", CODES["M001"]),
}


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", list(RENDER))
def test_golden(name: str, width: int, golden: Callable[[str, str], None]) -> None:
    printed = text.to_text(RENDER[name](width), width)
    golden(f"{name}_{width}", printed)
    commands = [line for line in printed.splitlines() if line.startswith("Next: ")]
    assert all(cell_len(line) <= width for line in printed.splitlines() if line not in commands)


@pytest.mark.parametrize("name", list(RENDER))
def test_names_cannot_break_the_output(name: str) -> None:
    for width in (20, 80, 300):
        printed = text.to_text(RENDER[name](width), width)
        assert "\x1b" not in printed
        assert "\u202e" not in printed
        assert all(c.isprintable() or c == "\n" for c in printed)
        printed.encode("utf-8")


def test_safe() -> None:
    assert text.safe("a [b] \\ c é 名") == "a [b] \\ c é 名"
    assert text.safe("\x1b[31m\n\ud800\x00") == "\\x1b[31m\\n\\ud800\\x00"
    assert text.safe_lines("a\tb\nc") == "a\\tb\nc"


@pytest.mark.parametrize(
    ("name", "width", "short"),
    [
        ("abc", 3, "abc"),
        ("abcdefghijkl", 11, "...efghijkl"),
        ("a/Conv;b/BatchNorm", 9, "a/Conv..."),
        ("a/Conv;b/BatchNorm", 8, ".../Conv"),
        ("名前名前名前名前", 11, "...名前名前"),
    ],
)
def test_shorten(name: str, width: int, short: str) -> None:
    assert text.shorten(name, width) == short
    assert cell_len(short) <= width


def test_units() -> None:
    assert text.memory(0) == "0.0 KiB"
    assert text.memory(1_048_576) == "1,024.0 KiB"
    assert text.memory(None) == text.count(None) == text.share(None, 3) == text.share(3, None) == "unknown"
    assert text.share(1, 3) == "33.3%"
    assert text.ratio(3, 0) == ""
    assert text.ratio(None, 2) == "unknown"
    assert text.plural(1, "layer") == "1 layer"
    assert text.plural(1_200, "layer") == "1,200 layers"


def test_commands_can_be_pasted() -> None:
    assert text.command("run", "my folder") == "chipfit run 'my folder'"
    long = text.to_text(text.blocks(text.next_step(text.command("run", "x" * 200))), 40)
    assert long == f"Next: chipfit run {'x' * 200}\n"
