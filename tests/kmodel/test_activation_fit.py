"""The activation table: sixteen pieces as near to a function as bytes allow."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from chipfit.graph import Array
from chipfit.kmodel.compile.activation import FIRST, Fit, fit, stored_slope, wanted
from chipfit.kmodel.format.registers import Activation

ROUNDING = np.sqrt(1 / 12)


def looked_up(table: Activation, t: Array) -> Array:
    """Bytes for integers, by the vendors' model of version 4."""
    y, done = np.zeros(len(t), np.int64), np.zeros(len(t), bool)
    for piece in reversed(table.segments):
        here = ~done & (t > piece.x_start)
        v = (t[here] - piece.x_start) * piece.mul
        whole, rest = v >> piece.shift, v & ((1 << piece.shift) - 1)
        half = (1 << piece.shift) / 2
        up = (rest > half) | ((rest == half) & (whole % 2 == 1) & (piece.shift > 0))
        y[here] = whole + np.where(v < 0, -1, 1) * up + piece.add
        done |= here
    return np.clip(y, 0, 255)


def fitted(
    function: Callable[[Array], Array], low: float, high: float, bits: int
) -> tuple[Fit, Callable[[Array], Array], float]:
    sums = np.linspace(low, high, 1001)
    least, most = min(float(function(sums).min()), 0.0), max(float(function(sums).max()), 0.0)
    step = (most - least) / 255.0
    zero = np.rint(-least / step)

    def codes(x: Array) -> Array:
        return function(x) / step + zero

    units = 2.0**bits / step
    found = fit(wanted(codes, units, low, high, (4 * low, 4 * high), np.ones_like))
    return found, codes, units


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


@pytest.mark.parametrize(
    ("name", "function", "low", "high", "most"),
    [
        ("linear", lambda x: x, -3, 5, 0.3),
        ("relu", lambda x: np.maximum(x, 0), -3, 5, 0.3),
        ("relu6", lambda x: np.clip(x, 0, 6), -3, 9, 0.3),
        ("leaky", lambda x: np.where(x > 0, x, 0.1 * x), -8, 5, 0.31),
        ("sigmoid", sigmoid, -6, 4, 0.37),
        ("tanh", np.tanh, -4, 4, 0.4),
        ("swish", lambda x: x * sigmoid(x), -6, 6, 0.4),
        ("gelu", lambda x: x * sigmoid(1.702 * x), -4, 4, 0.4),
        ("hard_swish", lambda x: x * np.clip(x + 3, 0, 6) / 6, -5, 5, 0.5),
    ],
)
def test_near_what_bytes_allow(
    name: str, function: Callable[[Array], Array], low: float, high: float, most: float
) -> None:
    found, codes, units = fitted(function, low, high, 10)
    x = np.linspace(low, high, 4001)
    error = looked_up(found.table, np.floor(x * units).astype(np.int64)) - codes(x)
    assert ROUNDING * 0.6 < np.sqrt((error**2).mean()) < most, name


def test_what_falls_a_little_goes_down_in_steps() -> None:
    """The chip's rounding of negative products is two thirds of a code; steps of one code lose what bytes lose."""
    found, codes, units = fitted(lambda x: np.where(x > 0, 40 * x, -x), -6.0, 5.0, 10)
    x = np.linspace(-6, -0.1, 4001)
    error = looked_up(found.table, np.floor(x * units).astype(np.int64)) - codes(x)
    assert np.abs(error).max() < 0.6
    assert all(piece.mul >= 0 for piece in found.table.segments if piece.x_start > -6 * units)


def test_what_falls_far_is_one_piece() -> None:
    found, codes, units = fitted(lambda x: -x, -3.0, 3.0, 10)
    x = np.linspace(-3, 3, 4001)
    error = looked_up(found.table, np.floor(x * units).astype(np.int64)) - codes(x)
    assert np.sqrt((error**2).mean()) < 0.8
    assert abs(error.mean()) < 0.1


