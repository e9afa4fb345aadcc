"""The integer LSTM layer of TFLite: scales of its gates, its meaning, and the checks that its form asks for.

Gates come in the order i (input), f (forget), g (cell), o (output). Their sums count in units of 2**-12, what their
functions give in units of 2**-15, both int16; the cell state is int16 with a scale that is a power of two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import (
    INT32_MAX,
    Int,
    logistic_of_scaled,
    multiply_by_quantized_multiplier,
    multiply_wide_by_quantized_multiplier,
    quantize_multiplier,
    requantize,
    saturate16,
    tanh_of_scaled,
)
from chipfit.graph import Array, DType, Node, Value
from chipfit.ops._layers_s16 import GREATEST_SHIFT
from chipfit.ops._types import require_per_tensor

GATES = "ifgo"
INPUT_WEIGHTS = tuple("w" + g for g in GATES)
HIDDEN_WEIGHTS = tuple("r" + g for g in GATES)
BIASES = tuple("b" + g for g in GATES)

_SUM_SCALE = 2.0**-12
_FUNCTION_SCALE = 2.0**-15
_POWERS = range(-28, 3)
"""Of the cell state's scale: above them the input of tanh leaves 32 bits, below them products are scaled up."""

_KINDS = {
    DType.FLOAT32: (DType.FLOAT32, DType.FLOAT32, DType.FLOAT32),
    DType.INT8: (DType.INT8, DType.INT32, DType.INT16),
    DType.INT16: (DType.INT8, DType.INT64, DType.INT16),
}
"""Element type of the activations -> those of weights, biases, cell state."""

Scale = tuple[int, int]
"""``(m, shift)`` of :func:`quantize_multiplier`."""


@dataclass(frozen=True)
class LstmScales:
    """x, h: of the sums over inputs and over the hidden state, for each gate.

    forget, update, output: of the products forget gate * cell state, input gate * cell gate, output gate * tanh.
    tanh: ``(m, shift)``: cell states times ``m * 2**-shift`` are the scaled input of tanh (see _sigmoid.py).
    """

    x: tuple[Scale, ...]
    h: tuple[Scale, ...]
    forget: Scale
    update: Scale
    output: Scale
    tanh: Scale
    cell_range: tuple[int, int]


def weights_of(node: Node, ports: Sequence[str]) -> Array:
    """Constants of the four gates, gates first."""
    return np.stack([node[port].array for port in ports])


def lstm_scales(node: Node) -> LstmScales:
    """Source: TFLite Micro ``PrepareGateParametersInteger``, ``CreateLstmCellStateInfo``, ``Tanh`` (lstm_eval)."""
    cell, hidden = node["c"].q.s, node["h"].q.s
    power = _power(node["c"])
    return LstmScales(
        _sum_scales(node, node["x"], INPUT_WEIGHTS),
        _sum_scales(node, node["h"], HIDDEN_WEIGHTS),
        quantize_multiplier(_FUNCTION_SCALE * cell / cell),
        quantize_multiplier(_FUNCTION_SCALE**2 / cell),
        quantize_multiplier(_FUNCTION_SCALE**2 / hidden),
        (3 << (power + 12), 0) if power >= -12 else (3, -power - 12),
        _cell_range(node),
    )


def _sum_scales(node: Node, x: Value, ports: Sequence[str]) -> tuple[Scale, ...]:
    return tuple(quantize_multiplier(x.q.s * node[port].q.s / _SUM_SCALE) for port in ports)


def _cell_range(node: Node) -> tuple[int, int]:
    """Cell states are clipped at both sides by a positive ``cell_clip``, else by their 16 bits."""
    clip = float(np.float32(node.op.attributes()["cell_clip"]))
    low, high = node["c"].dtype.range
    if clip <= 0:
        return low, high
    greatest = int(min(clip / node["c"].q.s, high))
    return -greatest, greatest


def _power(c: Value) -> int:
    return math.frexp(c.q.s)[1] - 1


def eval_lstm_int(node: Node, x: Array, h: Array, c: Array) -> tuple[Int, Int, Int]:
    """x: (steps, batch, in); h, c: (batch, units). Gives y (steps, batch, units) and the next h and c."""
    scales, y_type = lstm_scales(node), node["y"].type
    w, r, b = (weights_of(node, ports) for ports in (INPUT_WEIGHTS, HIDDEN_WEIGHTS, BIASES))
    from_inputs = _gate_sums(node["x"], x, w, scales.x, b)
    hidden, cell = h.astype(np.int64), c.astype(np.int64)
    outputs: list[Int] = []
    for given in from_inputs:
        sums = saturate16(given + _gate_sums(node["h"], hidden, r, scales.h))
        i, f, o = (logistic_of_scaled(3 * sums[..., gate, :]) for gate in (0, 1, 3))
        g = tanh_of_scaled(3 * sums[..., 2, :])
        kept = saturate16(multiply_by_quantized_multiplier(f * cell, *scales.forget))
        added = saturate16(multiply_by_quantized_multiplier(i * g, *scales.update))
        cell = np.clip(saturate16(kept + added), *scales.cell_range)
        m, shift = scales.tanh
        bent = tanh_of_scaled((cell * m + ((1 << shift) >> 1)) >> shift)
        hidden = requantize(bent * o, *scales.output, node["h"].q.zp, *y_type.dtype.range)
        outputs.append(hidden)
    return np.stack(outputs), hidden, cell


