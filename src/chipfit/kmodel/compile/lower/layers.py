"""Convolutions and dense layers of the CPU."""

from __future__ import annotations

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Node, Value
from chipfit.kmodel.compile.grid import Grid
from chipfit.kmodel.compile.lower.results import MANY, clamp, multiplier, pair, plain, result
from chipfit.kmodel.compile.lower.state import Shape4, State, shape4
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.codec import DataType
from chipfit.kmodel.format.nodes import NO_MAX, NO_MIN, BinaryOp
from chipfit.ops._weights_only import real_weights
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D


def convolve(state: State, node: Node) -> list[Node]:
    """CONV_2D and DEPTHWISE_CONV_2D: on bytes where floats would make the file large, else in float32."""
    x, w = node["x"], node["w"]
    a = node.op.attributes()
    weights = real_weights(w, _constant(w, node))
    depthwise = isinstance(node.op, DepthwiseConv2D)
    kernel = weights.transpose(3, 0, 1, 2) if depthwise else weights.transpose(0, 3, 1, 2)
    groups = x.shape[3] if depthwise else x.shape[3] // weights.shape[3]
    low, high, done, y = clamp(state, node["y"])
    if kernel.size >= MANY and groups == 1 and state.forms_of(x).floats is None and plain(state, x):
        return _quantized_convolve(state, node, kernel, y, done)
    source, out, bias = state.floats(x), result(state, y), _bias(node, len(kernel))
    top, left, bottom, right = a["pad"]
    state.add(
        [source],
        out,
        lambda at: v4.Conv2D(
            at(source),
            at(out),
            shape4(x),
            groups,
            len(kernel),
            (top, bottom),
            (left, right),
            kernel.shape[2],
            kernel.shape[3],
            *pair(a["stride"]),
            *pair(a["dilation"]),
            low,
            high,
            kernel.ravel(),
            bias,
        ),
    )
    return done


def _quantized_convolve(state: State, node: Node, kernel: Array, y: Value, done: list[Node]) -> list[Node]:
    """On bytes: one step for all weights. Clamping is in the grid of the result."""
    x, a = node["x"], node.op.attributes()
    (sx, zx), (sy, zy) = state.grid(x).plain, state.grid(y).plain
    grid = Grid.of(float(kernel.min()), float(kernel.max()))
    sw, zw = grid.plain
    codes = np.clip(np.rint(kernel / sw + zw), 0, 255).astype(np.uint8)
    bias = np.rint(_bias(node, len(kernel)) / (sx * sw)).astype(np.int32)
    mul, shift = multiplier(sx * sw / sy)
    source, out = state.bytes_(x), result(state, y, DataType.UINT8)
    top, left, bottom, right = a["pad"]
    state.add(
        [source],
        out,
        lambda at: v4.QuantizedConv2D(
            at(source),
            at(out),
            shape4(x),
            1,
            len(kernel),
            (top, bottom),
            (left, right),
            kernel.shape[2],
            kernel.shape[3],
            *pair(a["stride"]),
            *pair(a["dilation"]),
            -zx,
            -zw,
            mul,
            shift,
            zy,
            bias,
            codes.ravel(),
        ),
    )
    return done


def _bias(node: Node, channels: int) -> Array:
    b = node.get("b")
    return np.zeros(channels, np.float32) if b is None else b.array.astype(np.float32)


def _constant(value: Value, node: Node) -> Array:
    if value.data is None:
        raise ChipfitError(
            "O002", f"{node.op.name} '{node.name}' computes '{value.name}', which a kmodel holds as a constant"
        )
    return value.data


def dense(state: State, node: Node) -> list[Node]:
    """FULLY_CONNECTED in float32."""
    x, w = node["x"], node["w"]
    weights = real_weights(w, _constant(w, node)).astype(np.float32)
    rows = x.type.size // weights.shape[1]
    low, high, done, y = clamp(state, node["y"])
    source, weights = flat_source(state, x, weights)
    matrix, out = state.constant(weights.T, w.name), result(state, y)
    bias = _bias(node, len(weights))
    floats = state.floats(source)
    state.add(
        [floats, matrix],
        out,
        lambda at: v4.MatMul(
            at(floats), at(matrix), at(out), rows, weights.shape[1], weights.shape[0], low, high, bias
        ),
    )
    return done


def flat_source(state: State, x: Value, weights: Array) -> tuple[Value, Array]:
    """What a dense layer reads, before it was made flat, and the weights (out, in, ...) in that order."""
    origin = state.flat.get(x, x)
    if origin is x or len(origin.shape) != 4:
        return x, weights
    _, h, w, c = origin.shape
    order = np.arange(h * w * c).reshape(h, w, c).transpose(2, 0, 1).ravel()
    return origin, np.ascontiguousarray(weights[:, order])


def transposed(state: State, node: Node) -> list[Node]:
    """TRANSPOSE_CONV. The firmware reads the bias and does not add it: a node of its own does."""
    x, w, y = node["x"], node["w"], node["y"]
    a = node.op.attributes()
    weights = real_weights(w, _constant(w, node)).transpose(0, 3, 1, 2)
    top, left, bottom, right = a["pad"]
    if min(bottom, right) < 0:
        raise ChipfitError("O002", f"transpose_conv '{node.name}' adds rows that no input reaches", "use `same`")
    low, high, done, last = clamp(state, y)
    bias = _bias(node, len(weights))
    added = bool(bias.any()) or bool(done)
    source = state.floats(x)
    out = state.main(y.name, y.type.size, DataType.FLOAT32) if added else result(state, y)
    state.add(
        [source],
        out,
        lambda at: v4.Conv2DTranspose(
            at(source),
            at(out),
            shape4(x),
            shape4(y),
            1,
            (top, bottom),
            (left, right),
            weights.shape[2],
            weights.shape[3],
            *pair(a["stride"]),
            1,
            1,
            NO_MIN,
            NO_MAX,
            weights.ravel(),
            np.zeros(len(weights), np.float32),
        ),
    )
    if added:
        offset = state.constant(bias, f"{y.name}/bias")
        sums = result(state, last)
        shape: Shape4 = (1, len(bias), 1, 1)
        state.add(
            [out, offset],
            sums,
            lambda at: v4.Binary(at(out), at(offset), at(sums), BinaryOp.ADD, shape4(y), shape, shape4(y), low, high),
        )
    return done
