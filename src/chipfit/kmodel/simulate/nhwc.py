"""Nodes on images (n, h, w, c), computed as their siblings on (n, c, h, w) in their own order of additions."""

from __future__ import annotations

import numpy as np

from chipfit.graph import Array
from chipfit.kmodel.format import nodes_nhwc as nhwc
from chipfit.kmodel.format.window import window_axes
from chipfit.kmodel.simulate.floats import clamp, pool
from chipfit.kmodel.simulate.integers import store
from chipfit.kmodel.simulate.memory import Memories
from chipfit.kmodel.simulate.windows import convolve


def _image(node: nhwc.CpuWindow, memories: Memories) -> Array:
    """(n, c, h, w)."""
    return memories.read(node.input).reshape(node.shape).transpose(0, 3, 1, 2)


def _give(node: nhwc.CpuWindow, y: Array, memories: Memories) -> None:
    memories.write(node.output, y.transpose(0, 2, 3, 1))


def _filters(node: nhwc.CpuConvolution) -> tuple[Array, int]:
    """(out, in / groups, taps), and the groups."""
    if isinstance(node, nhwc.CpuConv2D | nhwc.CpuQuantizedConv2D):
        return node.weights.reshape(node.out_channels, -1, node.shape[3]).transpose(0, 2, 1), 1
    return node.weights.reshape(node.shape[3], 1, -1), node.shape[3]


def conv2d(node: nhwc.CpuConv2D | nhwc.CpuDepthwiseConv2D, memories: Memories) -> None:
    filters, groups = _filters(node)
    y = convolve(_image(node, memories), filters, node.bias, groups, *window_axes(node), taps_first=True)
    _give(node, clamp(y, node.act_min, node.act_max), memories)


def quantized_conv2d(node: nhwc.CpuQuantizedConv2D | nhwc.CpuQuantizedDepthwiseConv2D, memories: Memories) -> None:
    filters, groups = _filters(node)
    x = _image(node, memories).astype(np.int64) + node.input_offset
    y = convolve(x, filters.astype(np.int64) + node.filter_offset, node.bias, groups, *window_axes(node))
    _give(node, store(y, node.output_mul, node.output_shift, node.output_offset), memories)


def reduce_window(node: nhwc.CpuReduceWindow2D, memories: Memories) -> None:
    y = pool(_image(node, memories), node.op, node.init, *window_axes(node))
    _give(node, clamp(y, node.act_min, node.act_max), memories)
