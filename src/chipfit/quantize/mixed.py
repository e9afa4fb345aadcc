"""Automatic mixed precision: int8, and int16 for the fewest tensors with which a budget is met.

Which tensors is found in a simulation of the int8 network on samples that it was fitted on: each time, the tensor whose
rounding costs the judged tensor most, given those that are wide already. Whether the budget is met is measured on a
network that was fitted anew with these tensors in int16, on samples that were held back.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, Node, Quant, Value
from chipfit.ops import op_of
from chipfit.quantize.diagnose.simulate import Arrays, Network
from chipfit.quantize.measure import agreement, signal_to_noise
from chipfit.quantize.recipe import LayerRule, Recipe, pattern_for
from chipfit.quantize.run import Quantized, quantize_graph
from chipfit.quantize.sources import Progress, Samples, no_progress

HELD_BACK = 0.25
"""Share of the samples that only judge whether the budget is met."""

SIMULATED = 64
"""Samples that tensors are ranked on, at most."""

_BYTES = 1 << 30
_ARRAYS = 2
"""Of every tensor that are in memory then: of the float network and of the integer one."""

CLOSE = 1.0
"""dB: a network that the simulation expects further below the budget than this is not fitted."""

LEAST_GAIN = 0.05
"""dB: a tensor that brings less is not worth its memory."""

_LATER = 10
"""Tensors that are tried beside those that are wide already: the best ones of the first ranking."""


@dataclass(frozen=True)
class Budget:
    """What a quantized network may lose. ``min_sqnr``: least signal to noise of what it is judged by, dB.

    ``max_drop``: percentage points of the samples that may be answered otherwise than by the float network.
    ``max_int16``: tensors that may become int16. None: no limit. Raises ChipfitError U001 for what is no budget.
    """

    min_sqnr: float | None = None
    max_drop: float | None = None
    max_int16: int | None = None

    def __post_init__(self) -> None:
        if self.min_sqnr is None and self.max_drop is None:
            raise ChipfitError("U001", "a budget needs the least signal to noise, or the greatest drop in agreement")
        if self.min_sqnr is not None and not math.isfinite(self.min_sqnr):
            raise ChipfitError("U001", f"{self.min_sqnr} dB is no budget", "a number such as 25")
        if self.max_drop is not None and not 0.0 <= self.max_drop <= 100.0:
            raise ChipfitError("U001", f"a drop of {self.max_drop} percentage points is no budget", "0 to 100")
        if self.max_int16 is not None and self.max_int16 < 0:
            raise ChipfitError("U001", f"{self.max_int16} tensors in int16 are no budget", "0 or more")

    @staticmethod
    def of(min_sqnr: float | None, max_drop: float | None, max_int16: int | None) -> Budget | None:
        """None if nothing is asked for; raises ChipfitError U001 like the class."""
        if (min_sqnr, max_drop, max_int16) == (None, None, None):
            return None
        return Budget(min_sqnr, max_drop, max_int16)

    def is_met(self, scores: Scores) -> bool:
        enough = self.min_sqnr is None or scores.sqnr is None or scores.sqnr >= self.min_sqnr
        return enough and (self.max_drop is None or 100.0 * (1.0 - scores.agreement) <= self.max_drop + 1e-9)


@dataclass(frozen=True)
class Scores:
    """Against the float network: signal to noise in dB (None: without noise), share of samples answered alike."""

    sqnr: float | None
    agreement: float


@dataclass(frozen=True)
class Widened:
    """A tensor in int16. ``gain``: dB beside those before it; ``alone``: dB without them; both simulated.

    ``arena_bytes``: of the whole plan with it and those before it; ``cost_bytes``: how much more than without it.
    """

    name: str
    gain: float
    alone: float
    arena_bytes: int
    cost_bytes: int


@dataclass(frozen=True)
class Mixed:
    """``met``: whether the budget is. ``before``: int8 throughout; ``after``: with the tensors ``widened``, measured on
    ``held_back`` samples after a fit on the other ``fitted`` ones. ``arena_bytes``: of the plan before."""

    budget: Budget
    met: bool
    fitted: int
    held_back: int
    before: Scores
    after: Scores
    arena_bytes: int
    widened: tuple[Widened, ...]


class Instruments(Protocol):
    """How integer graphs are measured."""

    def scores(self, graph: Graph, samples: Samples) -> Array:
        """Real numbers of the judged tensor: (samples, elements)."""
        ...

    def arena_bytes(self, graph: Graph) -> int:
        """RAM that the plan of a graph needs for its tensors."""
        ...


def quantize_within(
    graph: Graph,
    samples: Samples,
    recipe: Recipe,
    budget: Budget,
    floats: Array,
    instruments: Instruments,
    progress: Progress = no_progress,
) -> tuple[Quantized, Mixed]:
    """An integer graph with as few int16 tensors as the budget takes, fitted on all samples in the end.

    ``floats``: (samples, elements), the judged tensor of the float graph. If the budget cannot be met, what comes
    nearest: all tensors that gain something, up to ``max_int16``.
    Raises ChipfitError U001 unless the recipe's mode is int8; else as :func:`chipfit.quantize.quantize_graph` does.
    """
    if recipe.mode != "int8":
        raise ChipfitError("U001", f"a budget widens tensors of int8, and the recipe says {recipe.mode}")
    kept, held = _split(samples)
    wanted = floats[-len(held) :]

    def fitted(names: list[str], on: Samples) -> Quantized:
        return quantize_graph(graph, on, _widened(recipe, names), progress)

    def measured(made: Quantized) -> Scores:
        actual = instruments.scores(made.graph, held)
        decibels = signal_to_noise(wanted, actual)
        return Scores(decibels if math.isfinite(decibels) else None, agreement(wanted, actual))

    first = fitted([], kept)
    before = after = measured(first)
    picks: list[_Pick] = []
    if not budget.is_met(before):
        for pick in _picks(first, kept, budget, progress):
            picks.append(pick)
            if _is_hopeless(budget, before, pick):
                continue
            after = measured(fitted([p.name for p in picks], kept))
            if budget.is_met(after):
                break
        else:
            after = measured(fitted([p.name for p in picks], kept)) if picks else before
    arena, widened = _costs(graph, kept, recipe, picks, instruments)
    result = Mixed(budget, budget.is_met(after), len(kept), len(held), before, after, arena, widened)
    return fitted([p.name for p in picks], samples), result


def _is_hopeless(budget: Budget, before: Scores, pick: _Pick) -> bool:
    """Whether the simulation, set right by what it says of int8 alone, is far below the budget."""
    if budget.min_sqnr is None or before.sqnr is None:
        return False
    return pick.sqnr + before.sqnr - pick.base < budget.min_sqnr - CLOSE


def _split(samples: Samples) -> tuple[Samples, Samples]:
    """To fit on, and to judge by: at least one of each, the only one twice."""
    count = len(samples)
    held = min(max(1, round(HELD_BACK * count)), max(1, count - 1))
    return samples.first(max(1, count - held)), samples.rest(count - held)


def _widened(recipe: Recipe, names: list[str]) -> Recipe:
    rules = tuple(LayerRule(pattern_for(name), activations="int16") for name in names)
    return replace(recipe, rules=(*recipe.rules, *rules))


def _costs(
    graph: Graph, samples: Samples, recipe: Recipe, picks: list[_Pick], instruments: Instruments
) -> tuple[int, tuple[Widened, ...]]:
    """The arena without any pick, and what each adds. Types decide that alone: nothing needs to be fitted for it."""
    bare = replace(recipe, steps=frozenset())

    def arena(names: list[str]) -> int:
        return instruments.arena_bytes(quantize_graph(graph, samples.first(1), _widened(bare, names)).graph)

    sizes = [arena([p.name for p in picks[:n]]) for n in range(len(picks) + 1)]
    pairs = zip(picks, sizes, sizes[1:], strict=False)
    return sizes[0], tuple(Widened(p.name, p.gain, p.alone, size, size - less) for p, less, size in pairs)


# ---------------------------------------------------------------------------------------------- which tensors


@dataclass(frozen=True)
class _Pick:
    """``sqnr``: simulated, dB, with this tensor and those before it; ``base``: with none."""

    name: str
    gain: float
    alone: float
    sqnr: float
    base: float


def _picks(made: Quantized, samples: Samples, budget: Budget, progress: Progress) -> Iterator[_Pick]:
    """The tensor that gains most beside those before it, again and again."""
    network = Network(made.graph, made.origin, made.recipe, _some(samples, made.graph))
    reference = network.floats[network.target]
    candidates = _candidates(network, made.graph.outputs)
    base = sqnr = signal_to_noise(reference, network.integer()[network.target])
    alone: dict[Value, float] = {}
    wide: dict[Value, Quant | None] = {}
    picked = 0
    while candidates and (budget.max_int16 is None or picked < budget.max_int16):
        arrays = network.integer(grids=wide)
        tried = candidates if not alone else sorted(candidates, key=lambda v: -alone[v])[:_LATER]
        results: dict[Value, float] = {}
        for value in tried:
            changed = _without_rounding(network, value, arrays, {**wide, value: None})
            results[value] = signal_to_noise(reference, changed)
            progress("trying wider tensors", len(results), len(tried))
        alone = alone or {v: found - base for v, found in results.items()}
        best = max(results, key=lambda v: results[v])
        if not results[best] >= sqnr + LEAST_GAIN:
            return
        yield _Pick(best.name, results[best] - sqnr, alone[best], results[best], base)
        sqnr, picked, wide = results[best], picked + 1, {**wide, best: None}
        candidates.remove(best)


def _without_rounding(network: Network, value: Value, arrays: Arrays, wide: Mapping[Value, Quant | None]) -> Array:
    """The judged tensor where ``value`` is not rounded either."""
    node = network.graph.producers().get(value)
    if node is None:
        return network.follow({value: network.floats[value]}, arrays, wide, rounding=True)
    w = network.weights(node) if network.is_layer(node) else None
    exact = network.outputs(node, arrays, w)[node.outputs.index(value)]
    return network.follow({value: exact}, arrays, wide, rounding=True)


def _candidates(network: Network, outputs: Collection[Value]) -> list[Value]:
    """Tensors of int8 inside the graph whose producer and readers all have an int16 form."""
    near: dict[Value, list[Node]] = {}
    for node in network.nodes:
        for value in (*node.operands, *node.outputs):
            near.setdefault(value, []).append(node)
    computed = [v for node in network.nodes if node in network.origin for v in node.outputs]
    inner = [v for v in computed if v.dtype is DType.INT8 and v not in outputs]
    return [v for v in inner if all(op_of(node).quant.int16 for node in near[v])]


def _some(samples: Samples, graph: Graph) -> Samples:
    """As many as can be held in memory, evenly spread."""
    elements = sum(v.type.size for v in graph.values() if not v.is_const)
    count = min(SIMULATED, len(samples), max(1, _BYTES // (4 * _ARRAYS * elements)))
    index = np.linspace(0, len(samples) - 1, count).astype(np.int64)
    return Samples(tuple(a[index] for a in samples.arrays), samples.ranges, samples.preprocessing)
