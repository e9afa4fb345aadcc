"""Convolutions in the KPU's numbers, against the simulator and against real arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from chipfit.graph import Array
from chipfit.kmodel.compile.grid import Grid
from chipfit.kmodel.compile.quantize import Sums, kpu_numbers, stored_multipliers, weight_grid
from chipfit.kmodel.format.layout import MapLayout
from chipfit.kmodel.format.registers import layer_registers
from chipfit.kmodel.simulate.kpu import kpu_layer


def convolved(x: Array, w: Array, bias: Array, *, depthwise: bool) -> Array:
    side = w.shape[2]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1))) if side == 3 else x
    view = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
    sums = np.einsum("chwij,cij->chw", view, w[:, 0]) if depthwise else np.einsum("chwij,ocij->ohw", view, w)
    return sums + bias[:, None, None]


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("zero", [0.0, 127.5])
def test_near_real_arithmetic(depthwise: bool, zero: float) -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 256, (6, 8, 9)).astype(np.uint8)
    x = Grid(np.array([1 / 127.5]), np.array([zero]))
    # channels of very different sizes, which one step for all would lose
    w = rng.normal(0, 1, (6, 1 if depthwise else 6, 3, 3)) * np.geomspace(0.01, 10, 6)[:, None, None, None]
    bias = rng.normal(0, 0.1, 6)
    real = convolved(x.reals(codes), w, bias, depthwise=depthwise)
    inner = real[:, 1:-1, 1:-1]
    y = Grid.of(float(real.min()), float(real.max()))
    sums = Sums(float(real.min()), float(real.max()), np.ones_like)
    numbers = kpu_numbers(w, bias, x, y, lambda s: s, sums, depthwise=depthwise)
    registers = layer_registers(
        source=MapLayout(6, 8, 9),
        out_channels=6,
        kernel=3,
        src_line=0,
        dst_line=0,
        depthwise=depthwise,
        pad_value=numbers.pad,
        arg_x=numbers.arg_x,
        arg_w=numbers.arg_w,
        arg_add=numbers.arg_add,
    )
    got = kpu_layer(codes, registers, numbers.batch_norm, numbers.activation, numbers.weights.ravel(), 4)
    error = y.reals(got)[:, 1:-1, 1:-1] - inner
    assert np.abs(error).max() < 2.2 * y.plain[0]
    # the smallest channel is kept as well as the largest: its error is that of the output's step
    assert np.sqrt((error[0] ** 2).mean()) < 0.5 * y.plain[0]


def test_weights_of_each_channel_fill_the_bytes() -> None:
    rng = np.random.default_rng(2)
    w = rng.normal(0, 1, (5, 20)) * np.geomspace(1e-4, 1, 5)[:, None]
    zero, steps = weight_grid(w)
    codes = np.rint(w / steps[:, None]) + zero
    assert codes.min() >= 0
    assert codes.max() <= 255
    assert ((codes.max(axis=1) - codes.min(axis=1)) > 150).all()


def test_a_layer_of_zeros_is_one() -> None:
    zero, steps = weight_grid(np.zeros((3, 9)))
    assert 0 <= zero <= 255
    assert (steps > 0).all()


def test_multipliers_have_24_bits() -> None:
    mul, shift = stored_multipliers(np.array([1e-3, 0.02, 3.0, 200.0]))
    assert (mul < 1 << 23).all()
    assert (shift <= 15).all()
    assert np.abs(mul / 2.0**shift / [1e-3, 0.02, 3.0, 200.0] - 1).max() < 0.02


def test_a_grid_holds_zero() -> None:
    grid = Grid.of(0.5, 2.0)
    assert grid.range.low == 0.0
    assert grid.codes(np.array([0.0, 2.0, 9.0])).tolist() == [0, 255, 255]
    assert Grid.of(0.0, 0.0).plain[0] > 0
