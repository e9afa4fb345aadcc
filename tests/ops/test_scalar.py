"""The proofs for cores without DSP instructions, by exhaustion: all sums that occur, against TFLite's rounding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from chipfit.fixedpoint import Int, multiply_by_quantized_multiplier, quantize_multiplier, requantize
from chipfit.ops._channels import Channels
from chipfit.ops._fold import Staircase
from chipfit.ops._scalar import EXACT, LINE, TWO_LINES, Finish, finish_with_digits, finish_with_high_multiply

Way = Callable[[Channels], Finish]

SEEDS = range(20)
WAYS: list[Way] = [finish_with_high_multiply, finish_with_digits]


def layer(seed: int, *, one_sided: bool, reach: int = 20_000, outputs: int = 3) -> Channels:
    """Random channels whose accumulators about fill the output range, each with another scale and bias."""
    rng = np.random.default_rng(seed)
    zero = int(rng.choice([-128, int(rng.integers(-128, 128))]))
    stairs: list[Staircase] = []
    for _ in range(outputs):
        m, shift = quantize_multiplier(float(rng.uniform(100, 400)) / reach)
        ends = -int(rng.integers(1, reach)), int(rng.integers(1, reach))
        stairs.append(Staircase(m, shift, zero, zero if one_sided else -128, 127, *ends))
    starts = rng.integers(-reach // 3, reach // 3, outputs)
    return Channels(np.zeros((outputs, 1), np.int64), starts.astype(np.int64), tuple(stairs))


def int32(x: Int) -> Int:
    assert x.min() >= -(1 << 31)
    assert x.max() < 1 << 31
    return x


def outputs_of(finish: Finish, channel: int, sums: Int, zero: int, low: int, high: int) -> Int:
    """What runtime/include/cf_finish.h makes of a channel's sums."""
    form, bits, digits, shift, rounding, low, high = finish.field(zero, low, high)
    c, *row = (int(n) for n in finish.numbers[channel])
    if form == EXACT:
        return np.clip(multiply_by_quantized_multiplier(sums + c, *row) + rounding, low, high)
    j = row.pop(0) if form == TWO_LINES else 0
    m = row.pop(0)
    if digits == 1:
        v = int32(sums << bits) * m >> 32
    else:
        v = int32((int32(sums * (m & 0xFFFF)) >> bits) + int32(sums * (m >> 16 & 0xFFFF)))
        if digits == 3:
            v = int32((v >> bits) + int32(sums * row.pop(0)))
    assert not row
    v = int32(v + c)
    if form == TWO_LINES:
        v = int32(int32(v - np.where(v < 0, j, 0)) + rounding)
    return np.clip(v >> shift, low, high)


def check(channels: Channels, finish: Finish) -> None:
    for i, c in enumerate(channels.stairs):
        acc = np.arange(c.acc_min, c.acc_max + 1, dtype=np.int64)
        actual = outputs_of(finish, i, acc - int(channels.start[i]), c.zero, c.low, c.high)
        assert (actual == requantize(acc, c.m, c.shift, c.zero, c.low, c.high)).all()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", SEEDS)
def test_one_side(seed: int, way: Way) -> None:
    channels = layer(seed, one_sided=True)
    finish = way(channels)
    assert finish.form == LINE
    check(channels, finish)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", SEEDS)
def test_both_sides(seed: int, way: Way) -> None:
    channels = layer(seed, one_sided=False)
    finish = way(channels)
    assert finish.form != EXACT
    check(channels, finish)


@pytest.mark.parametrize("reach", [100, 3_000, 100_000, 1_000_000])
@pytest.mark.parametrize("way", WAYS)
def test_small_and_large_sums(reach: int, way: Way) -> None:
    for one_sided in (True, False):
        channels = layer(reach, one_sided=one_sided, reach=reach)
        check(channels, way(channels))


def test_long_sums_need_a_third_digit() -> None:
    finish = finish_with_digits(layer(1, one_sided=True, reach=2_000_000))
    assert (finish.form, finish.scaling.digits) == (LINE, 3)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("one_sided", [True, False])
def test_a_constant_channel_does_not_spoil_the_layer(one_sided: bool, way: Way) -> None:
    """A filter of zeros with a huge bias, as dead channels of trained models have."""
    channels = layer(3, one_sided=one_sided)
    dead = Staircase(1 << 30, -27, channels.stairs[0].zero, channels.stairs[0].low, 127, 1 << 30, 1 << 30)
    starts = np.append(channels.start, 1 << 30)
    with_dead = Channels(np.zeros((4, 1), np.int64), starts, (*channels.stairs, dead))
    finish = way(with_dead)
    assert finish.form == way(channels).form
    check(with_dead, finish)


@pytest.mark.parametrize("way", WAYS)
def test_what_cannot_be_proven_is_exact(way: Way) -> None:
    channels = layer(4, one_sided=False)
    scaled_up = Staircase(1 << 30, 9, 0, -128, 127, -5000, 5000)
    mixed = Channels(np.zeros((4, 1), np.int64), np.append(channels.start, 0), (*channels.stairs, scaled_up))
    finish = way(mixed)
    assert finish.form == EXACT
    check(mixed, finish)
