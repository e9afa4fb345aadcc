"""Run the float graph over samples and see which range each tensor needs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph, Node, Value
from chipfit.ops.relu6 import Relu6
from chipfit.ops.relu_n1_to_1 import ReluN1To1
from chipfit.quantize.batch import evaluate
from chipfit.quantize.observers import Observer, Range, observer
from chipfit.quantize.prepare import before_layers
from chipfit.quantize.recipe import Recipe
from chipfit.quantize.sources import Progress, Samples, no_progress

_BATCH_BYTES = 64 << 20
"""Of the largest tensor of a batch."""

HEADROOM = 1.15
"""What ``auto`` multiplies the range of a tensor by that nothing bounds. The greatest of a hundred samples is not the
greatest of all: that clips, which costs more than a grid that is coarser by this."""


@dataclass
class Calibration:
    """``ranges``: of every float tensor that is computed. ``channels``: the greatest element of each channel (the last
    axis) of the tensors for which it was asked."""

    ranges: dict[Value, Range]
    channels: dict[Value, Array]


def calibrate(
    graph: Graph,
    samples: Samples,
    recipe: Recipe,
    by_channel: Collection[Value] = (),
    progress: Progress = no_progress,
) -> Calibration:
    """Ranges of all float tensors, by the observers that the recipe names. Memory: one batch of samples.

    Raises ChipfitError Q002 if a tensor becomes infinite or no number.
    """
    observers = {v: observer(word) for v, word in words(graph, recipe).items()}
    channels = {v: np.full(v.shape[-1], -np.inf) for v in by_channel}
    done = 0
    for batch in batches(graph, samples):
        for value, x in trace(graph, batch):
            if value in observers:
                _see(value, observers[value], x)
            if value in channels:
                np.maximum(channels[value], x.reshape(-1, x.shape[-1]).max(axis=0), out=channels[value])
        done += len(batch[0])
        progress("calibrating", done, len(samples))
    ranges = {value: seen.range() for value, seen in observers.items()}
    for value in _unbounded(graph, recipe):
        ranges[value] = Range(ranges[value].low * HEADROOM, ranges[value].high * HEADROOM)
    for value, declared in zip(graph.inputs, samples.ranges, strict=True):
        if declared is not None and value in ranges:
            ranges[value] = declared
    return Calibration(ranges, channels)


def _see(value: Value, seen: Observer, x: Array) -> None:
    seen.update(x)
    if not (np.isfinite(seen.low) and np.isfinite(seen.high)):
        raise ChipfitError(
            "Q002", f"'{value.name}' is not finite for these samples", "are they scaled as the model was trained?"
        )


def words(graph: Graph, recipe: Recipe) -> dict[Value, str]:
    """How each float tensor that is computed gets its range: the recipe's word, with ``auto`` resolved.

    ``auto`` takes the full range of inputs, of what a clamp bounds, of what has 16 bits, and of what no layer follows:
    a score that is clipped changes the answer. Elsewhere outliers may be clipped if that makes the rest finer.
    """
    inner = before_layers(graph) - set(graph.inputs)
    producers = graph.producers()
    found: dict[Value, str] = {}
    for value in graph.values():
        if value.is_const or not value.dtype.is_float:
            continue
        word = recipe.ranges_of(value.name)
        if word == "auto":
            is_fine = recipe.width_of(value.name) == "int16"
            clips = value in inner and not is_fine and not _is_bounded(producers[value])
            word = "mse" if clips else "minmax"
        found[value] = word
    return found


def _unbounded(graph: Graph, recipe: Recipe) -> list[Value]:
    """Tensors of ``auto`` that other samples may well take beyond what these show."""
    computed = [(v, node) for node in graph.nodes for v in node.outputs if v.dtype.is_float and not _is_bounded(node)]
    return [v for v, _ in computed if recipe.ranges_of(v.name) == "auto"]


def _is_bounded(node: Node) -> bool:
    return isinstance(node.op, Relu6 | ReluN1To1) or node.op.attributes().get("act") in ("relu6", "relu_n1_to_1")


def batches(graph: Graph, samples: Samples) -> Iterator[tuple[Array, ...]]:
    """The samples in parts of which the largest tensor fits into ``_BATCH_BYTES``."""
    largest = max((v.type.nbytes for v in graph.values() if not v.is_const), default=1)
    step = max(1, _BATCH_BYTES // max(1, largest))
    for start in range(0, len(samples), step):
        yield tuple(a[start : start + step] for a in samples.arrays)


def trace(graph: Graph, inputs: tuple[Array, ...]) -> Iterator[tuple[Value, Array]]:
    """Every value that is computed for a batch, in order; each is forgotten after its last reader."""
    last = last_readers(graph)
    known: dict[Value, Array] = dict(zip(graph.inputs, inputs, strict=True))
    yield from list(known.items())
    for node in graph.nodes:
        with np.errstate(over="ignore", invalid="ignore"):  # whoever looks at the result says what is not finite
            results = evaluate(node, [known[v] for v in node.operands if not v.is_const])
        for value, y in zip(node.outputs, results, strict=True):
            known[value] = y
            yield value, y
        for value in {*node.operands, *node.outputs}:
            if last.get(value) in (node, None) and not value.is_const:
                known.pop(value, None)


def run_batches(graph: Graph, samples: Samples) -> Iterator[list[Array]]:
    """The outputs of a graph for batch after batch of samples: (samples, *shape) each."""
    for batch in batches(graph, samples):
        results = dict.fromkeys(graph.outputs, np.zeros(0))
        results.update((value, x) for value, x in trace(graph, batch) if value in results)
        yield [results[value] for value in graph.outputs]


def last_readers(graph: Graph) -> dict[Value, Node]:
    return {value: node for node in graph.nodes for value in node.operands}
