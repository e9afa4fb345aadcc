"""The benchmark itself: what a row says, what counts as worse, and what the command does about it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import chipfit
from chipfit.bench import BenchReport, BenchRow, bench, changes, failures
from chipfit.cli import app
from chipfit.demo import model_path
from chipfit.errors import ChipfitError

MODEL = model_path("int8")
SMALL = """
name = "small"
title = "Too small"
core = "cortex-m4f"
clock_hz = 1_000_000
[memory]
flash = { origin = 0x0800_0000, size = "512K" }
ram = { origin = 0x2000_0000, size = "2K" }
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> BenchReport:
    """The demo model on a real board, and on one that it does not fit."""
    small = tmp_path_factory.mktemp("boards") / "small.toml"
    small.write_text(SMALL, encoding="utf-8")
    return bench([chipfit.load(MODEL)], ["nucleo-l4r5zi", str(small)], samples=2)


def changed(report: BenchReport, **figures: object) -> BenchReport:
    """The report with other figures in its first row."""
    row = dataclasses.replace(report.rows[0], **figures)  # pyright: ignore[reportArgumentType]
    return dataclasses.replace(report, rows=(row, *report.rows[1:]))


def test_a_row(report: BenchReport) -> None:
    row, too_large = report.rows
    assert (row.model, row.board, row.core, row.samples) == ("digits_int8", "nucleo-l4r5zi", "cortex-m4f", 2)
    assert row.problem is None
    assert row.identical
    assert row.passed
    assert row.macs == 66_624
    assert row.instructions
    assert row.cycles
    assert row.instructions < row.cycles < 3 * row.instructions
    assert row.cycles_how == "estimated (cycle model; zero wait states assumed)"
    assert row.flash == (row.flash_code or 0) + (row.flash_weights or 0) + (row.flash_tables or 0)
    assert row.stack is not None
    assert row.stack_reserved is not None
    assert 0 < row.stack < row.stack_reserved < (row.ram or 0)
    assert len(row.kernels) == 12
    assert "does not fit small" in str(too_large.problem)
    assert too_large.instructions is None
    assert too_large.identical is None
    assert report.passed


def test_json_round_trip(report: BenchReport) -> None:
    data = json.loads(json.dumps(report.to_json()))
    assert (data["schema"], data["version"]) == ("chipfit.bench", 1)
    assert BenchReport.from_json(data) == report
    for broken in ({}, {**data, "version": 99}, {**data, "rows": [{"model": "x"}]}, {**data, "rows": 3}):
        with pytest.raises(ChipfitError):
            BenchReport.from_json(broken)


def test_what_is_worse(report: BenchReport) -> None:
    row = report.rows[0]
    assert row.instructions
    assert row.ram
    assert row.stack
    assert failures(report, report) == []
    assert changes(report, report) == []
    slower = row.instructions + row.instructions * 3 // 100
    assert failures(report, changed(report, instructions=row.instructions + row.instructions // 100)) == []
    (line,) = failures(report, changed(report, instructions=slower))
    assert f"instructions {row.instructions:,} -> {slower:,} (+3.00%)" in line
    assert failures(changed(report, instructions=slower), report) == []
    assert len(changes(changed(report, instructions=slower), report)) == 1
    (line,) = failures(report, changed(report, ram=row.ram + 1))
    assert "digits_int8 on nucleo-l4r5zi, balanced: ram" in line
    assert failures(report, changed(report, stack=row.stack + 1))
    assert failures(report, changed(report, identical=False, passed=False))
    assert failures(report, changed(report, problem="it does not fit")) == [
        "digits_int8 on nucleo-l4r5zi: it does not fit; it was measured before"
    ]


def test_rows_are_found_by_goal(report: BenchReport) -> None:
    other = changed(report, optimize="speed", instructions=10**9)
    assert failures(report, other) == []
    row = other.rows[0]
    assert isinstance(row, BenchRow)
    assert other.row(row.key) is row


def test_unknown_goal() -> None:
    with pytest.raises(ChipfitError):
        bench([chipfit.load(MODEL)], ["nucleo-l4r5zi"], optimize="sideways")  # pyright: ignore[reportArgumentType]


def test_command(tmp_path: Path) -> None:
    run = CliRunner()
    file = tmp_path / "now.json"
    words = ["bench", str(MODEL), "-b", "nucleo-l4r5zi"]
    first = run.invoke(app, [*words, "-o", str(file), "--json"])
    assert first.exit_code == 0, first.output
    data = json.loads(first.stdout)
    assert data == json.loads(file.read_text(encoding="utf-8"))
    again = run.invoke(app, [*words, "--compare", str(file)])
    assert again.exit_code == 0, again.output
    assert "Nothing became worse." in again.stdout
    data["rows"][0]["instructions"] //= 2
    data["rows"][0]["ram"] -= 1
    file.write_text(json.dumps(data), encoding="utf-8")
    worse = run.invoke(app, [*words, "--compare", str(file)])
    assert worse.exit_code == 1
    assert worse.stdout.count("worse: digits_int8 on nucleo-l4r5zi, balanced: ") == 2
    file.write_text("[]", encoding="utf-8")
    assert run.invoke(app, [*words, "--compare", str(file)]).exit_code != 0
