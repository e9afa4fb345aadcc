"""Layers with float32 activations whose weights alone are small: int8 with scales, or float16.

Arithmetic is that of float32 with the real weights. The C kernels read the stored weights and convert them where they
multiply; with int8 the scale of a channel multiplies its sum once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from chipfit.graph import Array, DType, Node, Quant, TensorType, Value
from chipfit.ops._activation import activation_range_float
from chipfit.ops._base import Call, Const, Kernel, Op, Port, dequantize, float_type, for_types, make_node
from chipfit.ops._traversal import Traversal

Params = dict[str, Any]
Steps = Callable[[Node, bool], Traversal | None]


def float_kernels(op: str, traversal: Steps) -> tuple[Kernel, ...]:
    """The kernel for float32 weights, which goes by ``traversal``, and those for int8 and float16 weights.

    A fully connected layer with small weights is a convolution of lines of one pixel.
    """
    types = for_types("float32")
    small = "conv2d" if op == "fully_connected" else op
    steps = traversal if op == "depthwise_conv2d" else lambda node, backward: _in_pairs(traversal(node, backward))
    return (
        Kernel(f"cf_{op}_f32", types, traversal=traversal, weights="float32"),
        Kernel(f"cf_{small}_f32_w8", types, traversal=steps, weights="int8"),
        Kernel(f"cf_{small}_f32_w16", types, when=_finite_weights, traversal=steps, weights="float16"),
    )


def _finite_weights(node: Node) -> bool | str:
    w = node["w"]
    return (w.is_const and bool(np.isfinite(w.array).all())) or "it is for weights that are known to be finite"


def _in_pairs(steps: Traversal | None) -> Traversal | None:
    """Pixel by pixel became two at a time, in whichever pairs: while one is written its neighbours are still read."""
    if steps is None:
        return None
    low, high = steps.reads["x"]
    before, after = np.maximum(np.arange(len(low)) - 1, 0), np.minimum(np.arange(len(low)) + 1, len(low) - 1)
    least = np.minimum(low, np.minimum(low[before], low[after]))
    most = np.maximum(high, np.maximum(high[before], high[after]))
    return replace(steps, reads={"x": (least, most)})


def has_small_weights(node: Node) -> bool:
    """Whether a layer computes in float32 with weights that take one or two bytes each."""
    return node["x"].dtype is DType.FLOAT32 and node["w"].dtype in (DType.INT8, DType.FLOAT16)


def real_weights(w: Value, stored: Array) -> Array:
    """The real numbers, float32, that the elements ``stored`` of the weights stand for."""
    if w.dtype is DType.INT8:
        return dequantize(stored, w.q)
    return stored.astype(np.float32)


def float_call(node: Node, params: Params) -> Call:
    """The call of a float kernel, whichever weights it is for; ``params``: its geometry."""
    low, high = activation_range_float(node.op.attributes()["act"])
    w = node["w"]
    params = {**params, "act_min": low, "act_max": high}
    if w.dtype is DType.FLOAT32:
        return Call([Port("x"), Port("w"), Port("b"), Port("y")], params)
    is_int8 = w.dtype is DType.INT8
    scales = [Const("scale", np.array(w.q.scale, np.float32), "weights")] if is_int8 else []
    kind = "depthwise_conv2d" if node.op.name == "depthwise_conv2d" else "conv2d"
    small = {**_line(params), "per_channel": int(is_int8 and len(w.q.scale) > 1)}
    return Call([Port("x"), Port("w"), *scales, Port("b"), Port("y")], small, struct=f"cf_{kind}_weights_only_params")


def _line(params: Params) -> Params:
    """A layer that sees single pixels as one on a line of all of them, which leaves the fewest without a neighbour."""
    ones = ("kernel_h", "kernel_w", "stride_h", "stride_w")
    if "rows" in params:
        shape = {"in_c": params["in"], "group_c": params["in"], "out_c": params["out"]}
        rest = {"act_min": params["act_min"], "act_max": params["act_max"]}
        plain = {**dict.fromkeys((*ones, "dilation_h", "dilation_w"), 1), "pad_top": 0, "pad_left": 0}
        return {**_pixels(params["rows"]), **shape, **plain, **rest}
    is_point = "multiplier" not in params and all(params[name] == 1 for name in ones)
    if not is_point or params["pad_top"] or params["pad_left"] or params["in_w"] != params["out_w"]:
        return params
    if params["in_h"] != params["out_h"]:
        return params
    return {**params, **_pixels(math.prod(params[k] for k in ("n", "in_h", "in_w")))}


def _pixels(count: Any) -> Params:
    return {"n": 1, "in_h": 1, "in_w": count, "out_h": 1, "out_w": count}


def small_weight_samples(rng: np.random.Generator, node: Node, axis: int) -> Iterator[Node]:
    """A sample with float32 weights, again with int8 weights (a scale per channel, one scale) and with float16.

    ``axis`` of the weights counts output channels. float16 holds normal and subnormal numbers.
    """
    op, x, w, b = node.op, node["x"], node["w"], node["b"]
    assert isinstance(op, Op)
    stored = rng.integers(-127, 128, w.shape, dtype=np.int8)
    scales = tuple(float(s) for s in rng.uniform(1e-4, 2e-2, w.shape[axis]).astype(np.float32))
    half = w.array.astype(np.float16)
    half.reshape(-1)[::3] *= np.float16(2.0**-14)
    kinds: list[tuple[TensorType, Array]] = [
        (TensorType(w.shape, DType.INT8, Quant(scales, (0,) * len(scales), axis)), stored),
        (TensorType(w.shape, DType.INT8, Quant.per_tensor(scales[0])), stored),
        (TensorType(w.shape, DType.FLOAT16), half),
    ]
    for i, weights in enumerate(kinds):
        bias = None if i == 1 else (b.type, b.array)
        yield make_node(op, {"x": float_type(*x.shape), "w": weights, "b": bias}, (DType.FLOAT32, None))
