"""Traversals of the plain kernels, all of them forward: elements, pixels, strips of pixels, rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chipfit.graph import Node, Value
from chipfit.ops._traversal import Traversal, elementwise, windows_traversal

STRIP = 4
"""Output pixels that the kernels without DSP instructions compute at a time."""


def elements_in_order(node: Node, backward: bool) -> Traversal | None:
    """Each element is read, then that of the output written.

    None where an operand has another type than the output and neither is of bytes: a C compiler takes for granted that
    elements of two types are never the same memory, and may write one before it reads the other.
    """
    y = node.outputs[0]
    if backward or any(_are_kept_apart(v, y) for v in node.operands if not v.is_const):
        return None
    return elementwise(node)


def _are_kept_apart(x: Value, y: Value) -> bool:
    return x.dtype is not y.dtype and 1 not in (x.dtype.bytes, y.dtype.bytes)


def pixels_in_order(node: Node, backward: bool) -> Traversal | None:
    """Output pixels one by one; each reads its window again for every channel."""
    return None if backward else windows_traversal(node, block=1, staged=False)


def channels_in_order(node: Node, backward: bool) -> Traversal | None:
    """Output pixels one by one, and in them channels, each from the same channel of its window alone.

    Where a depthwise convolution makes several outputs of a channel, no more than that pixels go in order.
    """
    steps = pixels_in_order(node, backward)
    x, y = node["x"], node["y"]
    if steps is None or x.shape[3] != y.shape[3]:
        return steps
    return replace(steps, lane=y.shape[3] * y.dtype.bytes)


def strips_in_order(node: Node, backward: bool) -> Traversal | None:
    """Strips of four output pixels, across the ends of lines; all windows are copied before the first output."""
    if backward or node["x"].shape[0] > 1:  # each image begins a strip
        return None
    return windows_traversal(node, block=STRIP, staged=True)


def rows_in_order(node: Node, staged: bool) -> Traversal:
    """A fully connected layer's rows: each is read as a whole for its outputs, and copied first if ``staged``."""
    x, y = node["x"].type, node["y"].type
    rows = y.size // node["w"].shape[0]
    at = np.arange(rows, dtype=np.int64)
    read, written = x.nbytes // rows, y.nbytes // rows
    return Traversal({"x": (at * read, (at + 1) * read)}, (at * written, (at + 1) * written), staged=staged)