@pytest.mark.parametrize(
    ("function", "rises"),
    [
        (lambda x: np.clip(x, 0, 6), 1),
        (lambda x: np.clip(6 - x, 0, 6), -1),
        (lambda x: np.maximum(x * sigmoid(x), -0.2), 1),
        (lambda x: np.where(x < 8.9, 1.0, 1.0 + 50 * (x - 8.9)), 1),
    ],
)
def test_the_last_piece_goes_on_to_the_last_byte(function: Callable[[Array], Array], rises: int) -> None:
    """The KPU clamps: no piece is needed for what is beyond."""
    found, codes, units = fitted(function, -4.0, 9.0, 10)
    far = np.array([-500.0, 12.0, 40.0, 500.0])
    got = looked_up(found.table, np.floor(far * units).astype(np.int64))
    np.testing.assert_allclose(got, np.clip(codes(far), 0, 255), atol=1)
    last = max((p for p in found.table.segments if p.x_start < 1 << 34), key=lambda p: p.x_start)
    assert last.mul * rises > 0 or (last.mul == 0 and last.add == (255 if rises > 0 else 0))


@pytest.mark.parametrize("function", [sigmoid, lambda x: np.where(x > 0, x, 0.1 * x), np.tanh])
def test_outside_of_what_was_calibrated_the_function_goes_on(function: Callable[[Array], Array]) -> None:
    found, codes, units = fitted(function, -2.0, 2.0, 10)
    x = np.concatenate([np.linspace(-6, -2, 200), np.linspace(2, 6, 200)])
    error = looked_up(found.table, np.floor(x * units).astype(np.int64)) - np.clip(codes(x), 0, 255)
    assert np.abs(error).max() <= 12  # of 255; the old tables give 0 there


@pytest.mark.parametrize(("low", "high"), [(-100.0, 100.0), (-3000.0, 4000.0), (-400.0, -100.0), (100.0, 4000.0)])
@pytest.mark.parametrize("reach", [1e4, 1e6])
def test_a_layer_that_saturates_nearly_always(low: float, high: float, reach: float) -> None:
    """Its steep part is a thousandth of what is met, and that is a thousandth of what the layer can reach."""
    units = 2.0**8 * 255 / 6

    def codes(x: Array) -> Array:
        return np.clip(x, 0.0, 6.0) * 255 / 6

    found = fit(wanted(codes, units, low, high, (-reach, reach), np.ones_like))
    met = np.linspace(low, high, 4001)
    steep = np.linspace(-2.0, 8.0, 4001) if low < 0.0 < high else met
    for x in (met, steep, np.linspace(-2.0, 8.0, 4001)):
        error = looked_up(found.table, np.floor(x * units).astype(np.int64)) - codes(x)
        assert np.abs(error).max() < (2.0 if x is met or x is steep else 12.0)
    assert all(abs(p.mul) / 2.0**p.shift < 2.0 / 2**8 for p in found.table.segments)


def test_the_slope_of_a_linear_layer_is_exact() -> None:
    found, _, _ = fitted(lambda x: x, -1.0, 3.0, 12)
    pieces = found.table.segments
    length, longest = max((after.x_start - piece.x_start, piece) for piece, after in pairwise(pieces) if piece.mul)
    assert length > 200 << 12
    assert longest.mul / 2.0**longest.shift == 2.0**-12


def test_the_first_piece_is_flat_and_pieces_ascend() -> None:
    found, _, _ = fitted(sigmoid, -6.0, 6.0, 10)
    starts = [p.x_start for p in found.table.segments]
    assert starts[0] == FIRST
    assert found.table.segments[0].mul == 0
    assert starts == sorted(starts)
    assert len(starts) == 16


def test_slopes_keep_their_bits() -> None:
    slopes = np.array([1e-7, 3e-4, 0.1, 1.0, 100.0, -0.37])
    mul, shift = stored_slope(slopes)
    assert (shift <= 20).all()
    assert (np.abs(mul) <= 32767).all()
    kept = mul / 2.0**shift
    assert np.abs(kept[2:] / slopes[2:] - 1).max() < 1e-4
