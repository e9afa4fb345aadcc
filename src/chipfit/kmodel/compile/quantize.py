"""A convolution in the KPU's numbers: weights as bytes, a multiplier for each channel, the activation table.

The KPU sums ``(x - zero) * (w - zero_w)`` over bytes, multiplies by a number of 24 bits for each channel, which gives
t, and looks t up in a table of sixteen pieces. One step and one zero hold for the weights of a layer as the registers
keep them, but the multiplier of a channel may take any factor back: each channel's weights fill the bytes, and the zero
is the one that loses least over all of them. t is ``2**bits`` times the output's code where the function has slope 1,
so that this slope is exact; ``bits`` is chosen so that neither the multipliers nor the slopes lose what matters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from chipfit.graph import Array
from chipfit.kmodel.compile.activation import Fit, Function, fit, wanted
from chipfit.kmodel.compile.grid import Grid
from chipfit.kmodel.format.registers import Activation, BatchNorm

MOST_MUL, MOST_SHIFT = (1 << 23) - 1, 15
MOST_ADD = (1 << 31) - 1
BITS = (16, 14, 12, 10, 8)
"""Of t below one output code; the slopes of real files have shifts of at most 20."""
MOST_T = 1 << 31
"""t is kept below, though starts of pieces have 36 bits: no file that is known goes further."""
LEAST_STEP = 1e-12
NEGLIGIBLE = 5e-4
"""Squared error in codes beside that of rounding, which is 1/12."""
TRIED = 3
TUNED = 24
"""Steps that are tried for the weights of each channel."""


@dataclass(frozen=True, eq=False)
class Sums:
    """What a layer adds up before its function, as the samples showed it. ``low``, ``high``: its range; ``density``:
    how often a sum is met, mean 1; ``inputs``: mean of each input channel, real."""

    low: float
    high: float
    density: Function
    inputs: Array | None = None


@dataclass(frozen=True, eq=False)
class Rounded:
    """Weights as bytes. ``bytes_``: (out, in, k, k), depthwise (channels, 1, k, k); ``steps``: (out,), of a weight
    beside a byte of the input; ``bias``: (out,), real, for these weights."""

    bytes_: Array
    zero: int
    steps: Array
    bias: Array

    @property
    def stored(self) -> Array:
        """What the bytes stand for, beside a byte of the input."""
        return (self.bytes_.astype(np.float64) - self.zero) * self.steps[:, None, None, None]


@dataclass(frozen=True, eq=False)
class KpuNumbers:
    """``weights``: (out, in, k, k) bytes, depthwise (channels, 1, k, k). ``zero``: of the weights."""

    weights: Array
    zero: int
    pad: int
    arg_x: int
    arg_w: int
    arg_add: int
    batch_norm: BatchNorm
    activation: Activation
    error: float
    """Of the table: mean squared, in codes, before rounding."""


def kpu_numbers(
    weights: Array,
    bias: Array,
    x: Grid,
    y: Grid,
    function: Function,
    sums: Sums,
    *,
    depthwise: bool,
    lift: float = 0.0,
    rounded: Rounded | None = None,
) -> KpuNumbers:
    """``weights``: (out, in, k, k), depthwise (channels, 1, k, k), real; ``bias``: (out,); ``function``: from the sum
    to the output, real. ``lift``: codes that are added before rounding, to make up for pooling that truncates.
    ``rounded``: the weights as bytes; None: they are rounded to the nearest.

    Raises OverflowError where no scale holds the layer's sums.
    """
    chosen = nearest(weights, bias, x, sums.inputs, depthwise) if rounded is None else rounded
    zero, steps, stored = chosen.zero, chosen.steps, chosen.stored
    # an image's zero is no byte; a byte stands at its place in the registers, and the bias holds the difference
    off = x.pad - by_input(x.zero, depthwise)
    constant = chosen.bias + (stored * off).sum(axis=(1, 2, 3))
    # channels with a finer step are computed as much larger: the function is a ReLU then
    y_step, y_zero = float(y.step.max()), y.pad
    larger = np.broadcast_to(y_step / y.step, constant.shape)
    steps, stored, constant = steps * larger, stored * larger[:, None, None, None], constant * larger
    sums = replace(sums, low=sums.low * float(larger.max()), high=sums.high * float(larger.max()))
    reach = _reach(stored, constant, x.pad)

    def codes(sums: Array) -> Array:
        return function(sums) / y_step + (y_zero + lift)

    bits, table = _scaled(codes, steps, y_step, sums, reach)
    units = 2.0**bits / y_step
    mul, shift = stored_multipliers(steps * units)
    add = np.clip(np.rint(constant * units + 0.5), -MOST_ADD - 1, MOST_ADD).astype(np.int64)
    taps = weights.shape[2] * weights.shape[3]
    return KpuNumbers(
        chosen.bytes_,
        zero,
        x.pad,
        -zero,
        -x.pad,
        taps * zero * x.pad,
        BatchNorm(mul, add, shift),
        table.table,
        table.error,
    )


def _scaled(codes: Function, steps: Array, y_step: float, sums: Sums, reach: tuple[float, float]) -> tuple[int, Fit]:
    """The bits of t below one output code, and the table for it.

    The fewest with which the multipliers lose next to nothing leave most to the slopes. Where there are none, the best
    of those that lose least.
    """
    errors: dict[int, float] = {}
    for bits in BITS:
        mul = steps * 2.0**bits / y_step
        if mul.max() <= MOST_MUL and max(abs(reach[0]), abs(reach[1])) * 2.0**bits / y_step < MOST_T:
            errors[bits] = _multiplier_error(mul, sums, y_step)
    if not errors:
        raise OverflowError("no scale holds the layer's sums")
    enough = [bits for bits, error in errors.items() if error < NEGLIGIBLE]
    tried = [min(enough)] if enough else sorted(errors, key=lambda bits: errors[bits])[:TRIED]
    tables = {bits: fit(wanted(codes, 2.0**bits / y_step, sums.low, sums.high, reach, sums.density)) for bits in tried}
    best = min(tables, key=lambda bits: tables[bits].error + errors[bits])
    return best, tables[best]


def nearest(weights: Array, bias: Array, x: Grid, inputs: Array | None, depthwise: bool) -> Rounded:
    """Each weight as the byte that is nearest. ``inputs``: mean of each input channel, real; None: unknown."""
    per_code = weights * by_input(x.step, depthwise)
    zero, steps = weight_grid(per_code)
    bytes_ = np.clip(np.rint(per_code / steps[:, None, None, None]) + zero, 0, 255).astype(np.uint8)
    made = Rounded(bytes_, zero, steps, bias)
    if inputs is None:
        return made
    # rounded weights shift the mean of a channel: the bias takes it back
    shift = ((made.stored - per_code) * by_input(inputs / x.step, depthwise)).sum(axis=(1, 2, 3))
    return replace(made, bias=bias - shift)


def by_input(values: Array, depthwise: bool) -> Array:
    """Numbers of the input's channels beside weights (out, in, k, k)."""
    return values.reshape((-1, 1, 1, 1) if depthwise else (1, -1, 1, 1))


