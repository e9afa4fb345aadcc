"""What each operator means in ``keras.ops``: differentiable, for many samples at once.

A tensor is (samples, *shape in the graph); a constant is (1, *shape). A form takes ``keras.ops``, the node and its
operands, and returns its outputs. Layers with weights come in two parts, so that integers can go between them: the
sums without a bias, and the fused activation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, Node
from chipfit.ops import op_of
from chipfit.ops._base import float_type, make_node
from chipfit.ops._move import Move
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.max_pool2d import MaxPool2D
from chipfit.ops.pad import Pad
from chipfit.ops.resize_bilinear import ResizeBilinear
from chipfit.ops.resize_nearest import ResizeNearest
from chipfit.ops.transpose_conv import TransposeConv

LAYERS = (Conv2D, DepthwiseConv2D, FullyConnected, TransposeConv)

Form = Callable[[Any, Node, list[Any]], Any]

_LEAST = -1e30
"""Stands for minus infinity beside the numbers of a pool: its gradient is a number, too."""


def require_forms(graph: Graph) -> None:
    """Raise ChipfitError O003 for the operators of a graph that cannot learn, all of them named."""
    lacking = [f"{n.op.name} '{n.name}'" for n in graph.nodes if not _is_known(n)]
    if lacking:
        shown = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
        raise ChipfitError("N005", f"there is no way to learn through: {shown}", f"known are: {', '.join(names())}")


def names() -> list[str]:
    """Of the operators that a graph may have; those that only move elements are not listed."""
    return sorted({*_FORMS, *_POOLS, *(cls.name for cls in LAYERS)})


def _is_known(node: Node) -> bool:
    op = node.op
    if isinstance(op, LAYERS):
        return node["w"].is_const and ((b := node.get("b")) is None or b.is_const)
    if not all(v.dtype.is_float for v in node.outputs):
        return False
    return op.name in _FORMS or op.name in _POOLS or op_of(node).is_view or isinstance(op, _MOVES)


def apply(keras: Any, node: Node, operands: list[Any], *, clamped: bool = True) -> list[Any]:
    """The outputs of a node that is no layer. ``operands``: one for each of its inputs, None for indices.

    ``clamped``: by its fused activation, if it has one.
    """
    op, k = op_of(node), keras.ops
    if op.is_view:
        return [k.reshape(operands[0], (-1, *node.outputs[0].shape))]
    if op.name in _FORMS:
        y = _FORMS[op.name](k, node, operands)
    elif op.name in _POOLS:
        y = _POOLS[op.name](k, node, operands[0])
    else:
        return _moved(k, node, operands)
    return [activated(k, node, y) if clamped else y]


BOUNDS: dict[str, tuple[float, float]] = {
    "none": (-np.inf, np.inf), "relu": (0.0, np.inf), "relu6": (0.0, 6.0), "relu_n1_to_1": (-1.0, 1.0),
}  # fmt: skip
"""Of what a fused activation leaves."""


def activated(k: Any, node: Node, x: Any) -> Any:
    """The fused activation of a node, if it has one."""
    act = node.op.attributes().get("act", "none")
    if act == "none":
        return x
    return {"relu": k.relu, "relu6": k.relu6}[act](x) if act != "relu_n1_to_1" else k.clip(x, *BOUNDS[act])


# ---------------------------------------------------------------------------------------------- layers


def layer_sums(k: Any, node: Node, x: Any, w: Any) -> Any:
    """Weighted sums without bias: (samples, *shape of y). ``x``: (samples, *shape); ``w``: as the graph has it."""
    op, shape = node.op, node["y"].shape
    if isinstance(op, FullyConnected):
        return k.reshape(k.matmul(k.reshape(x, (-1, w.shape[1])), k.transpose(w)), (-1, *shape))
    x = k.reshape(x, (-1, *node["x"].shape[1:]))
    if isinstance(op, Conv2D):
        y = _conv(k, op, x, w)
    elif isinstance(op, DepthwiseConv2D):
        _, height, width, out = node["w"].shape
        channels = node["x"].shape[3]
        kernel = k.reshape(w, (height, width, channels, out // channels))
        y = k.depthwise_conv(
            _padded(k, x, op.pad), kernel, op.stride, "valid", dilation_rate=op.dilation, data_format="channels_last"
        )
    else:
        assert isinstance(op, TransposeConv)
        y = _transposed(k, op, x, w)
    return k.reshape(y, (-1, *shape))


def _conv(k: Any, op: Conv2D, x: Any, w: Any) -> Any:
    """Groups follow from the shapes. One pixel of 1x1 is a matrix product, whatever the stride picks."""
    out, height, width, depth = w.shape
    if (height, width) == (1, 1) and not any(op.pad) and depth == x.shape[-1]:
        if op.stride != (1, 1):
            x = x[:, :: op.stride[0], :: op.stride[1]]
        return k.matmul(x, k.transpose(k.reshape(w, (out, depth))))
    kernel = k.transpose(w, (1, 2, 3, 0))
    padded = _padded(k, x, op.pad)
    return k.conv(padded, kernel, op.stride, "valid", dilation_rate=op.dilation, data_format="channels_last")


def _transposed(k: Any, op: TransposeConv, x: Any, w: Any) -> Any:
    """A plain convolution of the input with zeros between its pixels, by the taps in reverse."""
    _, height, width, _ = w.shape
    for axis, stride in ((1, op.stride[0]), (2, op.stride[1])):
        if stride > 1:
            size = x.shape[axis]
            x = k.expand_dims(x, axis + 1)
            x = k.pad(x, [(0, 0)] * (axis + 1) + [(0, stride - 1)] + [(0, 0)] * (4 - axis - 1))
            merged = [-1, *x.shape[1:axis], size * stride, *x.shape[axis + 2 :]]
            x = k.reshape(x, merged)
            x = x[:, : (size - 1) * stride + 1] if axis == 1 else x[:, :, : (size - 1) * stride + 1]
    top, left, bottom, right = op.pad
    around = (height - 1 - top, width - 1 - left, height - 1 - bottom, width - 1 - right)
    kernel = k.transpose(k.flip(w, axis=(1, 2)), (1, 2, 3, 0))
    return k.conv(_padded(k, _cut(x, around), _positive(around)), kernel, (1, 1), "valid", data_format="channels_last")


def _positive(pad: Sequence[int]) -> tuple[int, int, int, int]:
    top, left, bottom, right = (max(0, p) for p in pad)
    return top, left, bottom, right


def _cut(x: Any, pad: Sequence[int]) -> Any:
    """Without the rows and columns that a negative padding takes away."""
    top, left, bottom, right = (max(0, -p) for p in pad)
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


def _padded(k: Any, x: Any, pad: Sequence[int], fill: float = 0.0) -> Any:
    top, left, bottom, right = pad
    if not any(pad):
        return x
    return k.pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)], constant_values=fill)


# ---------------------------------------------------------------------------------------------- elements


def aligned(k: Any, node: Node, operands: list[Any]) -> list[Any]:
    """All with as many axes as the output, so that they broadcast behind the axis of samples."""
    rank = len(node.outputs[0].shape)
    found: list[Any] = []
    for value, x in zip(node.operands, operands, strict=True):
        missing = rank - len(value.shape)
        found.append(k.reshape(x, (-1, *(1,) * missing, *value.shape)) if missing else x)
    return found


def _binary(name: str) -> Form:
    def form(k: Any, node: Node, operands: list[Any]) -> Any:
        a, b = aligned(k, node, operands)
        return getattr(k, name)(a, b)

    return form


def _unary(function: Callable[[Any, Any], Any]) -> Form:
    return lambda k, node, operands: function(k, operands[0])


def _gelu(k: Any, node: Node, operands: list[Any]) -> Any:
    return k.gelu(operands[0], approximate=node.op.attributes()["approximate"])


def _leaky(k: Any, node: Node, operands: list[Any]) -> Any:
    return k.where(operands[0] >= 0, operands[0], operands[0] * node.op.attributes()["alpha"])


def _prelu(k: Any, node: Node, operands: list[Any]) -> Any:
    x, alpha = aligned(k, node, operands)
    return k.where(x >= 0, x, x * alpha)


def _softmax(k: Any, node: Node, operands: list[Any]) -> Any:
    return k.softmax(operands[0] * node.op.attributes()["beta"], axis=-1)


def _reduced(name: str) -> Form:
    def form(k: Any, node: Node, operands: list[Any]) -> Any:
        op = node.op.attributes()
        axes = tuple(axis + 1 for axis in op["axes"])
        return getattr(k, name)(operands[0], axis=axes, keepdims=op["keep_dims"]) if axes else operands[0]

    return form


def _matmul(k: Any, node: Node, operands: list[Any]) -> Any:
    op = node.op.attributes()
    a, b = aligned(k, node, operands)
    return k.matmul(k.swapaxes(a, -1, -2) if op["adj_x"] else a, k.swapaxes(b, -1, -2) if op["adj_y"] else b)


def _pad(k: Any, node: Node, operands: list[Any]) -> Any:
    op = node.op
    assert isinstance(op, Pad)
    return k.pad(operands[0], [(0, 0), *op.pads], constant_values=float(op.value or 0.0))


def _joined(k: Any, node: Node, operands: list[Any]) -> Any:
    op = node.op
    assert isinstance(op, Concatenation)
    samples = next(k.shape(x)[0] for v, x in zip(node.operands, operands, strict=True) if not v.is_const)
    whole = [
        k.broadcast_to(x, (samples, *v.shape)) if v.is_const else x
        for v, x in zip(node.operands, operands, strict=True)
    ]
    return k.concatenate(whole, axis=op.axis + 1)


def _transpose(k: Any, node: Node, operands: list[Any]) -> Any:
    return k.transpose(operands[0], (0, *(axis + 1 for axis in node.op.attributes()["perm"])))


def _slice(k: Any, node: Node, operands: list[Any]) -> Any:
    op = node.op.attributes()
    parts = tuple(slice(b, b + s) for b, s in zip(op["begin"], op["size"], strict=True))
    return operands[0][(slice(None), *parts)]


def _bilinear(k: Any, node: Node, operands: list[Any]) -> Any:
    """Rows and columns one after the other, each by a matrix that the operator itself gives."""
    op, (_, height, width, _) = node.op, node["x"].shape
    assert isinstance(op, ResizeBilinear)
    rows, columns = (_weights_along(op, side, target) for side, target in ((height, 0), (width, 1)))
    return _resized(k, node, operands[0], rows, columns)


def bilinear_sums(k: Any, node: Node, x: Any) -> Any:
    """What the integer operator rounds: 2**20 times the result. ``x``: stored elements, float64."""
    op, (_, height, width, _) = node.op, node["x"].shape
    assert isinstance(op, ResizeBilinear)
    return _resized(k, node, x, *(_taps_along(op, side, axis) for side, axis in ((height, 0), (width, 1))))


def _resized(k: Any, node: Node, x: Any, rows: Array, columns: Array) -> Any:
    """``rows``, ``columns``: (target, size), of the element type of ``x``."""
    x = k.reshape(x, (-1, *node["x"].shape[1:]))
    first, second = (k.convert_to_tensor(lines, x.dtype) for lines in (rows, columns))
    y = k.einsum("xw,nywc->nyxc", second, k.einsum("yh,nhwc->nywc", first, x))
    return k.reshape(y, (-1, *node["y"].shape))


@lru_cache(maxsize=64)
def _taps_along(op: ResizeBilinear, size: int, axis: int) -> Array:
    """(target, size): of 1024, what each stored element of a line counts in each of the resized line; float64."""
    first, second, weight = op.taps(size, op.target[axis])
    made = np.zeros((op.target[axis], size))
    pixels = np.arange(op.target[axis])
    np.add.at(made, (pixels, first), 1024 - weight)
    np.add.at(made, (pixels, second), weight)
    return made


@lru_cache(maxsize=64)
def _weights_along(op: ResizeBilinear, size: int, axis: int) -> Array:
    """(target, size): what each pixel of a line counts in each of the resized line."""
    target = op.target[axis]
    shape = (1, size, 1, size) if axis == 0 else (1, 1, size, size)
    lines = type(op)((target, 1) if axis == 0 else (1, target), op.align_corners, op.half_pixel_centers)
    basis = np.eye(size, dtype=np.float32).reshape(shape)
    node = make_node(lines, {"x": float_type(*shape)}, (DType.FLOAT32, None))
    return np.asarray(lines.eval_float(node, basis), np.float32).reshape(target, size)


def _max_pool(k: Any, node: Node, x: Any) -> Any:
    op = node.op
    assert isinstance(op, MaxPool2D)
    x = _padded(k, k.reshape(x, (-1, *node["x"].shape[1:])), op.pad, _LEAST)
    y = k.max_pool(x, op.kernel, op.stride, "valid", data_format="channels_last")
    return k.reshape(y, (-1, *node["y"].shape))


def _average_pool(k: Any, node: Node, x: Any) -> Any:
    """Padding does not count: means over whole windows are corrected where some of it lies outside."""
    op = node.op
    assert isinstance(op, AveragePool2D)
    x = _padded(k, k.reshape(x, (-1, *node["x"].shape[1:])), op.pad)
    y = k.average_pool(x, op.kernel, op.stride, "valid", data_format="channels_last")
    if any(op.pad):
        y = y * k.convert_to_tensor((math.prod(op.kernel) / pool_counts(node)).astype(np.float32))
    return k.reshape(y, (-1, *node["y"].shape))


def pool_counts(node: Node) -> Array:
    """(1, h, w, 1): elements of the input in each window of an average pool."""
    assert isinstance(node.op, AveragePool2D)
    return _counts(node.op, *node["x"].shape[1:3])


@lru_cache(maxsize=64)
def _counts(op: AveragePool2D, height: int, width: int) -> Array:
    return op.windows(np.ones((1, height, width, 1)), 0.0).sum(axis=4)


_POOLS: dict[str, Callable[[Any, Node, Any], Any]] = {"max_pool2d": _max_pool, "average_pool2d": _average_pool}

_FORMS: dict[str, Form] = {
    **{name: _binary(name) for name in ("minimum", "maximum")},
    "add": _binary("add"),
    "sub": _binary("subtract"),
    "mul": _binary("multiply"),
    "div": _binary("divide"),
    "squared_difference": lambda k, node, x: k.square(k.subtract(*aligned(k, node, x))),
    "relu": _unary(lambda k, x: k.relu(x)),
    "relu6": _unary(lambda k, x: k.relu6(x)),
    "relu_n1_to_1": _unary(lambda k, x: k.clip(x, -1.0, 1.0)),
    "logistic": _unary(lambda k, x: k.sigmoid(x)),
    "tanh": _unary(lambda k, x: k.tanh(x)),
    "hard_swish": _unary(lambda k, x: x * k.relu6(x + 3.0) * (1 / 6)),
    "elu": _unary(lambda k, x: k.elu(x)),
    "exp": _unary(lambda k, x: k.exp(x)),
    "log": _unary(lambda k, x: k.log(x)),
    "abs": _unary(lambda k, x: k.abs(x)),
    "neg": _unary(lambda k, x: -x),
    "square": _unary(lambda k, x: k.square(x)),
    "sqrt": _unary(lambda k, x: k.sqrt(x)),
    "rsqrt": _unary(lambda k, x: k.rsqrt(x)),
    "gelu": _gelu,
    "leaky_relu": _leaky,
    "prelu": _prelu,
    "softmax": _softmax,
    "log_softmax": lambda k, node, x: k.log_softmax(x[0], axis=-1),
    "mean": _reduced("mean"),
    "sum": _reduced("sum"),
    "reduce_max": _reduced("max"),
    "reduce_min": _reduced("min"),
    "batch_matmul": _matmul,
    "pad": _pad,
    "concatenation": _joined,
    "transpose": _transpose,
    "slice": _slice,
    "resize_bilinear": _bilinear,
}

# ---------------------------------------------------------------------------------------------- moves

_MOVES = (Move, ResizeNearest)
"""Every element of the output is one of the input: the operator itself says which, asked with their numbers."""


def _moved(k: Any, node: Node, operands: list[Any]) -> list[Any]:
    """All operands in one row, and the outputs picked out of it."""
    floats = [x for v, x in zip(node.operands, operands, strict=True) if v.dtype.is_float]
    samples = k.max(k.stack([k.shape(x)[0] for x in floats])) if len(floats) > 1 else k.shape(floats[0])[0]
    rows = [k.broadcast_to(k.reshape(x, (k.shape(x)[0], -1)), (samples, math.prod(x.shape[1:]))) for x in floats]
    # what an operator puts in besides is a zero, which stands in front
    row = k.concatenate([k.zeros_like(rows[0][:, :1]), *rows], axis=1)
    pairs = zip(_picked(node), node.outputs, strict=True)
    return [k.reshape(k.take(row, index, axis=1), (-1, *v.shape)) for index, v in pairs]


@lru_cache(maxsize=256)
def _picked(node: Node) -> tuple[Array, ...]:
    """For each output the places of its elements in the row, flat."""
    numbered: list[Array] = []
    start = 1
    for value in node.operands:
        if value.dtype.is_float:
            numbered.append(np.arange(start, start + value.type.size, dtype=np.int32).reshape(value.shape))
            start += value.type.size
        else:
            numbered.append(value.array)
    made = op_of(node).eval_float(node, *numbered)
    return tuple(np.asarray(y).reshape(-1) for y in (made if isinstance(made, tuple) else (made,)))
