"""Foreign interpreters that chipfit is held against, where their wheels are installed.

TFLite Micro's reference kernels are the contract for integer models (wheel ``tflite-micro``, Linux x86-64);
LiteRT's reference kernels are the oracle for float models and for what TFLite Micro lacks. LiteRT's default path
(XNNPACK) is quick, and for models of floats alone: its int8 results differ.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from chipfit.apart import ApartError, heard_apart
from chipfit.graph import Array

TFLM_MISSING = "the tflite-micro wheel is not installed (there is one for Linux x86-64 only)"
LITERT_MISSING = "the ai-edge-litert wheel is not installed"

_ARENA_BASE = 16 << 20
_MOST_SECONDS = 60.0
_ARENA_TOTAL = re.compile(r"Arena allocation total (\d+) bytes")


def have_tflm() -> bool:
    return find_spec("tflite_micro") is not None


def have_litert() -> bool:
    return find_spec("ai_edge_litert") is not None


def tflm_run(model: bytes, samples: Sequence[Sequence[Array]]) -> list[list[Array]]:
    """Outputs of consecutive runs on one TFLite Micro interpreter: variables keep their elements in between.

    Raises RuntimeError where TFLite Micro cannot load or run the model.
    """
    runtime: Any = import_module("tflite_micro").runtime
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=_ARENA_BASE + 10 * len(model))
    count = _output_count(model)
    results: list[list[Array]] = []
    for sample in samples:
        for i, x in enumerate(sample):
            interpreter.set_input(np.ascontiguousarray(x), i)
        interpreter.invoke()
        results.append([np.array(interpreter.get_output(i)) for i in range(count)])
    return results


def tflm_arena(model: bytes) -> int | None:
    """Bytes of the arena that TensorFlow Lite Micro takes for a model on this computer; on a chip of 32 bits it takes
    less. None where it cannot load it. Asked in a process of its own: only its text says so."""
    try:
        _, said = heard_apart(_print_allocations, model, seconds=_MOST_SECONDS)
    except ApartError:
        return None
    found = [int(match[1]) for line in said if (match := _ARENA_TOTAL.search(line))]
    return found[-1] if found else None


def _print_allocations(model: bytes) -> None:
    runtime: Any = import_module("tflite_micro").runtime
    runtime.Interpreter.from_bytes(model, arena_size=_ARENA_BASE + 10 * len(model)).print_allocations()


def litert_run(model: bytes, samples: Sequence[Sequence[Array]], reference: bool = True) -> list[list[Array]]:
    """Outputs of consecutive runs on one LiteRT interpreter with its reference kernels, or with its quick ones."""
    litert: Any = import_module("ai_edge_litert.interpreter")
    kind = litert.OpResolverType.BUILTIN_REF if reference else litert.OpResolverType.AUTO
    with quiet():
        interpreter = litert.Interpreter(model_content=model, experimental_op_resolver_type=kind, num_threads=1)
        interpreter.allocate_tensors()
    results: list[list[Array]] = []
    for sample in samples:
        for detail, x in zip(interpreter.get_input_details(), sample, strict=True):
            interpreter.set_tensor(detail["index"], x)
        interpreter.invoke()
        results.append([np.array(interpreter.get_tensor(d["index"])) for d in interpreter.get_output_details()])
    return results


@contextmanager
def quiet() -> Generator[None]:
    """LiteRT writes notes for its own developers to stderr, past Python: they are left out."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _output_count(model: bytes) -> int:
    schema: Any = import_module("ai_edge_litert.schema_py_generated")
    return int(schema.Model.GetRootAsModel(model, 0).Subgraphs(0).OutputsLength())
