"""Nodes that compute on real numbers, on the CPU.

Sums are taken in the order of the vendor's runtime, so that they are rounded alike; its exponential function is the C
library's, which may differ in the last bit.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

from chipfit.graph import Array
from chipfit.kmodel.format import nnil
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.access import product
from chipfit.kmodel.format.nodes import BinaryOp, ReduceOp, UnaryOp
from chipfit.kmodel.format.window import Axis, window_axes
from chipfit.kmodel.simulate.memory import Memories
from chipfit.kmodel.simulate.windows import convolve, taps, transposed_convolve

Operation = Callable[..., Array]

BINARY: dict[BinaryOp, Operation] = {
    BinaryOp.ADD: np.add,
    BinaryOp.SUB: np.subtract,
    BinaryOp.MUL: np.multiply,
    BinaryOp.DIV: np.divide,
    BinaryOp.MIN: np.minimum,
    BinaryOp.MAX: np.maximum,
}
UNARY: dict[UnaryOp, Operation] = {
    UnaryOp.ABS: np.abs,
    UnaryOp.CEIL: np.ceil,
    UnaryOp.COS: np.cos,
    UnaryOp.EXP: np.exp,
    UnaryOp.FLOOR: np.floor,
    UnaryOp.LOG: np.log,
    UnaryOp.NEG: np.negative,
    UnaryOp.RSQRT: lambda x: np.float32(1) / np.sqrt(x),
    UnaryOp.SIN: np.sin,
    UnaryOp.SQUARE: np.square,
}


def clamp(x: Array, least: float, most: float) -> Array:
    return np.clip(x, np.float32(least), np.float32(most))


def half_away(x: Array) -> Array:
    """Rounded to the nearest integer, halves away from zero; what is no number becomes 0."""
    rounded = np.where(x >= 0, np.floor(x + np.float32(0.5)), np.ceil(x - np.float32(0.5)))
    return np.where(np.isnan(rounded), np.float32(0), rounded)


def quantize(node: v4.Quantize, memories: Memories) -> None:
    scaled = memories.read(node.input) * np.float32(node.scale) + np.float32(node.zero_point)
    memories.write(node.output, np.clip(half_away(scaled), 0, 255))


def dequantize(node: v4.Dequantize, memories: Memories) -> None:
    codes = memories.read(node.input).astype(np.int64) - node.zero_point
    memories.write(node.output, codes.astype(np.float32) * (np.float32(1) / np.float32(node.scale)))


def binary(node: v4.Binary, memories: Memories) -> None:
    a, b = memories.read(node.input_a).reshape(node.shape_a), memories.read(node.input_b).reshape(node.shape_b)
    y = np.broadcast_to(BINARY[node.op](a, b), node.out_shape)
    memories.write(node.output, clamp(y, node.act_min, node.act_max))


def unary(node: v4.Unary, memories: Memories) -> None:
    memories.write(node.output, UNARY[node.op](memories.read(node.input)))


def matmul(node: v4.MatMul, memories: Memories) -> None:
    a = memories.read(node.input_a).reshape(node.a_rows, node.a_cols)
    b = memories.read(node.input_b).reshape(node.a_cols, node.b_cols)
    memories.write(node.output, clamp(product_in_order(a, b, node.bias), node.act_min, node.act_max))


def product_in_order(a: Array, b: Array, start: Array) -> Array:
    """start + a @ b, one addition after the other: (m, k), (k, n), (n,) to (m, n)."""
    y = np.repeat(start[None].astype(a.dtype), len(a), axis=0)
    for column, row in zip(a.T, b, strict=True):
        y += column[:, None] * row
    return y


def sum_in_order(x: Array, start: np.float32) -> Array:
    """Over the last axis, one addition after the other."""
    first = np.full((*x.shape[:-1], 1), start, x.dtype)
    return np.add.accumulate(np.concatenate([first, x], -1), axis=-1)[..., -1]


def reduce(node: v4.Reduce, memories: Memories) -> None:
    x = memories.read(node.input).reshape(node.shape)
    kept = [axis for axis in range(4) if node.out_shape[axis] == node.shape[axis]]
    gone = [axis for axis in range(4) if axis not in kept]
    x = x.transpose(*kept, *gone).reshape(product(node.out_shape), -1)
    init = np.float32(node.init)
    if node.op in (ReduceOp.MIN, ReduceOp.MAX):
        extremum = np.minimum if node.op is ReduceOp.MIN else np.maximum
        y = extremum(extremum.reduce(x, axis=1), init)
    else:
        y = sum_in_order(x, init)
        if node.op is ReduceOp.MEAN:
            y = y * (np.float32(y.size) / np.float32(x.size))
    memories.write(node.output, y)


def reduce_window(node: v4.ReduceWindow2D, memories: Memories) -> None:
    y = pool(memories.read(node.input).reshape(node.shape), node.op, node.init, *window_axes(node))
    memories.write(node.output, clamp(y, node.act_min, node.act_max))


def pool(x: Array, op: ReduceOp, init: float, rows: Axis, columns: Axis) -> Array:
    """(n, c, h, w) float32: windows begin with ``init``; a mean is over the taps inside the image."""
    shape = (*x.shape[:2], rows.positions, columns.positions)
    y, counts = np.full(shape, init, np.float32), np.zeros(shape[2:], np.float32)
    pair = BINARY[{ReduceOp.MIN: BinaryOp.MIN, ReduceOp.MAX: BinaryOp.MAX}.get(op, BinaryOp.ADD)]
    for _, to, of in taps(rows, columns):
        y[:, :, to[0], to[1]] = pair(y[:, :, to[0], to[1]], x[:, :, of[0], of[1]])
        counts[to] += 1
    return y / counts if op is ReduceOp.MEAN else y


def softmax(node: v4.Softmax, memories: Memories) -> None:
    x = memories.read(node.input).reshape(node.outer, node.inner)
    e = np.exp((x - x.max(1, keepdims=True)) * np.float32(node.beta))
    memories.write(node.output, e / sum_in_order(e, np.float32(0))[:, None])


def conv2d(node: v4.Conv2D, memories: Memories) -> None:
    x = memories.read(node.input).reshape(node.shape)
    weights = node.weights.reshape(node.out_channels, -1)
    y = convolve(x, weights, node.bias, node.groups, *window_axes(node))
    memories.write(node.output, clamp(y, node.act_min, node.act_max))


def conv2d_transpose(node: v4.Conv2DTranspose, memories: Memories) -> None:
    """The runtime reads the bias, but never adds it."""
    x = memories.read(node.input).reshape(node.shape)
    y = transposed_convolve(x, node.weights, node.groups, node.out_shape[1], *window_axes(node))
    memories.write(node.output, clamp(y, node.act_min, node.act_max))


# ------------------------------------------------------------------------------------------------ byte code


def nnil_unary(node: v4.NnilUnaryMethod, memories: Memories) -> None:
    memories.write(node.output, run_nnil(node.code, memories.read(node.input)))


def run_nnil(code: bytes, x: Array) -> Array:
    """Run a program in which :func:`chipfit.kmodel.format.nnil.problem` finds nothing, on all elements at once."""
    stack: list[Array] = []
    for op, operand in nnil.instructions(code):
        if op == nnil.DUP:
            stack.append(stack[-1])
        elif op == nnil.POP:
            stack.pop()
        elif op == nnil.ARGUMENT:
            stack.append(x)
        elif op in (nnil.ZERO, nnil.ONE):
            stack.append(np.full_like(x, op - nnil.ZERO))
        elif op == nnil.FLOAT:
            stack.append(np.full_like(x, struct.unpack("<f", operand)[0]))
        elif op == nnil.CLAMP:
            most, least, value = stack.pop(), stack.pop(), stack.pop()
            stack.append(np.minimum(np.maximum(value, least), most))
        elif op in range(nnil.UNARY, nnil.UNARY + len(UnaryOp)):
            stack.append(UNARY[UnaryOp(op - nnil.UNARY)](stack.pop()))
        elif op in range(nnil.BINARY, nnil.BINARY + len(BinaryOp)):
            b, a = stack.pop(), stack.pop()
            stack.append(BINARY[BinaryOp(op - nnil.BINARY)](a, b))
    # the last instruction is RETURN
    return stack[-1]
