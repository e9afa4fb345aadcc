"""Imports mutants in a process of its own, whose memory is limited. Prints a JSON report.

Usage: fuzz_worker.py SEED COUNT MODEL...
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.importers import load_graph
from importers.mutants import mutants

MAX_BYTES = 1 << 30


def limit_memory() -> None:
    """Let the process grow by at most MAX_BYTES from here; where the system cannot do it, go on without."""
    if sys.platform != "linux":
        return
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MAX_BYTES, used + MAX_BYTES))


def outcome(data: bytes) -> tuple[str, str]:
    """How the import ended, and what is wrong with that (empty: nothing)."""
    try:
        load_graph(data)
    except ChipfitError as error:
        return error.code, "" if error.hint else f"no hint: {error}"
    except BaseException:
        return "traceback", traceback.format_exc()
    return "valid", ""


def main() -> None:
    seed, count, models = int(sys.argv[1]), int(sys.argv[2]), [Path(p).read_bytes() for p in sys.argv[3:]]
    limit_memory()
    rng = np.random.default_rng(seed)
    streams = [mutants(data, models[i - 1], rng) for i, data in enumerate(models)]
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    slowest = 0.0
    for i in range(count):
        data = next(streams[i % len(streams)])
        start = time.process_time()
        code, problem = outcome(data)
        slowest = max(slowest, time.process_time() - start)
        outcomes[code] += 1
        if problem:
            wrong.append(f"{Path(sys.argv[3 + i % len(streams)]).name}, mutant {i}: {problem}")
    print(json.dumps({"outcomes": outcomes, "wrong": wrong, "slowest": slowest}))


if __name__ == "__main__":
    main()
