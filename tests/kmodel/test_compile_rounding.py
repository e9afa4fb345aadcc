"""Weights as bytes whose errors make up for each other: on the samples, and on others."""

from __future__ import annotations

import numpy as np
import pytest

from chipfit.graph import Array
from chipfit.kmodel.compile.rounding import rounded_rows, shrunk
from chipfit.quantize.reconstruct import rounded

BOUNDS = (-100, 155)
CHANNELS = 8


def inputs(positions: int, columns: int, seed: int = 0, groups: int = 1) -> Array:
    """Bytes of neighbouring pixels: a few causes and some noise."""
    rng = np.random.default_rng(seed)
    causes = np.random.default_rng(9).normal(0, 1, (groups, columns // 4, columns))
    mixed = rng.normal(0, 12, (groups, positions, columns // 4)) @ causes
    return np.round(mixed + rng.normal(0, 6, mixed.shape)) + 128


def rows(columns: int, groups: int = 1) -> tuple[Array, Array]:
    """Weights and their steps."""
    w = np.random.default_rng(1).normal(0, 1, (groups, CHANNELS, columns))
    return w, np.abs(w).max(axis=2) / 20


def noise(w: Array, q: Array, steps: Array, columns: Array) -> float:
    """Power of the sums' error about its mean, which a bias takes away."""
    error = np.einsum("gsk,gok->gso", columns, w - q * steps[..., None])
    return float(error.var(axis=1).mean())


def nearest(w: Array, steps: Array) -> Array:
    return np.clip(np.rint(w / steps[..., None]), *BOUNDS)


def test_half_the_noise_of_the_nearest_bytes() -> None:
    w, steps = rows(64)
    columns, others = inputs(4000, 64), inputs(4000, 64, seed=2)
    q = rounded_rows(w, steps, columns, BOUNDS)
    for met in (columns, others):
        assert noise(w, q, steps, met) < 0.5 * noise(w, nearest(w, steps), steps, met)


@pytest.mark.parametrize("positions", [20, 60, 200])
def test_few_samples_do_no_harm_to_others(positions: int) -> None:
    w, steps = rows(128)
    q = rounded_rows(w, steps, inputs(positions, 128), BOUNDS)
    others = inputs(4000, 128, seed=2)
    assert noise(w, q, steps, others) < noise(w, nearest(w, steps), steps, others)


def test_looking_at_each_weight_again_finds_better_bytes() -> None:
    w, steps = rows(150)
    columns = inputs(4000, 150)
    once = rounded(w, steps, shrunk(columns), BOUNDS)
    assert noise(w, rounded_rows(w, steps, columns, BOUNDS), steps, columns) < 0.97 * noise(w, once, steps, columns)


def test_no_weight_has_a_better_neighbour() -> None:
    """What is found is a minimum: one step up or down of any weight loses."""
    w, steps = rows(20)
    columns = inputs(500, 20)
    spread = shrunk(columns)[0]
    q = rounded_rows(w, steps, columns, BOUNDS)
    error = (q * steps[..., None] - w)[0]
    slope = 2 * error @ spread * steps.T
    curve = np.diag(spread) * steps.T**2
    inner = (q[0] > BOUNDS[0]) & (q[0] < BOUNDS[1])
    assert ((np.abs(slope) <= curve + 1e-9) | ~inner).all()


def test_integers_stay_within_their_bounds() -> None:
    w, steps = rows(32)
    q = rounded_rows(w, steps / 20, inputs(500, 32), BOUNDS)
    assert (q.min(), q.max()) == BOUNDS
    assert np.array_equal(q, np.rint(q))


def test_groups_are_rounded_each_by_itself() -> None:
    w, steps = rows(9, groups=5)
    columns = inputs(300, 9, groups=5)
    both = rounded_rows(w, steps, columns, BOUNDS)
    for g in range(5):
        one = slice(g, g + 1)
        np.testing.assert_array_equal(both[one], rounded_rows(w[one], steps[one], columns[one], BOUNDS))


def test_inputs_that_never_change_leave_the_nearest() -> None:
    w, steps = rows(16)
    q = rounded_rows(w, steps, np.full((1, 50, 16), 3.0), BOUNDS)
    np.testing.assert_array_equal(q, nearest(w, steps))
