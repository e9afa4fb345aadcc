"""Equalization that relu6 allows: channels that never reach the clamp are scaled up to it before a depthwise layer.

A depthwise layer has a scale for each channel anyway, so that it can take the factor back for nothing, and the tensor
between the two layers is used to its full range in every channel. Exact on the calibration samples; beyond them the
clamp at 6 cuts what exceeds the greatest element that was seen.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from chipfit.graph import Array, Graph, Node, Value
from chipfit.graph.rewrite import Uses
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.quantize.observers import Range
from chipfit.quantize.recipe import Recipe

CLAMP = 6.0
MOST = 16.0
"""A channel is scaled up by no more: what it is worth beyond that is lost in the rounding of the bias."""

Pair = tuple[Node, Node]


def pairs(graph: Graph, recipe: Recipe) -> list[Pair]:
    """A convolution that ends in relu6, and the depthwise layer that is all that reads it."""
    uses, found = Uses(graph), list[Pair]()
    for node in graph.nodes:
        if not isinstance(node.op, Conv2D | DepthwiseConv2D) or node.op.act != "relu6":
            continue
        if recipe.width_of(node.name) == "int16":
            continue  # 16 bits leave room enough
        reader = uses.only_reader(node["y"])
        if reader is not None and isinstance(reader.op, DepthwiseConv2D) and recipe.has("equalize", node.name):
            found.append((node, reader))
    return found


def equalize(
    graph: Graph, found: list[Pair], greatest: Mapping[Value, Array], ranges: dict[Value, Range]
) -> dict[str, int]:
    """Scale the channels of each pair, in place; ``ranges`` follow. Returns how many channels moved, by layer.

    ``greatest``: the greatest element of each channel of the tensor between the two layers.
    """
    moved: dict[str, int] = {}
    for first, second in found:
        seen = greatest[first["y"]]
        factor = factors(seen)
        if not (factor > 1.0).any():
            continue
        moved[first.name] = int((factor > 1.0).sum())
        axis = 3 if isinstance(first.op, DepthwiseConv2D) else 0
        _scale(graph, first, 1, factor.reshape([-1 if i == axis else 1 for i in range(4)]))
        if first.get("b") is not None:
            _scale(graph, first, 2, factor)
        share = second["w"].shape[3] // len(factor)
        _scale(graph, second, 1, np.repeat(1.0 / factor, share).astype(np.float32))
        old = ranges[first["y"]]
        ranges[first["y"]] = Range(old.low, max(old.high, float(np.minimum(seen * factor, CLAMP).max())))
    return moved


def factors(greatest: Array) -> Array:
    """What each channel is multiplied by: (channels,), 1 to ``MOST``, float32. ``greatest``: its greatest element."""
    room = np.clip(CLAMP / np.maximum(greatest, CLAMP / MOST), 1.0, MOST)
    return np.where(greatest > 0, room, 1.0).astype(np.float32)


def _scale(graph: Graph, node: Node, port: int, factor: Array) -> None:
    """A new constant, since others may read the old one."""
    old = node.inputs[port]
    assert old is not None
    data = (old.array * factor).astype(np.float32)
    name = old.name if sum(old in n.inputs for n in graph.nodes) == 1 else graph.unique_name(f"{old.name}/scaled")
    node.inputs[port] = Value(name, old.type, data)
