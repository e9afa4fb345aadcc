"""Hold executions of a model against its integer reference, byte for byte (float models: within a tolerance)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from chipfit import oracle
from chipfit.build import compile_graph
from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.model import Model
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
    progress: Callable[[str], None] | None = None,
) -> VerifyReport:
    """Compare the reference with the generated C on each board, and with TFLite Micro and LiteRT where installed.

    Samples run in order, state going on from one to the next. A board that the model does not fit, or an oracle that
    cannot run it, is listed as skipped with the reason; an integer model with one differing byte is not ``passed``.
    ``progress`` is told what runs now.
    """
    expected = model.run_samples(samples)
    tolerance = FLOAT_TOLERANCE if model.is_float else 0.0
    comparisons: list[Comparison] = []

    def compare(against: str, run: Callable[[], Outputs]) -> None:
        if progress:
            progress(against)
        try:
            actual = run()
        except ChipfitError as error:
            if error.code not in ("M001", "O002"):
                raise
            comparisons.append(_skipped(against, str(error.message)))
        except (RuntimeError, ValueError) as error:
            comparisons.append(_skipped(against, f"it cannot run this model: {error}"))
        else:
            comparisons.append(compare_outputs(against, expected, actual, tolerance))

    for board in boards:
        target = load_board(board)
        what = "C on the host" if target.is_host else f"C on {board} (emulated {target.core.name})"
        compare(what, lambda board=board: _run_board(model, board, samples))
    if oracles and model.source is not None:
        source = model.source
        for name, have, missing, run in (
            ("TFLite Micro", oracle.have_tflm(), oracle.TFLM_MISSING, oracle.tflm_run),
            ("LiteRT", oracle.have_litert() and not model.is_integer, oracle.LITERT_MISSING, oracle.litert_run),
        ):
            if have:
                compare(name, lambda run=run: _stack(run(source, samples), expected))
            elif name == "TFLite Micro":
                comparisons.append(_skipped(name, missing))
    return VerifyReport(model.name, len(samples), tolerance, tuple(comparisons))


def _run_board(model: Model, board: str, samples: Samples) -> Outputs:
    with tempfile.TemporaryDirectory(prefix="chipfit-verify-") as folder:
        firmware = compile_graph(model.graph, board, Path(folder) / "firmware")
        return firmware.run(samples).outputs


def _stack(rows: Sequence[Sequence[Array]], like: Outputs) -> Outputs:
    return tuple(np.stack([row[i] for row in rows]).reshape(y.shape) for i, y in enumerate(like))


def _skipped(against: str, reason: str) -> Comparison:
    return Comparison(against, identical=False, passed=False, max_error=0.0, skipped=reason)


def compare_outputs(against: str, expected: Outputs, actual: Outputs, tolerance: float) -> Comparison:
    """One comparison. The error of an output is its largest difference, for floats relative to its largest element."""
    identical = all(e.dtype == a.dtype and e.tobytes() == a.tobytes() for e, a in zip(expected, actual, strict=True))
    errors = [_error(e, a) for e, a in zip(expected, actual, strict=True)]
    worst = max(errors, default=0.0)
    passed = identical or (tolerance > 0 and worst <= tolerance)
    difference = None if identical else _first_difference(expected, actual)
    return Comparison(against, identical, passed, worst, difference)


def _error(expected: Array, actual: Array) -> float:
    if not expected.size:
        return 0.0
    difference = float(np.abs(expected.astype(np.float64) - actual.astype(np.float64)).max())
    if not expected.dtype.kind == "f":
        return difference
    return difference / max(float(np.abs(expected).max()), 1e-30)


def _first_difference(expected: Outputs, actual: Outputs) -> str | None:
    for i, (e, a) in enumerate(zip(expected, actual, strict=True)):
        differs = np.argwhere(e != a)
        if len(differs):
            at = tuple(int(k) for k in differs[0])
            return (
                f"output {i}, sample {at[0]}, element {list(at[1:])}: expected {e[at]}, got {a[at]} "
                f"({len(differs)} of {e.size} elements differ)"
            )
    return None
