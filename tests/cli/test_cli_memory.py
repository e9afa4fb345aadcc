"""``chipfit memory``: text, JSON and pictures of a model and of a compiled folder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import chipfit
from chipfit.inspection import memory_report

Call = Callable[..., Result]
BOARD = "nucleo-l4r5zi"


def good(result: Result) -> str:
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def test_text(cli: Call, demo_model: Path) -> None:
    printed = good(cli("memory", demo_model, "-b", BOARD, columns=120))
    report = memory_report(chipfit.load(demo_model), BOARD)
    plan = report.plan
    assert printed.startswith(f"digits_int8 on {BOARD}, --optimize balanced: {plan.arena:,} B")
    assert f"{plan.plain_bound:,} B for the tensors alone" in printed
    assert f"{plan.lower_bound:,} B at step {plan.busiest}, {plan.steps[plan.busiest].op}" in printed
    for i, block in enumerate(plan.blocks):
        assert re.search(
            rf"^ *{i} +{block.offset:,} +{block.bytes:,} .*{block.kind} +{block.name}", printed, re.MULTILINE
        )
    overlay = next(o for o in plan.overlays if o.how == "forward")
    assert f"#{overlay.under} at {overlay.distance:+,} forward, {overlay.bytes:,} B" in printed
    (ram,) = (a for a in report.alternatives if a.options == ("--optimize", "ram"))
    assert f"{ram.arena:,} B" in printed
    assert (
        printed.rstrip().splitlines()[-1].lstrip().startswith(f"chipfit compile {demo_model} -b {BOARD} --optimize ram")
    )


def test_alternatives_are_what_planning_gives(demo_model: Path) -> None:
    model = chipfit.load(demo_model)
    report = memory_report(model, BOARD, preserve_input=True)
    assert report.plan.input_preserved
    for a in report.alternatives:
        assert a.arena < report.plan.arena
        if a.options:
            other = memory_report(
                model,
                BOARD,
                optimize="ram" if "ram" in a.options else "balanced",
                preserve_input="--preserve-input" in a.options,
                input_rows="rows" in a.options,
                alternatives=False,
            )
            assert other.plan.arena == a.arena
            assert other.alternatives == ()
    by_rows = memory_report(model, BOARD, optimize="ram", input_rows=True)
    assert all(not a.options for a in by_rows.alternatives)


def test_runs_of_rows_are_shown(cli: Call, demo_model: Path) -> None:
    printed = good(cli("memory", demo_model, "-b", BOARD, "--optimize", "ram", columns=120))
    assert re.search(r"rows, \d of 8 ", printed)
    assert "layers row by row, the last" in printed
    assert "in turn with #" in printed


def test_json_and_pictures(cli: Call, demo_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    png, svg = tmp_path / "map.png", tmp_path / "map.svg"
    data = json.loads(good(cli("memory", demo_model, "--json", "-o", png, "-o", svg)))
    assert data["board"] == "host"
    assert data["plan"]["arena"] >= data["plan"]["lower_bound"] > 0
    assert {b["kind"] for b in data["plan"]["blocks"]} >= {"input", "tensor", "output"}
    assert png.read_bytes().startswith(b"\x89PNG")
    assert svg.read_text(encoding="utf-8").count('<g id="block-') == len(data["plan"]["blocks"])
    assert "map.png" not in good(cli("memory", demo_model, "-o", png))
    assert "map.png" in good(cli("memory", demo_model))


def test_a_folder_tells_its_own_map(cli: Call, demo_model: Path, demo_folder: Path) -> None:
    report = chipfit.Firmware.open(demo_folder).memory
    assert report == memory_report(chipfit.load(demo_model), "arduino-nano-33-ble", alternatives=False)
    assert json.loads(good(cli("memory", demo_folder, "--json"))) == json.loads(json.dumps(report.to_json()))
    assert "chipfit compile" not in good(cli("memory", demo_folder))


def test_wrong_usage(cli: Call, demo_model: Path, demo_folder: Path, tmp_path: Path) -> None:
    refused = cli("memory", demo_model, "-o", tmp_path / "map.jpg")
    assert refused.exit_code == 2
    assert "map.jpg" in refused.stderr
    compiled = cli("memory", demo_folder, "-b", "host")
    assert compiled.exit_code == 2
    assert "compiled already" in compiled.stderr
    nothing = cli("memory", tmp_path)
    assert nothing.exit_code == 2
    assert nothing.stderr.startswith("error[P002]")


def test_a_folder_without_a_map(cli: Call, demo_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    shutil.copytree(demo_folder, folder)
    (folder / "memory.json").write_text('{"schema": "chipfit.memory", "version": 0}', encoding="utf-8")
    result = cli("memory", folder)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error[P002]: {folder} has no memory map")
