"""Integer rounding, where one definition stands for many numbers at once."""

from __future__ import annotations

import numpy as np

from chipfit.fixedpoint import quantize_multiplier, quantize_multipliers


def test_many_multipliers_are_those_one_by_one() -> None:
    """Also those that vanish, saturate, and round up to the next power of two."""
    rng = np.random.default_rng(0)
    edges = [0.0, 1.0, 0.5, 2.0**-31, 2.0**-32, 2.0**-33, 2.0**30, 2.0**31, 1 - 2.0**-33, 1e-300, 5e-324]
    scales = np.concatenate([10.0 ** rng.uniform(-14, 12, 2000), edges])
    m, shift = quantize_multipliers(scales)
    assert (m.dtype, shift.dtype) == (np.int32, np.int32)
    found = list(zip(m.tolist(), shift.tolist(), strict=True))
    assert found == [quantize_multiplier(scale) for scale in scales.tolist()]
