"""A float model in which more layers suit the KPU: the same function, exactly, with other layers.

Padding of even sizes by `same` and stride 2 takes rows 1, 3, 5 ... of the result of stride 1, where the KPU keeps rows
0, 2, 4 ...: the layer gets stride 1, and one that copies with its tap at the bottom right takes stride 2 with symmetric
padding. Behind a depthwise layer that copy is a depthwise one, which costs next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from chipfit.graph import Array, Graph, Node, Value
from chipfit.kmodel.compile.constraints import broken
from chipfit.kmodel.compile.lower.conv import SPARE_WEIGHTS, conv_of
from chipfit.kmodel.compile.prepare import Edit, prepare
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D

_BOTTOM_RIGHT = (0, 0, 1, 1)
_AROUND = (1, 1, 1, 1)


@dataclass(frozen=True, eq=False)
class Rewritten:
    """``changed``: what was rewritten, and how; ``left``: layers that no exact rewrite helps, and why."""

    graph: Graph
    changed: tuple[str, ...]
    left: tuple[str, ...]


def rewrite(graph: Graph) -> Rewritten:
    """Raises ChipfitError O002 as :func:`prepare` does."""
    made = prepare(graph)
    changed = [
        f"'{node.name}': a slope for each channel became a second convolution"
        for node in graph.nodes
        if node.op.name == "prelu" and not any(n.op.name == "prelu" and n.name == node.name for n in made.nodes)
    ]
    left: list[str] = []
    edit, nodes = Edit(made), list[Node]()
    for node in made.nodes:
        if not isinstance(node.op, Conv2D | DepthwiseConv2D) or not node["w"].is_const:
            nodes.append(node)
            continue
        rule = broken(conv_of(node))
        if rule is not None:
            left.append(f"'{node.name}': {rule.text} Better: {rule.fix}")
        if rule is not None or node.op.stride != (2, 2) or node.op.pad != _BOTTOM_RIGHT or node["w"].shape[1] != 3:
            nodes.append(node)
            continue
        channels = node["y"].shape[3]
        if isinstance(node.op, Conv2D) and 9 * channels**2 > SPARE_WEIGHTS:
            left.append(
                f"'{node.name}': `same` and stride 2 of an even size; a layer that copies {channels} channels would "
                f"have {9 * channels**2:,} weights. Better: ZeroPadding2D(1) and `valid`, and train again"
            )
            nodes.append(node)
            continue
        nodes += _in_two(edit, node)
        changed.append(f"'{node.name}': stride 2 of an even size became stride 1 and a copy with symmetric padding")
    made.nodes = nodes
    made.verify()
    return Rewritten(made, tuple(changed), tuple(left))


def _in_two(edit: Edit, node: Node) -> list[Node]:
    """The layer with stride 1, and the copy of every second pixel."""
    op = node.op
    assert isinstance(op, Conv2D | DepthwiseConv2D)
    whole = edit.node(replace(op, stride=(1, 1), pad=_AROUND), _present(node), f"{node.name}/whole")
    channels = node["y"].shape[3]
    copy: Conv2D | DepthwiseConv2D
    weights: Array
    if isinstance(op, DepthwiseConv2D):
        weights = np.zeros((1, 3, 3, channels))
        weights[0, 2, 2] = 1.0
        copy = DepthwiseConv2D(stride=(2, 2), pad=_AROUND)
    else:
        weights = np.zeros((channels, 3, 3, channels))
        weights[np.arange(channels), 2, 2, np.arange(channels)] = 1.0
        copy = Conv2D(stride=(2, 2), pad=_AROUND)
    kept = Node(copy, [whole["y"], edit.constant(weights, f"{node.name}/copy")], node.outputs)
    return [whole, kept]


def _present(node: Node) -> list[Value]:
    return [v for v in node.inputs if v is not None]
