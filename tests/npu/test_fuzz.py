"""Two thousand damaged files of Vela: each gives a ChipfitError or outputs, within 5 s and 1 GiB."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from chipfit.demo import model_path
from chipfit.npu import compile_with_vela
from chipfit.targets import load_board

TESTS = Path(__file__).parents[1]
WORKERS = 2
MUTANTS = 2000
MAX_SECONDS = 5.0


@pytest.mark.skipif(find_spec("ethosu") is None, reason="the ethos-u-vela package is not installed")
def test_mutants(tmp_path: Path) -> None:
    npu = load_board("corstone-300-u55-128").npu
    assert npu is not None
    file = tmp_path / "digits_vela.tflite"
    file.write_bytes(compile_with_vela(model_path("int8").read_bytes(), npu).tflite)
    command = [sys.executable, "-m", "npu.fuzz_worker"]
    workers = [
        subprocess.Popen(
            [*command, str(seed), str(MUTANTS // WORKERS), str(file)], cwd=TESTS, stdout=subprocess.PIPE, text=True
        )
        for seed in range(WORKERS)
    ]
    outputs = [worker.communicate(timeout=300)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * WORKERS
    reports: list[dict[str, Any]] = [json.loads(text) for text in outputs]
    wrong = [text for report in reports for text in report["wrong"]]
    assert not wrong, "\n".join(wrong[:3])
    outcomes = sum((Counter(report["outcomes"]) for report in reports), Counter[str]())
    assert sum(outcomes.values()) == MUTANTS
    assert {"valid", "F003", "A001", "A002"} <= set(outcomes)
    assert max(report["slowest"] for report in reports) < MAX_SECONDS
