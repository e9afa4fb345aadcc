"""Loads, takes apart and executes mutants in a process of its own, whose memory is limited. Prints a JSON report.

Usage: fuzz_worker.py SEED COUNT FILE
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np

import chipfit
from chipfit.errors import ChipfitError
from chipfit.npu import Executor, inspect_streams, is_npu_model, stacked
from importers.fuzz_worker import limit_memory
from npu.mutants import damaged_files


def outcome(data: bytes) -> tuple[str, str]:
    """How it ended, and what is wrong with that (empty: nothing)."""
    try:
        model = chipfit.load(data)
        if not is_npu_model(model):
            return "no stream", ""
        inspect_streams(model, trace=True)
        Executor(model.graph).run(stacked(model.samples(1)))
    except ChipfitError as error:
        return error.code, ""
    except BaseException:
        return "traceback", traceback.format_exc()
    return "valid", ""


def main() -> None:
    seed, count, file = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    limit_memory()
    files = damaged_files(file.read_bytes(), np.random.default_rng(seed))
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    slowest = 0.0
    for i in range(count):
        start = time.process_time()
        code, problem = outcome(next(files))
        slowest = max(slowest, time.process_time() - start)
        outcomes[code] += 1
        if problem:
            wrong.append(f"mutant {i}: {problem}")
    print(json.dumps({"outcomes": outcomes, "wrong": wrong, "slowest": slowest}))


if __name__ == "__main__":
    main()
