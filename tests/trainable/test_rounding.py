"""The roundings of a network that learns: those of the reference, also beside ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chipfit.fixedpoint import Int, divide_round_away, multiply_by_quantized_multiplier
from chipfit.graph import Array
from chipfit.trainable.rounding import divided, factors, in_parts, joined, multiplied

M = np.array([1 << 30, (1 << 31) - 1, (1 << 30) + 1, 1_431_655_765, 1_999_999_999, 0], np.int64)
SHIFT = np.array([0, -9, -31, -1, 3, 0], np.int64)


def beside_ties(bits: int) -> Int:
    """(n, 1): numbers of so many bits whose products with the multipliers lie on both sides of a half."""
    rng = np.random.default_rng(bits)
    limit = (1 << bits) - 1
    steps = np.arange(-300, 300) * 2 + 1
    ties = (steps[:, None] * 2.0 ** (30 - SHIFT) / np.maximum(M, 1)).reshape(-1)
    near = np.rint(ties[:, None] + np.arange(-2, 3)).reshape(-1)
    drawn = rng.integers(-limit, limit, 20_000, endpoint=True)
    every = np.concatenate([near[np.abs(near) <= limit].astype(np.int64), drawn, [0, 1, -1, limit, -limit]])
    return np.unique(every)[:, None]


def numpy_of(keras: Any, x: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(x))


@pytest.mark.parametrize(("bits", "is_wide"), [(18, False), (28, True)])
def test_multipliers(keras: Any, bits: int, is_wide: bool) -> None:
    k, x = keras.ops, beside_ties(bits)
    given = k.convert_to_tensor(x.astype(np.float64), "float64")
    found = multiplied(k, given, k.convert_to_tensor(factors(M, SHIFT)), is_wide=is_wide)
    np.testing.assert_array_equal(numpy_of(keras, found), multiply_by_quantized_multiplier(x, M, SHIFT))


def test_divisions(keras: Any) -> None:
    k, x = keras.ops, np.arange(-5000, 5001)[:, None]
    by = np.array([1, 2, 3, 4, 6, 7, 49, 1 << 12])
    found = divided(k, k.convert_to_tensor(x * 1.0, "float64"), k.convert_to_tensor(by * 1.0, "float64"))
    np.testing.assert_array_equal(numpy_of(keras, found), divide_round_away(x, by))


def test_parts(keras: Any) -> None:
    x = np.array([0, 1, -1, 65_535, -65_536, 16_777_217, (1 << 31) - 1, -(1 << 31)])
    found = joined(keras.ops, keras.ops.convert_to_tensor(in_parts(x)))
    np.testing.assert_array_equal(numpy_of(keras, found), x)
