"""The integer SVDF: scales, meaning, checks, and what its kernels are given (runtime/include/cf_svdf.h)."""

from __future__ import annotations

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import INT32_MAX, Int, multiply_by_quantized_multiplier, quantize_multiplier, requantize
from chipfit.graph import Array, DType, Node
from chipfit.ops._base import Arg, Call, Const, Port, Scratch
from chipfit.ops._dense_dsp import K, fours_of, pairs_fit, pairs_stream, sums_fit
from chipfit.ops._types import require_per_tensor

_CONSTANTS = ("feature", "w", "b")
_GREATEST_SCALE = 2.0**30
"""TFLite's multipliers end there."""


def _real_scales(node: Node) -> tuple[float, float]:
    """From sums over inputs to the state, and from sums in time to the output: products in float32.

    Source: TFLite Micro ``PrepareSvdf``.
    """
    x, feature, w, state, y = (np.float32(node[port].q.s) for port in ("x", "feature", "w", "state", "y"))
    with np.errstate(over="ignore"):
        return float(x * feature / state), float(state * w / y)


def _scales(node: Node) -> tuple[tuple[int, int], tuple[int, int]]:
    """``(m, shift)`` of both."""
    of_state, of_output = _real_scales(node)
    return quantize_multiplier(of_state), quantize_multiplier(of_output)


def eval_svdf_int(node: Node, x: Array, feature: Array, w: Array, b: Array, state: Array) -> tuple[Int, Int]:
    """y and the next state."""
    scale_of_state, scale_of_output = _scales(node)
    state_type, y = node["state"], node["y"]
    zero = state_type.q.zp
    sums = (x.astype(np.int64) - node["x"].q.zp) @ feature.T.astype(np.int64)
    newest = requantize(sums, *scale_of_state, 0, *state_type.dtype.range) + zero
    wrapped = newest.astype(state_type.dtype.numpy).astype(np.int64)
    kept = np.concatenate([state.reshape(-1, *w.shape)[:, :, 1:], wrapped[:, :, None]], axis=2)
    products = (kept - zero) * w.astype(np.int64)
    acc = products.sum(axis=2).reshape(len(x), len(b), -1).sum(axis=2) + b
    scaled = multiply_by_quantized_multiplier(acc, *scale_of_output)
    return np.clip(scaled + y.q.zp, *y.dtype.range), kept


def shape_fields(node: Node) -> dict[str, int]:
    """The fields of the calls that give the shape."""
    filters, memory = node["w"].shape
    batch, columns = node["x"].shape
    units = node["y"].shape[1]
    return {"batch": batch, "in": columns, "units": units, "rank": filters // units, "memory": memory}


def integer_call(node: Node) -> Call:
    """Arguments of ``cf_svdf_s8`` and ``cf_svdf_s8_s16``."""
    start = Const("start", _starts(node).astype(np.int32), "weights")
    args = [Port("x"), Port("feature"), start, Port("w"), _bias(node), Port("state"), Port("y"), Port("next")]
    return Call(args, _params(node), "cf_svdf_params")


def dsp_call(node: Node) -> Call:
    """Arguments of ``cf_svdf_s8_dsp``: the feature weights as one stream, four filters at a time."""
    fours = fours_of(len(node["w"].array))
    stream = pairs_stream(node["feature"].array.astype(np.int64)[fours], K * _starts(node)[fours])
    feature = Const("feature", stream.astype(np.int32).reshape(-1), "weights")
    scratch = Scratch(-(-node["x"].shape[1] // 8) * 16)
    args: list[Arg] = [Port("x"), feature, scratch, Port("w"), _bias(node), Port("state"), Port("y"), Port("next")]
    return Call(args, _params(node), "cf_svdf_params")


def dsp_reason(node: Node) -> bool | str:
    """True, or why ``cf_svdf_s8_dsp`` cannot be used."""
    filters, memory = node["w"].shape
    if filters < 4 or memory % 4:
        return f"it has {filters} filters and a memory of {memory}; 4 filters and multiples of 4 results can be taken"
    reason = sums_fit(_greatest(node), _scales(node)[0][1])
    return reason if reason is not True else pairs_fit(node["feature"].array.astype(np.int64)[fours_of(filters)])


def _params(node: Node) -> dict[str, int]:
    (m_state, shift_state), (m, shift) = _scales(node)
    return {
        **shape_fields(node),
        "m_state": m_state,
        "shift_state": shift_state,
        "state_zero": node["state"].q.zp,
        "m": m,
        "shift": shift,
        "out_zero": node["y"].q.zp,
    }


def _starts(node: Node) -> Int:
    """What the sums over inputs start from, so that no zero point is left: (filters,)."""
    return -node["x"].q.zp * node["feature"].array.astype(np.int64).sum(axis=1)


def _greatest(node: Node) -> int:
    """A bound of the magnitude of the sums over inputs, on the way, too."""
    return int((np.abs(_starts(node)) + 128 * np.abs(node["feature"].array.astype(np.int64)).sum(axis=1)).max())


def _bias(node: Node) -> Const:
    """The bias with the share of the state's zero point, modulo 2**32, as the sums are."""
    in_time = node["w"].array.astype(np.int64).reshape(node["y"].shape[1], -1).sum(axis=1)
    return Const("b", (node["b"].array - node["state"].q.zp * in_time).astype(np.int32), "weights")


def check_svdf(node: Node) -> None:
    """Raise O002 where the element types, scales or constants are not those of a form that TFLite Micro has."""
    problem = _problem(node)
    if not problem and node["x"].dtype is DType.INT8:
        for port in ("x", "feature", "w", "state", "y"):
            require_per_tensor(node, node[port])
        if node["feature"].q.zp or node["w"].q.zp:
            problem = "has weights with zero points other than 0"
        elif node["state"].type.quant != node["next"].type.quant:
            problem = f"has another scale in '{node['next'].name}' than in its state '{node['state'].name}'"
        elif max(_real_scales(node)) >= _GREATEST_SCALE:
            problem = f"scales its sums up by {max(_real_scales(node)):g}"
        elif _greatest(node) > INT32_MAX:
            problem = f"has sums up to {_greatest(node):,}, which leave 32 bits"
    if problem:
        raise ChipfitError(
            "O002", f"{node.op.name} '{node.name}' {problem}", "convert the model with full int8 quantization"
        )


def _problem(node: Node) -> str:
    kind = node["x"].dtype
    in_time = node["w"].dtype
    if kind not in (DType.INT8, DType.FLOAT32):
        return f"has {kind.value} inputs '{node['x'].name}'; int8 or float32 can be compiled"
    if kind is DType.INT8 and in_time not in (DType.INT8, DType.INT16):
        return f"has {in_time.value} weights in time '{node['w'].name}', expected int8 or int16"
    expected: dict[str, DType] = dict.fromkeys(("feature", "y"), kind)
    expected |= dict.fromkeys(("w", "state", "next"), in_time if kind is DType.INT8 else kind)
    expected["b"] = DType.INT32 if kind is DType.INT8 else kind
    for port, dtype in expected.items():
        if node[port].dtype is not dtype:
            return f"has {node[port].dtype.value} elements in '{node[port].name}', expected {dtype.value}"
    for port in _CONSTANTS:
        if not node[port].is_const:
            return f"has weights '{node[port].name}' that are computed when the model runs"
    return ""
