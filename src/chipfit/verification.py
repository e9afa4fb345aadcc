"""Hold executions of a model against its integer reference, byte for byte (float models: within a tolerance)."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from chipfit import oracle
from chipfit.build import Aim, Weights, compile_graph
from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.graph import Array, Graph
from chipfit.importers import load_graph
from chipfit.model import Model
from chipfit.npu import run_for_npu
from chipfit.passes import float_weights
from chipfit.report.data import Comparison, VerifyReport
from chipfit.samples import Samples
from chipfit.targets import load_board

FLOAT_TOLERANCE = 1e-5
"""Largest difference of a float output, relative to the largest element of that output."""

Outputs = tuple[Array, ...]


def verify(
    model: Model,
    samples: Samples,
    *,
    boards: Sequence[str] = ("host",),
    oracles: bool = True,
    optimize: Aim = "balanced",
    weights: Weights = "plain",
    progress: Callable[[str], None] | None = None,
) -> VerifyReport:
    """Compare the reference with the generated C on each board, and with TFLite Micro and LiteRT where installed.

    On a board with an Ethos-U it is the stream that Vela makes of the model, in the simulator.

    LiteRT would quantize the inputs of float layers with int8 weights as it runs, which is another computation: it gets
    these weights as float32. Samples run in order, state going on from one to the next. A board that the model does not
    fit, or an oracle that cannot run it, is listed as skipped with the reason; an integer model with one differing byte
    is not ``passed``.
    ``optimize``, ``weights``: what the C is compiled with. ``progress`` is told what runs now.
    """
    expected = model.run_samples(samples)
    tolerance = FLOAT_TOLERANCE if model.is_float else 0.0
    comparisons: list[Comparison] = []

    def compare(against: str, run: Callable[[], Outputs | str]) -> None:
        if progress:
            progress(against)
        actual = run()
        if isinstance(actual, str):
            comparisons.append(_skipped(against, actual))
        else:
            comparisons.append(compare_outputs(against, expected, actual, tolerance))

    for board in boards:
        target = load_board(board)
        if target.npu is not None:
            what = f"Vela's stream for {target.npu.accelerator} (simulated)"
            compare(what, lambda board=board: _run_npu(model, board, samples))
            continue
        what = "C on the host" if target.is_host else f"C on {board} (emulated {target.core.name})"
        compare(what, lambda board=board: _run_board(model, board, samples, optimize, weights))
    if oracles and model.source is not None:
        source = model.source
        stated = load_graph(source, name=model.name)
        reason = _reason_against_tflm(stated)
        compare("TFLite Micro", lambda: reason or _run_oracle(oracle.tflm_run, source, samples, expected))
        if oracle.have_litert() and not model.is_integer:
            real = float_weights(stated)
            file = source if real is stated else to_tflite(real)
            what = "LiteRT" if file is source else "LiteRT, int8 weights as float32"
            compare(what, lambda: _run_oracle(oracle.litert_run, file, samples, expected))
    return VerifyReport(model.name, len(samples), tolerance, tuple(comparisons))


def _run_board(model: Model, board: str, samples: Samples, optimize: Aim, weights: Weights) -> Outputs | str:
    """Outputs, or why there are none: the board is too small or its core has no kernel. All else is an error."""
    with tempfile.TemporaryDirectory(prefix="chipfit-verify-") as folder:
        try:
            firmware = compile_graph(model.graph, board, Path(folder) / "firmware", optimize=optimize, weights=weights)
        except ChipfitError as error:
            if error.code not in ("M001", "O002"):
                raise
            return error.message
        return firmware.run(samples).outputs


def _run_npu(model: Model, board: str, samples: Samples) -> Outputs | str:
    """Outputs of the stream for a board's NPU, or why there are none."""
    try:
        return run_for_npu(model, board, samples)
    except ChipfitError as error:
        if error.code not in ("M001", "A003", "A004"):
            raise
        return error.message


def _reason_against_tflm(graph: Graph) -> str | None:
    if not oracle.have_tflm():
        return oracle.TFLM_MISSING
    if any(n.op.name == "dequantize" and n["x"].type.quant and len(n["x"].q.scale) > 1 for n in graph.nodes):
        return "its DEQUANTIZE takes the first scale for all channels, which gives other weights"
    return None


def _run_oracle(
    run: Callable[[bytes, Samples], list[list[Array]]], source: bytes, samples: Samples, like: Outputs
) -> Outputs | str:
    """Outputs, or why the foreign interpreter cannot load or run the model."""
    try:
        rows = run(source, samples)
    except (RuntimeError, ValueError) as error:
        return f"it cannot run this model: {error}"
    columns = [np.stack([row[i] for row in rows]) for i in range(len(like))]
    # an interpreter may drop dimensions of 1; a wrong number of elements is for the comparison to say
    return tuple(y.reshape(e.shape) if y.size == e.size else y for y, e in zip(columns, like, strict=True))


def _skipped(against: str, reason: str) -> Comparison:
    return Comparison(against, identical=False, passed=False, max_error=0.0, skipped=reason)


def compare_outputs(against: str, expected: Outputs, actual: Outputs, tolerance: float) -> Comparison:
    """One comparison. The error of an output is its largest difference, for floats relative to its largest element."""
    kinds = [(e.dtype, e.shape) for e in expected], [(a.dtype, a.shape) for a in actual]
    if kinds[0] != kinds[1]:
        what = " instead of ".join(", ".join(f"{d}{list(s)}" for d, s in side) for side in reversed(kinds))
        return Comparison(against, identical=False, passed=False, max_error=math.inf, first_difference=what)
    identical = all(e.tobytes() == a.tobytes() for e, a in zip(expected, actual, strict=True))
    worst = max((_error(e, a) for e, a in zip(expected, actual, strict=True)), default=0.0)
    passed = identical or (tolerance > 0 and worst <= tolerance)
    difference = None if identical else _first_difference(expected, actual)
    return Comparison(against, identical, passed, worst, difference)


def _error(expected: Array, actual: Array) -> float:
    """Infinite where one of them is no number, or infinite, and the other is not the same."""
    e, a = expected.astype(np.float64), actual.astype(np.float64)
    same = (e == a) | (np.isnan(e) & np.isnan(a))
    if same.all():
        return 0.0
    difference = float(np.abs(e[~same] - a[~same]).max())
    if not math.isfinite(difference):
        return math.inf
    return difference / max(float(np.abs(e[np.isfinite(e)]).max()), 1e-30) if expected.dtype.kind == "f" else difference


def _first_difference(expected: Outputs, actual: Outputs) -> str | None:
    for i, (e, a) in enumerate(zip(expected, actual, strict=True)):
        differs = np.argwhere((e != a) & ~((e != e) & (a != a)))
        if len(differs):
            at = tuple(int(k) for k in differs[0])
            return (
                f"output {i}, sample {at[0]}, element {list(at[1:])}: expected {e[at]}, got {a[at]} "
                f"({len(differs)} of {e.size} elements differ)"
            )
    return None
