"""The proofs of the cheap requantisations, by exhaustion: all accumulators that occur, against TFLite's rounding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from chipfit.fixedpoint import Int, quantize_multiplier, requantize
from chipfit.ops._conv_forms import LINE, PLAIN, TWO_LINES, Channel, pairs_of, plain_reason
from chipfit.ops._fold import (
    Line,
    Staircase,
    TwoLines,
    common_shift,
    fold_line,
    fold_two_lines,
    two_lines_rounding,
)

SEEDS = range(40)


def channel(seed: int, *, one_sided: bool, reach: int = 20_000) -> Staircase:
    """A random channel whose accumulators about fill the output range."""
    rng = np.random.default_rng(seed)
    m, shift = quantize_multiplier(float(rng.uniform(100, 400)) / reach)
    zero = int(rng.choice([-128, int(rng.integers(-128, 128))]))
    low = zero if one_sided else -128
    acc_min, acc_max = -int(rng.integers(1, reach)), int(rng.integers(1, reach))
    return Staircase(m, shift, zero, low, 127, acc_min, acc_max)


def accumulators(c: Staircase) -> Int:
    return np.arange(c.acc_min, c.acc_max + 1, dtype=np.int64)


def expected(c: Staircase) -> Int:
    return requantize(accumulators(c), c.m, c.shift, c.zero, c.low, c.high)


def int32(x: Int) -> Int:
    assert x.min() >= -(1 << 31)
    assert x.max() < 1 << 31
    return x


def by_line(c: Staircase, line: Line, k: int, s: int) -> Int:
    a = int32(k * accumulators(c) + line.c)
    return np.clip((a * line.m >> 32) >> s, max(c.low, -128), c.high)


def by_two_lines(c: Staircase, two: TwoLines, k: int, s: int) -> Int:
    a = int32(k * accumulators(c) + two.c)
    a = int32(a - np.where(a < 0, two.j, 0))
    return np.clip(((a * two.m >> 32) + two_lines_rounding(c.zero, s)) >> s, c.low, c.high)


@pytest.mark.parametrize("seed", SEEDS)
def test_steps_are_where_the_output_rises(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, shift = quantize_multiplier(float(2.0 ** rng.uniform(-14, 3)))
    c = Staircase(m, shift, int(rng.integers(-128, 128)), -100, 101, -9000, 9000)
    values, t = c.steps()
    reached = (accumulators(c)[:, None] >= t[None, :]).sum(axis=1) + c.low
    assert (reached == expected(c)).all()
    assert values.tolist() == list(range(-99, 102))


@pytest.mark.parametrize("k", [256, 240])
def test_a_proven_line_gives_every_output(k: int) -> None:
    proven = 0
    for seed in SEEDS:
        c = channel(seed, one_sided=True)
        for s in (8, 12):
            line = fold_line(c, k, s)
            if line is not None:
                proven += 1
                assert (by_line(c, line, k, s) == expected(c)).all()
    assert proven > len(SEEDS)  # of twice as many


@pytest.mark.parametrize("k", [256, 240])
def test_proven_two_lines_give_every_output(k: int) -> None:
    proven = 0
    for seed in SEEDS:
        c = channel(seed, one_sided=False)
        for s in (8, 12):
            two = fold_two_lines(c, k, s)
            if two is not None:
                proven += 1
                assert (by_two_lines(c, two, k, s) == expected(c)).all()
    assert proven > len(SEEDS)


def test_a_wrong_constant_is_caught() -> None:
    """The comparison itself: half an accumulator beside the proven place, a step moves."""
    for seed in SEEDS:
        c = channel(seed, one_sided=True)
        line = fold_line(c, 256, 12)
        if line is None or not (expected(c) > c.low).any():
            continue
        for wrong in (-256, 256):
            assert (by_line(c, Line(line.m, line.c + wrong), 256, 12) != expected(c)).any()
        slope = Line(line.m + (line.m >> 8), line.c)
        assert (by_line(c, slope, 256, 12) != expected(c)).any()


def test_a_two_sided_channel_has_no_line() -> None:
    c = Staircase(*quantize_multiplier(0.01), 0, -128, 127, -12_000, 12_000)
    assert fold_line(c, 256, 12) is None
    assert fold_two_lines(c, 256, 12) is not None


@pytest.mark.parametrize("seed", range(12))
def test_the_search_finds_what_looking_everywhere_finds(seed: int) -> None:
    """A small k leaves little room. One line exists for some multiplier: then one is found."""
    c = channel(seed, one_sided=True)
    k, s = 64, 10
    values, t = c.steps()
    seen = (t > c.acc_min) & (t <= c.acc_max)
    exact = round(c.scale * 2.0 ** (32 + s) / k)
    exists = False
    for m in range(exact - 512, exact + 513):
        need = -((-(values << (32 + s))) // m)
        least = (need - k * t)[seen].max(initial=-(1 << 40))
        most = (need - 1 - k * (t - 1))[seen].min(initial=1 << 40)
        exists = exists or least <= most
    assert (fold_line(c, k, s) is not None) == exists


def test_what_does_not_fit_is_not_proven() -> None:
    c = channel(0, one_sided=True)
    wide = Staircase(c.m, c.shift, c.zero, c.low, c.high, -(1 << 23), 1 << 23)
    assert fold_line(wide, 256, 12) is None
    assert fold_two_lines(wide, 256, 12) is None
    assert common_shift([4.0e9], 256) < 0
    assert common_shift([1e-12], 256) == 22


# ---------------------------------------------------------------------------------------------- forms of convolutions


def line_form(a: Int, s: int, m: int) -> Int:
    return (a * m >> 32) >> s


def two_lines_form(a: Int, s: int, m: int, j: int, r: int) -> Int:
    a = int32(a - np.where(a < 0, j, 0))
    return (int32((a * m >> 32) + r)) >> s


def plain_form(a: Int, _s: int, m: int, r: int, right: int) -> Int:
    v = ((a >> 7) * m + (1 << 31)) >> 32
    return int32(v + (v >> 31) + r) >> right


def outputs(member: Channel, form: int) -> Int:
    """What the kernel makes of every accumulator, with the numbers of this form."""
    c = member.stairs
    start, numbers = member.numbers(form)
    shared = (two_lines_rounding(c.zero, member.s),) if form == TWO_LINES else ()
    computes: Callable[..., Int] = (line_form, two_lines_form, plain_form)[form]
    # the weights bring acc less the start; those of a constant channel bring nothing
    weighted = 0 if member.constant is not None else accumulators(c) - member.start
    a = int32(np.atleast_1d(np.asarray(256 * weighted + start, np.int64)))
    return np.clip(np.clip(computes(a, member.s, *numbers, *shared), -128, 127), c.low, c.high)


@pytest.mark.parametrize("s", [8, 12])
@pytest.mark.parametrize("one_sided", [True, False])
def test_every_form_that_holds_gives_every_output(one_sided: bool, s: int) -> None:
    held = [0, 0, 0]
    for seed in SEEDS:
        member = Channel(channel(seed, one_sided=one_sided), 1234, s)
        for form in (LINE, TWO_LINES, PLAIN):
            if member.holds(form):
                held[form] += 1
                assert (outputs(member, form) == expected(member.stairs)).all(), (seed, form)
    assert held[PLAIN] == len(SEEDS)
    assert held[LINE if one_sided else TWO_LINES] > len(SEEDS) // 2


@pytest.mark.parametrize("shift", [-1, -19, -22, -23, -24, -31])
def test_the_plain_form_takes_small_scales(shift: int) -> None:
    c = Staircase((1 << 31) - 7, shift, 3, -128, 127, -(1 << 14), 1 << 14)
    assert plain_reason(c) is None
    assert (outputs(Channel(c, -5, 12), PLAIN) == expected(c)).all()


def test_the_plain_form_says_what_it_does_not_take() -> None:
    assert "accumulators reach 8,388,608" in str(plain_reason(Staircase(1 << 30, -4, 0, -128, 127, -9, 1 << 23)))
    assert "less than 0.5" in str(plain_reason(Staircase(1 << 30, 0, 0, -128, 127, -9, 9)))
    assert "accumulators of" in str(plain_reason(Staircase(1 << 30, -24, 0, -128, 127, -9, 1 << 22)))


@pytest.mark.parametrize("form", [LINE, TWO_LINES, PLAIN])
def test_a_constant_channel_takes_any_form(form: int) -> None:
    """Also with a bias that no form could scale: dead channels of real models have them."""
    for acc in (-(1 << 30), -77, 0, 5000, 1 << 30):
        c = Staircase(*quantize_multiplier(0.003), 11, -100, 100, acc, acc)
        assert plain_reason(c) is None
        assert outputs(Channel(c, acc, 12), form).tolist() == expected(c).tolist()


def test_pairs_share_the_cheapest_form_of_both() -> None:
    one, two = (Staircase(*quantize_multiplier(0.01), 0, low, 127, -12_000, 12_000) for low in (0, -128))
    tiny = Staircase(1 << 30, -23, 0, -128, 127, -9000, 9000)
    dead = Staircase(1 << 30, -4, 0, -128, 127, 7, 7)
    stairs = (one, dead, two, dead, tiny, one, dead)
    s, pairs = pairs_of(stairs, [0] * len(stairs))
    assert [pair.form for pair in pairs] == [LINE, TWO_LINES, PLAIN, LINE]
    assert pairs[-1].a is pairs[-1].b
    assert s in (8, 12)
