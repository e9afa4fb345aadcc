"""The committed benchmark, measured again: instructions and bytes are exact, so that any rise is the code's doing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import chipfit
from chipfit.bench import BenchReport, BenchRow, bench, changes, compiler_name, failures
from chipfit.build import AIMS
from chipfit.demo import model_path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results.json"
COMMITTED = BenchReport.from_json(json.loads(RESULTS.read_text(encoding="utf-8")))
DEMO = model_path("int8").stem


def measure_again(model: Path, rows: list[BenchRow]) -> None:
    """Fail with every figure that became worse; tell on stdout what became better."""
    if COMMITTED.compiler != compiler_name():
        pytest.skip(f"results.json is of {COMMITTED.compiler}, here is {compiler_name()}: `make bench` measures anew")
    loaded = chipfit.load(model)
    measured: list[BenchRow] = []
    for goal in AIMS:
        boards = [row.board for row in rows if row.optimize == goal]
        measured += bench([loaded], boards, samples=rows[0].samples, optimize=goal).rows
    report = BenchReport(tuple(measured), compiler_name())
    worse = failures(COMMITTED, report)
    assert not worse, "worse than benchmarks/results.json (if it must be so, `make bench` accepts it):\n" + "\n".join(
        worse
    )
    better = [str(change) for change in changes(COMMITTED, report)]
    if better:
        print("benchmarks/results.json is out of date; `make bench` writes it anew:", *better, sep="\n")


def rows_of(name: str) -> list[BenchRow]:
    return [row for row in COMMITTED.rows if row.model == name]


def test_demo_model() -> None:
    measure_again(model_path("int8"), rows_of(DEMO))


@pytest.mark.parametrize("name", sorted({row.model for row in COMMITTED.rows} - {DEMO}))
def test_real_models(models_dir: Path, name: str) -> None:
    measure_again(models_dir / f"{name}.tflite", rows_of(name))


def test_every_committed_row_is_exact() -> None:
    assert COMMITTED.passed
    assert all(row.identical for row in COMMITTED.rows if row.problem is None)


def test_the_development_set_up_has_that_compiler() -> None:
    """Else every comparison above would be skipped."""
    version = COMMITTED.compiler.removeprefix("zig cc ")
    assert f'"ziglang=={version}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
