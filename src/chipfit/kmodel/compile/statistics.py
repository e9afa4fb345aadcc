"""What the samples show: the range of every tensor, how often each of its numbers is met, the mean of its channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph, Value
from chipfit.kmodel.compile.activation import Function
from chipfit.kmodel.compile.quantize import Sums
from chipfit.quantize.calibrate import batches, trace
from chipfit.quantize.observers import Mse, Range
from chipfit.quantize.sources import Progress, Samples, no_progress


@dataclass(frozen=True, eq=False)
class Statistics:
    """By the name of the tensor. ``seen``: observers; ``means``, ``greatest``: of each channel. Empty: nothing was
    run."""

    seen: Mapping[str, Mse]
    means: Mapping[str, Array]
    greatest: Mapping[str, Array]

    def range(self, value: Value) -> Range:
        """What was met, or, where nothing was run, -1 to 1."""
        found = self.seen.get(value.name)
        return Range(-1.0, 1.0) if found is None else found.range()

    def sums(self, value: Value, x: Value) -> Sums:
        """What a layer adds up to ``value`` from ``x``."""
        found = self.seen.get(value.name)
        if found is None:
            return Sums(-1.0, 1.0, np.ones_like)
        return Sums(found.low, found.high, _density(found), self.means.get(x.name))


def _density(seen: Mse) -> Function:
    """How often a number is met beside the mean of the range, spread over neighbours."""
    if not seen.counts.any():
        return np.ones_like
    counts = np.convolve(seen.counts, np.ones(9) / 9.0, mode="same")
    inside = (seen.centres >= seen.low) & (seen.centres <= seen.high)
    mean = float(counts[inside].mean()) if inside.any() else 1.0
    level = counts / max(mean, 1e-12)
    centres = seen.centres

    def density(x: Array) -> Array:
        return np.interp(x, centres, level)

    return density


NOTHING = Statistics({}, {}, {})


def observe(graph: Graph, samples: Samples, progress: Progress = no_progress) -> Statistics:
    """Run the float graph. Raises ChipfitError Q002 where a tensor is not finite."""
    seen = {v: Mse() for n in graph.nodes for v in n.outputs} | {v: Mse() for v in graph.inputs}
    totals, greatest = dict[Value, Array](), dict[str, Array]()
    done = 0
    for batch in batches(graph, samples):
        for value, x in trace(graph, batch):
            seen[value].update(x)
            if not (np.isfinite(seen[value].low) and np.isfinite(seen[value].high)):
                raise ChipfitError(
                    "Q002",
                    f"'{value.name}' is not finite for these samples",
                    "are they scaled as the model was trained?",
                )
            flat = x.reshape(len(x), -1, value.shape[-1] if value.shape else 1)
            totals[value] = totals.get(value, np.float64(0)) + flat.mean(axis=1, dtype=np.float64).sum(axis=0)
            greatest[value.name] = np.maximum(greatest.get(value.name, -np.inf), flat.max(axis=(0, 1)))
        done += len(batch[0])
        progress("calibrating", done, len(samples))
    means = {v.name: total / len(samples) for v, total in totals.items()}
    return Statistics({v.name: one for v, one in seen.items()}, means, greatest)
