"""Rounding column by column: what it minimises, and what it must not care for."""

from __future__ import annotations

import numpy as np

from chipfit.graph import Array
from chipfit.quantize.reconstruct import reconstruct

GROUPS, CHANNELS, POSITIONS, COLUMNS = 2, 5, 400, 12


def problem(seed: int = 0) -> tuple[Array, Array, Array]:
    """Weights, scales, and columns that depend on each other, as neighbouring pixels do."""
    rng = np.random.default_rng(seed)
    w = rng.normal(0, 1, (GROUPS, CHANNELS, COLUMNS))
    scales = np.abs(w).max(axis=2) / 7  # few steps: rounding hurts
    columns = np.round(rng.normal(0, 20, (GROUPS, POSITIONS, 3)) @ rng.normal(0, 1, (GROUPS, 3, COLUMNS)))
    return w, scales, columns + np.round(rng.normal(0, 4, columns.shape))


def noise(w: Array, q: Array, scales: Array, columns: Array) -> float:
    """Power of the error of the sums about its mean, which a bias takes away."""
    error = np.einsum("gsk,gok->gso", columns, w - q * scales[..., None])
    return float(error.var(axis=1).sum())


def test_less_noise_than_rounding_to_the_nearest() -> None:
    w, scales, columns = problem()
    q = reconstruct(w, scales, columns)
    nearest = np.rint(w / scales[..., None])
    assert noise(w, q, scales, columns) < 0.3 * noise(w, nearest, scales, columns)


def test_the_mean_of_the_inputs_does_not_matter() -> None:
    w, scales, columns = problem()
    np.testing.assert_array_equal(reconstruct(w, scales, columns), reconstruct(w, scales, columns + 4096))


def test_integers_stay_symmetric() -> None:
    w, scales, columns = problem()
    q = reconstruct(w, scales / 40, columns)
    assert (q.dtype, int(q.min()), int(q.max())) == (np.int8, -127, 127)


def test_groups_are_rounded_each_by_itself() -> None:
    w, scales, columns = problem()
    both = reconstruct(w, scales, columns)
    for g in range(GROUPS):
        np.testing.assert_array_equal(both[g : g + 1], reconstruct(*(x[g : g + 1] for x in (w, scales, columns))))


def test_inputs_that_never_change() -> None:
    """Any integers would do; those next to the weights are what is expected."""
    w, scales, columns = problem()
    q = reconstruct(w, scales, np.full_like(columns, 3))
    np.testing.assert_array_equal(q, np.rint(w / scales[..., None]))