def _gate_sums(x: Value, elements: Array, w: Array, scales: tuple[Scale, ...], b: Array | None = None) -> Int:
    """Sums of each gate as int16; elements: (..., n); w: (gates, units, n). Gives (..., gates, units)."""
    gates, units, n = w.shape
    # float64 holds every sum exactly: products are below 2**23, and there are fewer than 2**30
    acc = (elements.astype(np.float64) - x.q.zp) @ w.reshape(-1, n).T.astype(np.float64)
    sums = acc.astype(np.int64).reshape(*elements.shape[:-1], gates, units)
    if b is not None:
        sums = sums + b.astype(np.int64)
    m, shift = (np.array(numbers)[:, None] for numbers in zip(*scales, strict=True))
    is_wide = x.dtype is DType.INT16
    multiply = multiply_wide_by_quantized_multiplier if is_wide else multiply_by_quantized_multiplier
    return saturate16(multiply(sums, m, shift))


def starts_of_sums(node: Node) -> tuple[Int, Int]:
    """What the int8 sums of each gate start from, so that no zero point is left: (gates, units), of x and of h."""
    w, r, b = (weights_of(node, ports).astype(np.int64) for ports in (INPUT_WEIGHTS, HIDDEN_WEIGHTS, BIASES))
    return b - node["x"].q.zp * w.sum(axis=2), -node["h"].q.zp * r.sum(axis=2)


def greatest_sum(node: Node) -> int:
    """A bound of the magnitude of the int8 sums, on the way, too."""
    weights = [weights_of(node, ports).astype(np.int64) for ports in (INPUT_WEIGHTS, HIDDEN_WEIGHTS)]
    return max(
        int((np.abs(start) + 128 * np.abs(w).sum(axis=2)).max())
        for start, w in zip(starts_of_sums(node), weights, strict=True)
    )


def check_lstm(node: Node) -> None:
    """Raise O002 where the element types, scales or constants are not those of a form that TFLite Micro has."""
    problem = _problem(node)
    if problem:
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}' {problem}",
            "convert the model with full int8 or 16x8 quantization, or leave it in float32",
        )
    if node["x"].dtype is not DType.FLOAT32:
        for port in ("x", "h", "c", *INPUT_WEIGHTS, *HIDDEN_WEIGHTS):
            require_per_tensor(node, node[port])
        problem = _scale_problem(node)
        if problem:
            raise ChipfitError("O002", f"{node.op.name} '{node.name}' {problem}", "calibrate the model again")


def _problem(node: Node) -> str:
    kinds = _KINDS.get(node["x"].dtype)
    if kinds is None:
        return f"has {node['x'].dtype.value} inputs '{node['x'].name}'; int8, int16 or float32 can be compiled"
    weights, bias, cell = kinds
    expected = dict.fromkeys((*INPUT_WEIGHTS, *HIDDEN_WEIGHTS), weights)
    expected |= dict.fromkeys(BIASES, bias) | dict.fromkeys(("c", "cn"), cell)
    expected |= dict.fromkeys(("h", "hn", "y"), node["x"].dtype)
    for port, dtype in expected.items():
        if node[port].dtype is not dtype:
            return f"has {node[port].dtype.value} elements in '{node[port].name}', expected {dtype.value}"
    for port in (*INPUT_WEIGHTS, *HIDDEN_WEIGHTS, *BIASES):
        if not node[port].is_const:
            return f"has weights '{node[port].name}' that are computed when the model runs"
    for first, second in (("h", "hn"), ("h", "y"), ("c", "cn")):
        if node[first].type.quant != node[second].type.quant:
            return f"has other scales in '{node[second].name}' ({node[second].type}) than in its state " + (
                f"'{node[first].name}' ({node[first].type})"
            )
    return ""


def _scale_problem(node: Node) -> str:
    c, x = node["c"], node["x"]
    for port in (*INPUT_WEIGHTS, *HIDDEN_WEIGHTS, "c"):
        if node[port].q.zp != 0:
            return f"has the zero point {node[port].q.zp} in '{node[port].name}', expected 0"
    if x.dtype is DType.INT16 and (x.q.zp or node["h"].q.zp):
        return f"has int16 activations with zero points {x.q.zp} and {node['h'].q.zp}, expected 0"
    if math.frexp(c.q.s)[0] != 0.5 or _power(c) not in _POWERS:
        return f"has the scale {c.q.s:g} in its cell state '{c.name}', which must be a power of two from 2**-28 to 4"
    scales = lstm_scales(node)
    if scales.output[1] >= 0:
        return f"has the scale {node['h'].q.s:g} in its hidden state '{node['h'].name}', expected 2**-29 to 2"
    if x.dtype is DType.INT16 and max(shift for _, shift in (*scales.x, *scales.h)) > GREATEST_SHIFT:
        return f"scales its sums by more than 2**{GREATEST_SHIFT}"
    if x.dtype is DType.INT8 and greatest_sum(node) > INT32_MAX:
        return f"has sums up to {greatest_sum(node):,}, which leave 32 bits"
    return ""
