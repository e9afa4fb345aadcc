"""Groups of channels that can be removed, found from a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chipfit.compress.channels.flow import columns_of, fix_operands, flow_of, reader
from chipfit.compress.channels.labels import FIXED, Along, Labels
from chipfit.fixedpoint import Int
from chipfit.graph import Graph, Node, Value
from chipfit.quantize.layers import LAYERS


@dataclass(frozen=True, eq=False)
class Group:
    """Channels among which one can choose: those of one layer, or of layers whose channels are tied one to one (by a
    residual addition, by what works channel by channel).

    ``name``: of the first tensor; ``tensors``: of all whose layers make these channels. ``numbers``: of those that can
    go, in the order of the first tensor. ``fixed``: how many more stay in any case, and ``reason`` why.
    """

    name: str
    tensors: tuple[str, ...]
    numbers: Int
    fixed: int
    reason: str = ""

    @property
    def channels(self) -> int:
        return len(self.numbers) + self.fixed


@dataclass(frozen=True, eq=False)
class Structure:
    """``along``: where each tensor's channels lie, by number. ``groups``: in the order of the graph, with those of
    which nothing can go. ``count``: numbers are below it."""

    graph: Graph
    along: dict[Value, Along]
    groups: tuple[Group, ...]
    count: int

    @property
    def open_groups(self) -> list[Group]:
        """Those of which something can go."""
        return [group for group in self.groups if len(group.numbers) > 1]

    def makers(self) -> Iterator[tuple[Node, Int]]:
        """Layers with weights, each with the numbers of its output channels."""
        for node in self.graph.nodes:
            if isinstance(node.op, LAYERS) and (along := self.along.get(node["y"])) is not None:
                yield node, along.numbers

    def readers(self) -> Iterator[tuple[Node, Int]]:
        """Layers that mix channels, each with the numbers of its columns (input channels)."""
        for node in self.graph.nodes:
            if isinstance(node.op, LAYERS) and not _is_per_channel(node):
                columns = columns_of(node, self.along)
                if columns is not None and (columns.numbers != FIXED).any():
                    yield node, columns.numbers


def _is_per_channel(node: Node) -> bool:
    w = node["w"]
    return node.op.name == "depthwise_conv2d" or (len(w.shape) == 4 and w.shape[3] == 1 < node["x"].shape[3])


def structure_of(graph: Graph) -> Structure:
    """Follow the channels through a float graph."""
    labels = Labels()
    for node in graph.nodes:
        flow = flow_of(node)
        if flow is None:
            fix_operands(node, labels, f"is read by {reader(node)}")
        else:
            flow.number(node, labels)
    for value in graph.outputs:
        labels.fix_value(value, "is an output of the model")
    return Structure(graph, labels.settled(), tuple(_groups(labels)), len(labels.makers))


def _groups(labels: Labels) -> Iterator[Group]:
    """Tensors with a channel in common are one group."""
    first: dict[Value, Value] = {}

    def root(value: Value) -> Value:
        while first.setdefault(value, value) is not value:
            value = first[value]
        return value

    for number, maker in enumerate(labels.makers):
        a, b = root(labels.makers[labels.find(number)]), root(maker)
        if a is not b:
            first[b] = a
    members: dict[Value, list[Value]] = {}
    for value in dict.fromkeys(labels.makers):
        members.setdefault(root(value), []).append(value)
    numbers: dict[Value, dict[int, None]] = {value: {} for value in members}
    for number, maker in enumerate(labels.makers):
        numbers[root(maker)][labels.find(number)] = None
    for value, tensors in members.items():
        every = list(numbers[value])
        free = [n for n in every if labels.why_fixed(n) is None]
        why = Counter(reason for n in every if (reason := labels.why_fixed(n)) is not None)
        reason = why.most_common(1)[0][0] if why else ""
        names = tuple(v.name for v in tensors)
        yield Group(tensors[0].name, names, np.array(free, np.int64), len(every) - len(free), reason)
