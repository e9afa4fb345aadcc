"""Thousands of damaged models: each gives a ChipfitError with a hint or a valid graph, within 2 s and 1 GiB."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated

from chipfit.demo import model_path
from chipfit.errors import ChipfitError
from chipfit.importers import load_graph
from folders import models_folder

schema: Any = schema_py_generated

TESTS = Path(__file__).parents[1]
WORKERS = 2
MUTANTS = 2400
MAX_SECONDS = 2.0
MAX_FILE = 400_000


def seeds() -> list[Path]:
    """The demo models, and the real ones where they are; huge ones only take time for copies."""
    real = sorted(p for p in models_folder().glob("*.tflite") if p.stat().st_size < MAX_FILE)
    return [model_path("int8"), model_path("float32"), *real]


def test_mutants() -> None:
    files = [str(p) for p in seeds()]
    share = str(MUTANTS // WORKERS)
    start = time.perf_counter()
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "importers.fuzz_worker", str(seed), share, *files],
            cwd=TESTS,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(WORKERS)
    ]
    outputs = [worker.communicate(timeout=300)[0] for worker in workers]
    seconds = time.perf_counter() - start
    assert [worker.returncode for worker in workers] == [0] * WORKERS
    reports: list[dict[str, Any]] = [json.loads(text) for text in outputs]
    wrong = [text for report in reports for text in report["wrong"]]
    assert not wrong, "\n".join(wrong[:3])
    outcomes = sum((Counter(report["outcomes"]) for report in reports), Counter[str]())
    assert sum(outcomes.values()) == MUTANTS
    # the mutants reach every stage: some are still good, some fail late
    assert {"valid", "F003", "O002", "G003"} <= set(outcomes)
    assert max(report["slowest"] for report in reports) < MAX_SECONDS
    assert seconds < 60, f"{MUTANTS} mutants took {seconds:.0f} s"


# ---------------------------------------------------------------------------------------------- small files, much work


def packed(tensors: int, operators: int, operands: int, builtin: str) -> bytes:
    """A few kilobytes that name one tensor and one operator many times."""
    b: Any = flatbuffers.Builder(1024)

    def integers(values: list[int]) -> int:
        b.StartVector(4, len(values), 4)
        for value in reversed(values):
            b.PrependInt32(value)
        return b.EndVector()

    def offsets(table: int, count: int) -> int:
        b.StartVector(4, count, 4)
        for _ in range(count):
            b.PrependUOffsetTRelative(table)
        return b.EndVector()

    def table(kind: str, **fields: int) -> int:
        getattr(schema, f"{kind}Start")(b)
        for name, value in fields.items():
            getattr(schema, f"{kind}Add{name}")(b, value)
        return getattr(schema, f"{kind}End")(b)

    name, shape = b.CreateString("t"), integers([1, 2])
    all_tensors = offsets(table("Tensor", Name=name, Shape=shape), tensors)
    inputs, outputs = integers([0] * operands), integers([1])
    all_operators = offsets(table("Operator", Inputs=inputs, Outputs=outputs), operators)
    ports = integers([0])
    subgraph = table("SubGraph", Tensors=all_tensors, Inputs=ports, Outputs=ports, Operators=all_operators)
    code = getattr(schema.BuiltinOperator, builtin)
    codes = offsets(table("OperatorCode", BuiltinCode=code, DeprecatedBuiltinCode=min(code, 127)), 1)
    subgraphs, buffers = offsets(subgraph, 1), offsets(table("Buffer"), 1)
    model = table("Model", Version=3, OperatorCodes=codes, Subgraphs=subgraphs, Buffers=buffers)
    b.Finish(model, file_identifier=b"TFL3")
    return bytes(b.Output())


@pytest.mark.parametrize(
    "build",
    [
        lambda: packed(20_000, 1, 1, "RELU"),
        lambda: packed(2, 20_000, 1, "RELU"),
        lambda: packed(4900, 10, 1, "ADD"),
        lambda: packed(2, 9900, 1, "GELU"),
        lambda: packed(2, 1000, 95, "CONCATENATION"),
        lambda: packed(2, 5000, 1900, "CUSTOM"),
        lambda: packed(2, 9900, 0, "VAR_HANDLE"),
        lambda: packed(2, 9900, 0, "CALL_ONCE"),
    ],
    ids=["tensors", "operators", "names", "unsupported", "operands", "custom", "handles", "calls"],
)
def test_small_file_that_describes_much_work(build: Callable[[], bytes]) -> None:
    data = build()
    start = time.process_time()
    error = error_of(data)
    assert time.process_time() - start < MAX_SECONDS
    assert error is None or (error.hint and len(str(error)) < 200_000)


def error_of(data: bytes) -> ChipfitError | None:
    try:
        load_graph(data)
    except ChipfitError as error:
        return error
    return None


@pytest.mark.parametrize("length", [0, 3, 7, 8, 12, 20, 100])
def test_short_files(length: int) -> None:
    data = model_path("int8").read_bytes()[:length]
    with pytest.raises(ChipfitError) as error:
        load_graph(data)
    assert error.value.code in ("F002", "F003")
