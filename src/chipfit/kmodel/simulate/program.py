"""Run a file of version 4, node by node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chipfit.graph import Array
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.codec import Memory
from chipfit.kmodel.format.layout import LINE, MapLayout
from chipfit.kmodel.format.v4 import VERSION, KmodelV4
from chipfit.kmodel.simulate import floats, integers, moves, nhwc
from chipfit.kmodel.simulate.kpu import kpu_layer
from chipfit.kmodel.simulate.memory import Memories

Observer = Callable[[int, Array], None]
"""Told the index of a node and its result: (n, c, h, w) of a KPU layer, one-dimensional of all others."""


def ignore(index: int, result: Array) -> None:
    """For who wants no results of single nodes."""


def kpu_conv2d(node: v4.KpuConv2D, memories: Memories) -> None:
    registers = node.registers
    source, result = registers.source, registers.result
    images = [
        kpu_layer(
            memories.read_map(registers.image_src_addr * LINE + index * source.size, source),
            registers,
            node.batch_norm,
            node.activation,
            node.weights,
            VERSION,
        )
        for index in range(node.batches)
    ]
    for index, image in enumerate(images):
        memories.write_map(registers.image_dst_addr * LINE + index * result.size, result, image)
    if node.main_output.size:
        memories.write(node.main_output, np.stack(images))


_RUN: dict[type[Any], Callable[[Any, Memories], None]] = {
    v4.Binary: floats.binary,
    v4.Concat: moves.concat,
    v4.Conv2D: floats.conv2d,
    v4.Dequantize: floats.dequantize,
    v4.MatMul: floats.matmul,
    v4.Pad: moves.pad,
    v4.Quantize: floats.quantize,
    v4.Reduce: floats.reduce,
    v4.ReduceWindow2D: floats.reduce_window,
    v4.MemoryCopy: moves.memory_copy,
    v4.ResizeImage: moves.resize_image,
    v4.Softmax: floats.softmax,
    v4.Transpose: moves.transpose,
    v4.StridedSlice: moves.strided_slice,
    v4.Unary: floats.unary,
    v4.QuantizedConv2D: integers.quantized_conv2d,
    v4.QuantizedMatMul: integers.quantized_matmul,
    v4.QuantizedBinary: integers.quantized_binary,
    v4.TableLookup1D: integers.table_lookup,
    v4.Conv2DTranspose: floats.conv2d_transpose,
    v4.NnilUnaryMethod: floats.nnil_unary,
    v4.CpuConv2D: nhwc.conv2d,
    v4.CpuDepthwiseConv2D: nhwc.conv2d,
    v4.CpuReduceWindow2D: nhwc.reduce_window,
    v4.CpuQuantizedConv2D: nhwc.quantized_conv2d,
    v4.CpuQuantizedDepthwiseConv2D: nhwc.quantized_conv2d,
    v4.KpuUpload: moves.kpu_upload,
    v4.KpuConv2D: kpu_conv2d,
}


def run_v4(model: KmodelV4, inputs: Sequence[Array], observe: Observer = ignore) -> list[Array]:
    """One run of a checked model. ``inputs``: each (n, c, h, w) in its type. Outputs are one-dimensional."""
    memories = Memories(model.memories, model.constants)
    for place, shape, values in zip(model.inputs, model.input_shapes, inputs, strict=True):
        if place.memory is Memory.KPU:
            layout = MapLayout(*shape[1:])
            for index, image in enumerate(values.reshape(shape)):
                memories.write_map(place.start + index * layout.size, layout, image)
        else:
            memories.write(place, values)
    for index, node in enumerate(model.nodes):
        run_node(node, memories)
        if observe is not ignore:
            observe(index, result_of(node, memories))
    return [memories.read(place) for place in model.outputs]


def run_node(node: v4.Node, memories: Memories) -> None:
    """Run one node that :func:`chipfit.kmodel.format.check_nodes.check_node` finds sound."""
    with np.errstate(all="ignore"):  # infinities and the like are what the chip computes, too
        _RUN[type(node)](node, memories)


def result_of(node: v4.Node, memories: Memories) -> Array:
    """What a node has just written."""
    if isinstance(node, v4.KpuConv2D):
        layout, start = node.registers.result, node.registers.image_dst_addr * LINE
    elif isinstance(node, v4.KpuUpload):
        layout, start = MapLayout(*node.shape[1:]), node.output.start
    else:
        return memories.read(node.output)
    batches = node.batches if isinstance(node, v4.KpuConv2D) else node.shape[0]
    return np.stack([memories.read_map(start + i * layout.size, layout) for i in range(batches)])
