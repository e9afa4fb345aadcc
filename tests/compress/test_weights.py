"""Few different weights, and weights that are 0."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from chipfit.compress.cluster import clustered
from chipfit.compress.codebook import codebook, nearest
from chipfit.compress.sparse import masked_codes, parse_pattern, sparse_rows
from chipfit.compress.weights import Chosen, Rows, distinct, real_weights, reweighted, with_weights
from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.quantize import Samples
from chipfit.quantize.reconstruct import damped
from chipfit.trainable.judge import float_outputs, int8_outputs
from quantize.nets import mobile, pictures


@pytest.mark.parametrize("seed", range(6))
def test_codebook_is_the_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    histogram = np.zeros(255)
    at = np.sort(rng.choice(255, 9, replace=False))
    histogram[at] = rng.random(9)
    x = np.arange(-127, 128)

    def cost(codes: Array) -> float:
        return float((histogram * np.square(x[:, None] - codes[None]).min(axis=1)).sum())

    best = np.inf
    for edges in combinations(range(1, 9), 2):
        parts = np.split(at, edges)
        centres = [np.rint((histogram[p] * (p - 127)).sum() / histogram[p].sum()) for p in parts]
        best = min(best, cost(np.array(centres)))
    found = codebook(histogram, 3)
    assert len(found) == 3
    assert cost(found) == pytest.approx(best)


def test_codebook_of_few_numbers_is_they() -> None:
    histogram = np.zeros(255)
    histogram[[0, 127, 254]] = 1
    assert codebook(histogram, 16).tolist() == [-127, 0, 127]
    assert nearest(np.array([-127, 0, 127]), np.array([-70.0, 10.0, 64.0])).tolist() == [-127, 0, 127]


def _rows(rng: np.random.Generator, groups: int = 1, channels: int = 24, columns: int = 16) -> Rows:
    mixed = rng.normal(0, 1, (groups, 400, columns)) @ rng.normal(0, 1, (groups, columns, columns))
    real = rng.normal(0, 0.1, (groups, channels, columns)) * rng.uniform(0.5, 2, (groups, channels, 1))
    scales = np.abs(real).max(axis=2) / 127
    return Rows(real, scales, scales * 1e-6, damped(mixed))


@pytest.mark.parametrize("groups", [1, 5])
def test_clusters_are_few_and_fed_back(groups: int) -> None:
    rows = _rows(np.random.default_rng(0), groups)
    q, scales, codes = clustered(rows, 8)
    assert len(np.unique(q)) <= 8
    assert set(np.unique(q)) <= set(codes)
    assert np.abs(q).max() <= 127
    # against the plainest way: the nearest of 8 even steps
    plain = np.clip(np.rint(rows.real / rows.scales[..., None] / 36.3), -3, 3) * 36.3
    assert rows.error(q * scales[..., None]) < 0.5 * rows.error(plain * rows.scales[..., None])


def test_dead_channels_stay_dead() -> None:
    """Of a channel whose plain weights are 0 all stay 0: its constant is folded away then."""
    rows = _rows(np.random.default_rng(0))
    rows.real[0, 3] = 1e-12
    for q, scales in (clustered(rows, 8)[:2], masked_codes(rows, *sparse_rows(rows, 0.5, None))):
        assert not q[0, 3].any()
        assert scales[0, 3] == rows.scales[0, 3]
        assert len(np.unique(clustered(rows, 8)[0])) <= 8


def test_sparse_rows_keep_to_their_share() -> None:
    rows = _rows(np.random.default_rng(0), columns=40)
    kept, real = sparse_rows(rows, 0.75, None)
    q, scales = masked_codes(rows, kept, real)
    assert kept.mean() == pytest.approx(0.25, abs=0.01)
    assert not q[~kept].any()
    cut = np.abs(rows.real) > np.quantile(np.abs(rows.real), 0.75)
    assert rows.error(q * scales[..., None]) < 0.5 * rows.error(np.where(cut, rows.real, 0))


def test_weights_that_stay_are_fitted() -> None:
    rows = _rows(np.random.default_rng(0), channels=1, columns=6)
    kept, real = sparse_rows(rows, 0.5, None)
    assert rows.spread is not None
    at = np.flatnonzero(kept[0, 0])
    wanted = np.linalg.solve(rows.spread[0][np.ix_(at, at)], rows.spread[0][at] @ rows.real[0, 0])
    np.testing.assert_allclose(real[0, 0, at], wanted)


@pytest.mark.parametrize("columns", [16, 18])
def test_patterns_hold(columns: int) -> None:
    rows = _rows(np.random.default_rng(0), columns=columns)
    q, _ = masked_codes(rows, *sparse_rows(rows, 0.0, (2, 4)))
    blocks = [q[..., k : k + 4] for k in range(0, columns, 4)]
    assert all((np.count_nonzero(block, axis=2) <= 2).all() for block in blocks)
    assert np.count_nonzero(q) > 0.45 * q.size


@pytest.mark.parametrize("text", ["4:2", "2", "a:b", "4:4"])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(ChipfitError, match="U001"):
        parse_pattern(text)


def test_models_of_few_weights_compute_nearly_the_same() -> None:
    rng = np.random.default_rng(0)
    graph = mobile(rng)
    samples = Samples((pictures(rng, 40),), (None,))
    found: dict[str, Chosen] = {}

    def choose(name: str, rows: Rows) -> tuple[Array, Array]:
        q, scales, _ = clustered(rows, 16)
        found[name] = Chosen(q, scales, rows.real)
        return q, scales

    int8 = reweighted(graph, samples, choose)
    assert all(different <= 16 for _, different, _ in distinct(int8).values())
    assert len(found) == 5
    wanted = float_outputs(graph, samples)
    assert np.abs(int8_outputs(int8, samples) - wanted).max() < 0.12
    twin = with_weights(graph, samples, real_weights(graph, found))
    assert np.abs(float_outputs(twin, samples) - wanted).max() < 0.12
    for name, chosen in found.items():
        w = next(v for v in twin.values() if v.name == name).array
        assert np.unique(np.sign(w)).size == np.unique(np.sign(chosen.codes)).size
