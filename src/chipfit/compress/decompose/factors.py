"""Weights as products of smaller ones: the nearest in least squares, over weights or over what layers give on samples.

Each way ends in a matrix that mixes features into output channels; given the features, that one is fitted exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from chipfit.graph import Array

_RIDGE = 1e-10
"""Of the mean diagonal of what is inverted."""
_ROUNDS = 6
"""Of alternating between the factors of a Tucker decomposition, or a separable convolution."""
_SETTLED = 1e-9
"""Errors that fall by less of the whole, or are less, are as good as that."""
_SWEEPS, _SLOW = 200, 1e-4
"""Of alternating least squares: at most so many, until the error falls by less of itself in one."""
_MOST_TAPS = 1296
"""Numbers of a depthwise layer that are fitted together, at most."""


@dataclass(frozen=True, eq=False)
class Target:
    """``w``: (out, kh, kw, in), float64, what is decomposed. ``spread``: (columns, columns), covariance of what it is
    multiplied by, positive definite, columns in the order (kh, kw, in); None: every column counts alike."""

    w: Array
    spread: Array | None = None

    @property
    def rows(self) -> Array:
        """(out, columns)."""
        return self.w.reshape(len(self.w), -1)

    @property
    def taps(self) -> int:
        return self.w.shape[1] * self.w.shape[2]

    def weighed(self, rows: Array) -> Array:
        return rows if self.spread is None else rows @ self.spread

    @cached_property
    def power(self) -> float:
        return float((self.weighed(self.rows) * self.rows).sum()) or 1.0

    def error(self, rows: Array) -> float:
        """Of the sums with other weights, (out, columns), as a share of their power."""
        off = rows - self.rows
        return max(0.0, float((self.weighed(off) * off).sum()) / self.power)

    def mixed(self, features: Array) -> Array:
        """(out, features): how ``features``, (features, columns), are best mixed."""
        weighed = self.weighed(features)
        return np.linalg.solve(_ridged(weighed @ features.T), weighed @ self.rows.T).T

    def scale(self, features: Array) -> Array:
        """(features,): how far each goes, so that all can be made to go as far."""
        return _scale((self.weighed(features) * features).sum(axis=1))

    @cached_property
    def between_channels(self) -> Array:
        """(in, in): the spread of input channels, the mean over taps."""
        channels = self.w.shape[3]
        if self.spread is None:
            return np.eye(channels)
        blocks = self.spread.reshape(self.taps, channels, self.taps, channels)
        return np.einsum("titj->ij", blocks) / self.taps

    @cached_property
    def roots(self) -> tuple[Array, Array]:
        """(in, in) each: a root of :attr:`between_channels`, and its inverse."""
        values, vectors = np.linalg.eigh(self.between_channels)
        root = np.sqrt(np.maximum(values, _RIDGE * max(values.max(), 1e-300)))
        return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T


def _ridged(m: Array) -> Array:
    return m + (_RIDGE * float(np.trace(m)) / len(m) + 1e-300) * np.eye(len(m))


def _scale(power: Array) -> Array:
    return np.sqrt(np.where(power > 0, power, 1.0))


def _leading(gram: Array) -> tuple[Array, Array]:
    """Eigenvalues of a symmetric matrix, greatest first and none below 0, and the vectors in columns."""
    values, vectors = np.linalg.eigh(gram)
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]


def _left(energies: Array, power: float) -> Array:
    """Errors, as shares, of keeping the first 1, 2, ... of what has these energies."""
    return np.maximum(0.0, 1.0 - np.cumsum(energies) / power)


# ------------------------------------------------------------------------------------- a matrix of lower rank


def low_rank(target: Target, rank: int) -> tuple[Array, Array]:
    """Features (rank, columns) and how they are mixed, (out, rank): the best ones (Eckart and Young, 1936; over
    samples: Zhang et al., 2015)."""
    _, vectors = _leading(target.weighed(target.rows) @ target.rows.T)
    mix = vectors[:, :rank]
    features = mix.T @ target.rows
    scale = target.scale(features)
    return features / scale[:, None], mix * scale


def low_rank_errors(target: Target) -> Array:
    """(ranks,): of rank 1, 2, ..."""
    values, _ = _leading(target.weighed(target.rows) @ target.rows.T)
    return _left(values[: min(target.rows.shape)], target.power)


# ------------------------------------------------------------------------------------- Tucker-2


def tucker(target: Target, first: int, last: int) -> tuple[Array, Array, Array]:
    """(first, in), (last, kh, kw, first) and (out, last): channels mixed, the window, and channels mixed again.

    Higher-order orthogonal iteration (De Lathauwer et al., 2000) over input and output channels; over samples, window
    and output are then those of the best mix of inputs (Kim et al., 2016, for the three layers).
    """
    w, power = target.w, target.power
    best: tuple[float, tuple[Array, Array, Array]] | None = None
    outer = np.eye(len(w))
    for _ in range(_ROUNDS):
        mix = _inputs(target, outer, first)
        rows, gram = _given_inputs(target, mix)
        values, vectors = _leading(gram)
        outer = vectors[:, :last]
        error = 1.0 - values[:last].sum() / power
        if best is None or error < best[0] - _SETTLED:
            best = error, (mix, outer.T @ rows, outer)
        else:
            break
    assert best is not None
    mix, core, outer = best[1]
    inner = _scale(((mix @ target.between_channels) * mix).sum(axis=1))
    core = core.reshape(last, target.taps, first) * inner
    scale = target.scale((core @ (mix / inner[:, None])).reshape(last, -1))
    core = (core / scale[:, None, None]).reshape(last, *w.shape[1:3], first)
    return mix / inner[:, None], core, outer * scale


def tucker_errors(target: Target, firsts: Sequence[int]) -> list[Array]:
    """For each number of mixed inputs: (out,), errors with 1, 2, ... outputs of the window."""
    found: list[Array] = []
    for first in firsts:
        _, gram = _given_inputs(target, _inputs(target, np.eye(len(target.w)), first))
        found.append(_left(_leading(gram)[0], target.power))
    return found


def _inputs(target: Target, outer: Array, first: int) -> Array:
    """(first, in): the mix of inputs that matters most to ``outer``, (out, mixes), of the outputs."""
    root, inverse = target.roots
    seen = np.tensordot(outer.T, target.w, 1) @ root
    flat = seen.reshape(-1, seen.shape[-1])
    return _leading(flat.T @ flat)[1][:, :first].T @ inverse


def _given_inputs(target: Target, mix: Array) -> tuple[Array, Array]:
    """The best window for mixed inputs, (out, taps * mixes), and the Gram matrix of its sums, (out, out)."""
    taps, (mixes, channels) = target.taps, mix.shape
    if target.spread is None:
        rows = (target.w.reshape(-1, channels) @ mix.T).reshape(len(target.w), -1)  # the mix is orthonormal then
        return rows, rows @ rows.T
    half = (target.spread.reshape(-1, channels) @ mix.T).reshape(taps, channels, taps * mixes)
    seen = np.einsum("ai,tin->tan", mix, half).reshape(taps * mixes, taps * mixes)
    cross = target.rows @ half.reshape(-1, taps * mixes)
    rows = np.linalg.solve(_ridged(seen), cross.T).T
    return rows, rows @ seen @ rows.T


# ------------------------------------------------------------------------------------- lines


def lines(target: Target, rank: int) -> tuple[Array, Array]:
    """(rank, kh, in) and (out, kw, rank): columns of the window, then rows (Jaderberg et al., 2014)."""
    out, kh, kw, channels = target.w.shape
    root, inverse = target.roots
    seen = (target.w @ root).transpose(1, 3, 2, 0).reshape(kh * channels, kw * out)
    first = _leading(seen @ seen.T)[1][:, :rank].T.reshape(rank, kh, channels) @ inverse
    features = np.zeros((kw, rank, kh, kw, channels))
    for column in range(kw):
        features[column, :, :, column] = first
    flat = features.reshape(kw * rank, -1)
    scale = _scale(np.square(target.scale(flat)).reshape(kw, rank).mean(axis=0))
    mix = target.mixed(flat / np.tile(scale, kw)[:, None])
    return first / scale[:, None, None], mix.reshape(out, kw, rank)


def lines_rows(first: Array, last: Array) -> Array:
    return np.einsum("qhi,owq->ohwi", first, last).reshape(len(last), -1)


# ------------------------------------------------------------------------------------- sums of products


def canonical(tensor: Array, rank: int, seed: int = 0) -> list[Array]:
    """(size, rank) for each axis: a tensor as a sum of outer products (CP), by alternating least squares.

    Of few products, which may get stuck, from two beginnings.
    """
    whole = float(np.square(tensor).sum()) or 1.0
    best: tuple[float, list[Array]] | None = None
    for start in range(2 if rank <= max(tensor.shape) else 1):
        factors = _alternated(tensor, _begin(tensor, rank, np.random.default_rng([seed, start]), start), whole)
        error = float(np.square(tensor - _product(factors)).sum()) / whole
        if best is None or error < best[0]:
            best = error, factors
        if error < _SETTLED:
            break
    assert best is not None
    return best[1]


def _begin(tensor: Array, rank: int, rng: np.random.Generator, start: int) -> list[Array]:
    """Of the first beginning, the leading vectors of each axis, as far as there are any."""
    factors: list[Array] = []
    for axis, size in enumerate(tensor.shape):
        drawn = rng.normal(0.0, 1.0, (size, rank))
        if not start:
            flat = np.moveaxis(tensor, axis, 0).reshape(size, -1)
            vectors = _leading(flat @ flat.T)[1][:, : min(rank, size)]
            drawn[:, : vectors.shape[1]] = vectors
        factors.append(drawn / np.linalg.norm(drawn, axis=0))
    return factors


def _alternated(tensor: Array, factors: list[Array], whole: float) -> list[Array]:
    """The last axis holds the sizes; the vectors of the others have a length of 1."""
    last = tensor.ndim - 1
    flats = [np.moveaxis(tensor, axis, 0).reshape(size, -1) for axis, size in enumerate(tensor.shape)]
    before = np.inf
    for _ in range(_SWEEPS):
        for axis, flat in enumerate(flats):
            others = _columnwise([f for i, f in enumerate(factors) if i != axis])
            seen = flat @ others
            factors[axis] = np.linalg.solve(_ridged(others.T @ others), seen.T).T
            if axis == last:  # fitted: what is explained is the inner product with the tensor
                error = 1.0 - float((seen * factors[axis]).sum()) / whole
                if before - error < _SLOW * error + _SETTLED**1.5:
                    return factors
                before = error
            else:
                factors[axis] = factors[axis] / _scale(np.square(factors[axis]).sum(axis=0))
    return factors


def _columnwise(factors: Sequence[Array]) -> Array:
    """(product of sizes, rank): outer products, column by column."""
    result = factors[0]
    for factor in factors[1:]:
        result = (result[:, None] * factor[None]).reshape(-1, factor.shape[1])
    return result


def _product(factors: Sequence[Array]) -> Array:
    shape = tuple(len(factor) for factor in factors)
    return (factors[0] @ _columnwise(factors[1:]).T).reshape(shape)


def products(target: Target, rank: int, by_lines: bool) -> tuple[Array, tuple[Array, ...], Array]:
    """(rank, in); windows of each of its channels, (rank, kh, kw), or (rank, kh) and (rank, kw) ``by_lines``; and (out,
    rank) (Lebedev et al., 2015)."""
    out, kh, kw, channels = target.w.shape
    root, inverse = target.roots
    seen = target.w @ root
    if by_lines:
        windows = canonical(np.moveaxis(seen, 0, 3), rank)
        tall, wide = windows[0].T, windows[1].T
        first, inner = windows[2].T @ inverse, (tall, wide)
        taps = np.einsum("qh,qw->qhw", tall, wide)
    else:
        factors = canonical(np.moveaxis(seen.reshape(out, kh * kw, channels), 0, 2), rank)
        taps = factors[0].T.reshape(rank, kh, kw)
        first, inner = factors[1].T @ inverse, (taps,)
    scale = _scale(((first @ target.between_channels) * first).sum(axis=1))
    first = first / scale[:, None]
    features = np.einsum("qhw,qi->qhwi", taps, first).reshape(rank, -1)
    further = target.scale(features)
    inner = (*inner[:-1], inner[-1] / further.reshape(-1, *[1] * (inner[-1].ndim - 1)))
    return first, inner, target.mixed(features / further[:, None])


def products_rows(first: Array, inner: tuple[Array, ...], last: Array) -> Array:
    taps = inner[0] if len(inner) == 1 else np.einsum("qh,qw->qhw", *inner)
    return np.einsum("oq,qhw,qi->ohwi", last, taps, first).reshape(len(last), -1)


# ------------------------------------------------------------------------------------- depthwise separable


def separable(target: Target, multiplier: int) -> tuple[Array, Array]:
    """(in, multiplier, kh, kw) and (out, in * multiplier): windows of each input channel alone, then channels mixed.

    Over weights it is the leading part of each input channel's (out, taps) matrix; over samples both are then fitted
    in turns.
    """
    out, kh, kw, channels = target.w.shape
    each = target.w.reshape(out, kh * kw, channels).transpose(2, 0, 1)
    deep = np.linalg.svd(each, full_matrices=False)[2][:, :multiplier]  # (in, multiplier, taps)
    mix = target.mixed(_deep_features(deep))
    if target.spread is not None and deep.size <= _MOST_TAPS:
        for _ in range(_ROUNDS):
            deep = _deep_fitted(target, mix, multiplier)
            deep /= _scale(np.square(deep).sum(axis=2))[..., None]
            mix = target.mixed(_deep_features(deep))
    scale = target.scale(_deep_features(deep))
    return (deep / scale.reshape(channels, multiplier, 1)).reshape(channels, multiplier, kh, kw), mix * scale


def separable_errors(target: Target, multipliers: int) -> Array:
    """(multipliers,): with 1, 2, ..., over weights."""
    out, _, _, channels = target.w.shape
    each = target.w.reshape(out, -1, channels).transpose(2, 0, 1)
    energies = np.square(np.linalg.svd(each, compute_uv=False)).sum(axis=0)[:multipliers]
    return _left(energies, float(np.square(target.w).sum()) or 1.0)


def separable_rows(deep: Array, mix: Array) -> Array:
    channels, multiplier = deep.shape[:2]
    return mix @ _deep_features(deep.reshape(channels, multiplier, -1))


def _deep_features(deep: Array) -> Array:
    """(in * multiplier, columns)."""
    channels, multiplier, taps = deep.shape
    features = np.zeros((channels, multiplier, taps, channels))
    at = np.arange(channels)
    features[at, :, :, at] = deep
    return features.reshape(channels * multiplier, taps * channels)


def _deep_fitted(target: Target, mix: Array, multiplier: int) -> Array:
    """The windows that fit a mix of them best, (in, multiplier, taps)."""
    assert target.spread is not None
    taps, channels = target.taps, target.w.shape[3]
    spread = target.spread.reshape(taps, channels, taps, channels)
    alike = (mix.T @ mix).reshape(channels, multiplier, channels, multiplier)
    inner = np.einsum("iqjp,tiuj->iqtjpu", alike, spread).reshape(2 * (channels * multiplier * taps,))
    wanted = np.einsum("oiq,oti->iqt", mix.reshape(-1, channels, multiplier),
                       target.weighed(target.rows).reshape(-1, taps, channels))  # fmt: skip
    return np.linalg.solve(_ridged(inner), wanted.reshape(-1)).reshape(channels, multiplier, taps)


# ------------------------------------------------------------------------------------- how much is signal


def signal_rank(matrix: Array) -> int:
    """How many of the singular values are more than noise: the variational Bayesian estimate of the rank, with the
    noise estimated, too (Nakajima et al., 2013: the analytic solution of empirical VB matrix factorization)."""
    short, long = sorted(matrix.shape)
    values = np.square(np.linalg.svd(matrix, compute_uv=False))
    values = np.maximum(values, 1e-14 * max(values[0], 1e-300))
    alpha = short / long
    least = 2.5129 * np.sqrt(alpha)
    edge = (1 + least) * (1 + alpha / least)
    most = max(0, min(int(np.ceil(short / (1 + alpha))) - 1, short) - 1)
    rest = values[most + 1 :] if most + 1 < short else values[-1:]
    low = max(rest[0] / (long * edge), rest.mean() / long)
    high = max(values.sum() / (short * long), low)
    noises = np.geomspace(low, high, 400)
    noise = min(noises, key=lambda n: _free_energy(values / (long * n), alpha, edge))
    return int((values > long * noise * edge).sum())


def _free_energy(x: Array, alpha: float, edge: float) -> float:
    """Of squared singular values in units of the noise, up to a constant."""
    signal, noise = x[x > edge], x[x <= edge]
    over = signal - (1 + alpha)
    tau = 0.5 * (over + np.sqrt(np.maximum(over**2 - 4 * alpha, 0.0)))
    of_signal = signal - tau + np.log((tau + 1) / signal) + alpha * np.log(tau / alpha + 1)
    return float((noise - np.log(noise)).sum() + of_signal.sum())