def weight_grid(weights: Array) -> tuple[int, Array]:
    """The zero and, for each output channel, the step with which bytes keep the weights best.

    Every channel's least and greatest weight are kept; the zero that they share is the one with the least sum of
    squared steps, each beside the size of its channel's weights.
    """
    flat = weights.reshape(len(weights), -1)
    low, high = np.minimum(flat.min(axis=1), 0.0), np.maximum(flat.max(axis=1), 0.0)
    size = np.maximum(np.sqrt((flat**2).mean(axis=1)), LEAST_STEP)
    zeros = np.arange(256.0)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        down = np.where(low < 0.0, -low / zeros, 0.0)
        up = np.where(high > 0.0, high / (255.0 - zeros), 0.0)
    steps = np.maximum(down, up)
    cost = ((steps / size) ** 2).sum(axis=1)
    zero = int(np.argmin(cost))
    return zero, _tuned(flat, zero, np.maximum(steps[zero], LEAST_STEP))


def _tuned(flat: Array, zero: int, least: Array) -> Array:
    """Steps a little above the least: for each channel the one whose rounding happens to lose least."""
    best, steps = np.full(len(flat), np.inf), least.copy()
    for factor in np.linspace(1.0, 1.1, TUNED):
        tried = least * factor
        rounded = np.clip(np.rint(flat / tried[:, None]) + zero, 0, 255)
        error = (((rounded - zero) * tried[:, None] - flat) ** 2).sum(axis=1)
        better = error < best
        best, steps = np.where(better, error, best), np.where(better, tried, steps)
    return steps


def _reach(stored: Array, constant: Array, zero: int) -> tuple[float, float]:
    """The least and greatest sum that any bytes can make."""
    up, down = np.maximum(stored, 0.0).sum(axis=(1, 2, 3)), np.minimum(stored, 0.0).sum(axis=(1, 2, 3))
    above, below = 255.0 - zero, float(zero)
    return float((down * above - up * below + constant).min()), float((up * above - down * below + constant).max())


def _multiplier_error(mul: Array, sums: Sums, y_step: float) -> float:
    """Mean squared error in codes that rounding the multipliers makes, about."""
    stored, shift = stored_multipliers(mul)
    relative = stored * np.exp2(-shift.astype(np.float64)) / np.maximum(mul, LEAST_STEP) - 1.0
    codes = max(abs(sums.low), abs(sums.high)) / y_step / 2.0
    return float((relative**2).mean() * min(codes, 255.0) ** 2)


def stored_multipliers(values: Array) -> tuple[Array, Array]:
    """``mul / 2**shift`` with 24 bits."""
    size = np.maximum(np.abs(values), 1e-300)
    shift = np.clip(np.floor(np.log2(MOST_MUL / size)), 0, MOST_SHIFT).astype(np.int64)
    return np.rint(values * np.exp2(shift.astype(np.float64))).astype(np.int64), shift
