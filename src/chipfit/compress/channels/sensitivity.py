"""What it costs to remove channels of one group alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chipfit.compress.channels.edit import without
from chipfit.compress.channels.fit import Reading, quick_refits
from chipfit.compress.channels.structure import Structure
from chipfit.fixedpoint import Int
from chipfit.graph import Array, Graph, Node
from chipfit.quantize import Progress, Samples, no_progress
from chipfit.trainable.judge import float_outputs

SHARES = (0.125, 0.25, 0.5, 0.75)
"""Of a group's channels that are removed to see what it costs."""

_TINY = 0.01
"""Of the greatest loss that was measured: what removing all of a group costs in any case, so that of what seems free
the smaller share goes."""


@dataclass(frozen=True)
class Point:
    """``removed`` channels of a group of ``channels``, all others there: ``loss`` and ``accuracy`` on the samples."""

    group: str
    channels: int
    removed: int
    loss: float
    accuracy: float | None


@dataclass(frozen=True, eq=False)
class Meter:
    """How good a network is. ``loss`` and ``accuracy`` of outputs, (n, elements), on ``samples``; ``what`` in words."""

    samples: Samples
    loss: Callable[[Array], float]
    accuracy: Callable[[Array], float | None]
    what: str

    def measure(self, graph: Graph) -> tuple[float, float | None]:
        outputs = float_outputs(graph, self.samples)
        return self.loss(outputs), self.accuracy(outputs)


def meter_of_outputs(graph: Graph, samples: Samples) -> Meter:
    """Without labels: how near outputs are to those of the whole network, as a share of their variance."""
    wanted = float_outputs(graph, samples)
    power = float(wanted.var()) or 1.0

    def accuracy(outputs: Array) -> float | None:
        if wanted.shape[1] < 2:
            return None
        return float((outputs.argmax(axis=1) == wanted.argmax(axis=1)).mean())

    return Meter(
        samples,
        lambda outputs: float(np.square(outputs - wanted).mean() / power),
        accuracy,
        "error of the outputs as a share of their variance; agreement with the whole network",
    )


def sensitivity(
    structure: Structure,
    order: Mapping[str, Int],
    readings: Mapping[Node, Reading],
    meter: Meter,
    progress: Progress = no_progress,
    shares: Sequence[float] = SHARES,
) -> list[Point]:
    """Remove shares of each group in turn, in its order, readers fitted."""
    points: list[Point] = []
    groups = structure.open_groups
    for i, group in enumerate(groups):
        progress("measuring groups of channels", i, len(groups))
        counts = dict.fromkeys(min(len(group.numbers) - 1, max(1, round(share * group.channels))) for share in shares)
        for count in counts:
            gone = np.zeros(structure.count, bool)
            gone[order[group.name][:count]] = True
            loss, accuracy = meter.measure(without(structure, gone, quick_refits(readings, gone)))
            points.append(Point(group.name, group.channels, count, loss, accuracy))
    return points


@dataclass(frozen=True, eq=False)
class Curve:
    """The loss of a group by the number of channels that go: it never falls."""

    removed: Array
    loss: Array

    def at(self, count: int) -> float:
        """Beyond what was measured it goes on as it rose at last."""
        if count <= self.removed[-1]:
            return float(np.interp(count, self.removed, self.loss))
        rise = (self.loss[-1] - self.loss[-2]) / max(1.0, self.removed[-1] - self.removed[-2])
        return float(self.loss[-1] + rise * (count - self.removed[-1]))


def curves_of(points: Sequence[Point], base: float) -> dict[str, Curve]:
    """By group. ``base``: the loss of the whole network."""
    greatest = max((p.loss - base for p in points), default=0.0)
    found: dict[str, Curve] = {}
    for name in dict.fromkeys(p.group for p in points):
        mine = sorted((p for p in points if p.group == name), key=lambda p: p.removed)
        removed = np.array([0, *(p.removed for p in mine)], np.float64)
        rise = np.array([0.0, *(max(0.0, p.loss - base) for p in mine)])
        tiny = _TINY * max(greatest, 1e-9) * np.square(removed / mine[0].channels)
        found[name] = Curve(removed, np.maximum.accumulate(rise) + tiny)
    return found
