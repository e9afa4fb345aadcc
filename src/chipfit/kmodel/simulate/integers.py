"""Nodes that compute on 8-bit integers, on the CPU. All exact."""

from __future__ import annotations

import numpy as np

from chipfit.graph import Array
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.nodes import BinaryOp
from chipfit.kmodel.format.window import window_axes
from chipfit.kmodel.simulate.floats import BINARY
from chipfit.kmodel.simulate.memory import Memories
from chipfit.kmodel.simulate.windows import convolve


def rescale(values: Array, mul: int, shift: int) -> Array:
    """values * mul / 2**shift, halves up, int64."""
    product = values.astype(np.int64) * mul
    return (product + (1 << shift - 1)) >> shift if shift > 0 else product


def store(values: Array, mul: int, shift: int, offset: int) -> Array:
    """Sums as bytes of a result."""
    return np.clip(rescale(values, mul, shift) + offset, 0, 255)


def quantized_binary(node: v4.QuantizedBinary, memories: Memories) -> None:
    a = memories.read(node.input_a).reshape(node.shape_a).astype(np.int64) + node.a_offset
    b = memories.read(node.input_b).reshape(node.shape_b).astype(np.int64) + node.b_offset
    a, b = rescale(a, node.a_mul, node.a_shift), rescale(b, node.b_mul, node.b_shift)
    y = _divide(a, b) if node.op is BinaryOp.DIV else BINARY[node.op](a, b)
    y = np.broadcast_to(y, node.out_shape)
    memories.write(node.output, store(y, node.output_mul, node.output_shift, node.output_offset))


def _divide(a: Array, b: Array) -> Array:
    """(a + b / 2) / b, both divisions towards zero; by zero, where the chip's result is -1: -1."""
    safe = np.where(b == 0, 1, b)
    over = a + np.sign(b) * (np.abs(b) // 2)
    return np.where(b == 0, -1, np.sign(over) * np.sign(safe) * (np.abs(over) // np.abs(safe)))


def quantized_conv2d(node: v4.QuantizedConv2D, memories: Memories) -> None:
    x = memories.read(node.input).reshape(node.shape).astype(np.int64) + node.input_offset
    weights = node.weights.reshape(node.out_channels, -1).astype(np.int64) + node.filter_offset
    y = convolve(x, weights, node.bias, node.groups, *window_axes(node))
    memories.write(node.output, store(y, node.output_mul, node.output_shift, node.output_offset))


def quantized_matmul(node: v4.QuantizedMatMul, memories: Memories) -> None:
    a = memories.read(node.input_a).reshape(node.a_rows, node.a_cols).astype(np.int64) + node.a_offset
    b = memories.read(node.input_b).reshape(node.a_cols, node.b_cols).astype(np.int64) + node.b_offset
    memories.write(node.output, store(a @ b + node.bias, node.output_mul, node.output_shift, node.output_offset))


def table_lookup(node: v4.TableLookup1D, memories: Memories) -> None:
    memories.write(node.output, memories.read(node.table)[memories.read(node.input)])
