"""What clustering and sparsifying did, for the report of a compression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chipfit.compress.weights import distinct
from chipfit.graph import Graph


@dataclass(frozen=True)
class LayerWeights:
    """Int8 weights of a layer: how many, how many different ones, how many that are 0. ``error``: of the layer's sums,
    as a share of their power; None: it was not measured."""

    name: str
    weights: int
    different: int
    zeros: int
    error: float | None


@dataclass(frozen=True)
class WeightsDetails:
    """``rule``: in words."""

    rule: str
    layers: tuple[LayerWeights, ...]


def details_of(int8: Graph, rule: str, errors: Mapping[str, float]) -> WeightsDetails:
    """``errors``: by the name of the float weights, which the integers have, too."""
    rows = [LayerWeights(name, *counts, errors.get(name)) for name, counts in distinct(int8).items()]
    return WeightsDetails(rule, tuple(rows))
