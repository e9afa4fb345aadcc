"""The two foreign interpreters (:mod:`chipfit.oracle`) as tests use them: one run, and marks to skip by."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chipfit import oracle
from chipfit.graph import Array

HAVE_TFLM = oracle.have_tflm()
HAVE_LITERT = oracle.have_litert()

needs_tflm = pytest.mark.skipif(not HAVE_TFLM, reason=oracle.TFLM_MISSING)
needs_litert = pytest.mark.skipif(not HAVE_LITERT, reason=oracle.LITERT_MISSING)


def tflm_run(model: bytes, inputs: Sequence[Array]) -> list[Array]:
    """Outputs of one run on TFLite Micro."""
    return oracle.tflm_run(model, [inputs])[0]


def litert_run(model: bytes, inputs: Sequence[Array]) -> list[Array]:
    """Outputs of one run on LiteRT's reference kernels."""
    return oracle.litert_run(model, [inputs])[0]
