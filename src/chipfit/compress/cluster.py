"""Clustering: each layer has few different int8 weights, which then take few bits in flash each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chipfit.compress.codebook import fitted_codebook, nearest
from chipfit.compress.fine import fine_tuned, folded_copy, learned_in_integers, outcome, require_epochs, tuning_words
from chipfit.compress.run import Outcome, Session
from chipfit.compress.weights import (
    Chosen,
    Rows,
    best_scales,
    fed_back,
    layers_of,
    real_weights,
    reweighted,
    with_weights,
)
from chipfit.compress.weights_report import details_of
from chipfit.errors import ChipfitError
from chipfit.fixedpoint import Int
from chipfit.graph import Array, Graph, Quant
from chipfit.trainable.tune import TuneSettings
from chipfit.trainable.weights import Clustered

MOST = 127


@dataclass(frozen=True)
class Cluster:
    """``values``: different integers that the weights of a layer may have, 2 to 127; 16 take 4 bits each. ``tuning``:
    None: nothing learns; ``aware``: in the integers that it is deployed with (see :mod:`chipfit.compress.qat`). Raises
    ChipfitError U001."""

    values: int = 16
    tuning: TuneSettings | None = None
    aware: bool = False
    name: str = "cluster"

    def __post_init__(self) -> None:
        if not 2 <= self.values <= MOST:
            raise ChipfitError("U001", f"--values {self.values} is none of 2 to {MOST}", "16 take 4 bits, 4 take 2")
        require_epochs(self.aware, self.tuning)

    @property
    def words(self) -> list[str]:
        return ["--values", str(self.values), *(["--qat"] if self.aware else []), *tuning_words(self.tuning)]

    @property
    def epochs(self) -> int:
        return 0 if self.tuning is None else self.tuning.epochs

    def apply(self, session: Session) -> Outcome:
        subject, samples = session.subject, session.subject.require_calibration()
        found: dict[str, tuple[Chosen, Int]] = {}
        errors: dict[str, float] = {}

        def choose(name: str, rows: Rows) -> tuple[Array, Array]:
            q, scales, codes = clustered(rows, self.values)
            found[name] = Chosen(q, scales, rows.real), codes
            errors[name] = rows.error(q * scales[..., None])
            return q, scales

        whole = folded_copy(subject.model.graph) if self.aware else subject.model.graph
        int8 = reweighted(whole, samples, choose, session.progress)
        graph = with_weights(whole, samples, real_weights(whole, {name: chosen for name, (chosen, _) in found.items()}))
        forms = _forms(graph, found)
        rule = f"at most {self.values} different weights in a layer"
        if self.aware:
            made = learned_in_integers(session, graph, self.tuning, forms, _quants(graph, found))
            if made is not None:
                return outcome(made.graph, made.int8, details_of(made.int8, rule, errors), made.progress, made.recipe)
        tuned = fine_tuned(session, graph, self.tuning, forms)
        if tuned is not None:
            graph, codes_of = tuned.graph, _learned(tuned.graph, found)

            def keep(name: str, rows: Rows) -> tuple[Array, Array]:
                scales = best_scales(rows.real, codes_of[name], rows.scales)
                return codes_of[name], np.maximum(scales, rows.least)

            int8 = reweighted(graph, samples, keep, session.progress)
        return outcome(graph, int8, details_of(int8, rule, errors), tuned and tuned.progress)


def clustered(rows: Rows, count: int) -> tuple[Array, Array, Int]:
    """Integers, (groups, channels, columns), the scales of channels, and which integers there are."""
    alive = ~rows.dead
    zero = np.zeros(0 if alive.all() else 1, np.int64)
    start = np.where(alive, rows.scales, 0.0)
    fitted, scales = fitted_codebook(
        np.where(alive[..., None], rows.real, 0.0), start, rows.least, rows.energy, count - len(zero),
        rows.has_one_scale,
    )  # fmt: skip
    codes = np.union1d(fitted, zero)
    scales = np.where(alive, scales, rows.scales)

    def chosen(steps: Array) -> Array:
        """Of a column, or of all: dead channels keep 0."""
        is_alive = alive if steps.ndim == 2 else alive[..., None]
        return np.where(is_alive, nearest(codes, steps), 0).astype(np.float64)

    plain = chosen(rows.real / scales[..., None])
    better = fed_back(rows, scales, lambda k, left, upper: chosen(left[:, :, k] / scales))
    worse = rows.error(better * scales[..., None]) > rows.error(plain * scales[..., None])
    return (plain if worse else better), scales, codes


def _forms(graph: Graph, found: Mapping[str, tuple[Chosen, Int]]) -> dict[str, Clustered]:
    """``graph``: its weights are integers times scales already."""
    forms: dict[str, Clustered] = {}
    for name, layer in layers_of(graph).items():
        chosen, codes = found[name]
        real = layer.rows_of(layer.node["w"].array).astype(np.float64)
        scales = best_scales(real, chosen.codes, np.zeros(real.shape[:2]))
        indices = layer.weights_of(np.searchsorted(codes, chosen.codes.astype(np.int64)))
        spread = layer.weights_of(np.broadcast_to(scales[..., None], real.shape).astype(np.float32))
        forms[name] = Clustered(indices, codes.astype(np.float32), spread)
    return forms


def _quants(graph: Graph, found: Mapping[str, tuple[Chosen, Int]]) -> dict[str, Quant]:
    """The scales of the weights of ``graph``, which are integers times them. Channels of zeros keep those they had."""
    quants: dict[str, Quant] = {}
    for name, layer in layers_of(graph).items():
        chosen, _ = found[name]
        real = layer.rows_of(layer.node["w"].array).astype(np.float64)
        scales = best_scales(real, chosen.codes, chosen.scales).astype(np.float32).reshape(-1)
        quants[name] = Quant(tuple(scales.tolist()), (0,) * len(scales), layer.channel_axis)
    return quants


def _learned(graph: Graph, found: Mapping[str, tuple[Chosen, Int]]) -> dict[str, Array]:
    """The integers of weights that have learned, which are products of few numbers and one for each channel."""
    result: dict[str, Array] = {}
    for name, layer in layers_of(graph).items():
        chosen, codes = found[name]
        real = layer.rows_of(layer.node["w"].array).astype(np.float64)
        scales = best_scales(real, chosen.codes, np.ones(real.shape[:2]))
        at = np.searchsorted(codes, chosen.codes.astype(np.int64))
        steps = (real / scales[..., None]).reshape(-1)
        sums, counts = np.bincount(at.reshape(-1), steps, len(codes)), np.bincount(at.reshape(-1), minlength=len(codes))
        centres = sums / np.maximum(counts, 1)
        most = max(float(np.abs(centres).max()), 1e-12)
        result[name] = np.rint(centres * (MOST / most))[at]
    return result
