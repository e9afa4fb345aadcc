"""What the kernels of the LSTM layer are given (runtime/include/cf_lstm.h)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from chipfit.fixedpoint import LOGISTIC_TABLE, reduce_multiplier
from chipfit.graph import Array, DType, Node
from chipfit.ops._base import Arg, Call, Const, Port, Scratch
from chipfit.ops._dense_dsp import K, pairs_fit, pairs_stream, sums_fit
from chipfit.ops._lstm import (
    BIASES,
    HIDDEN_WEIGHTS,
    INPUT_WEIGHTS,
    greatest_sum,
    lstm_scales,
    starts_of_sums,
    weights_of,
)

Fields = Mapping[str, int | float | tuple[int, ...]]

_STATE: list[Arg] = [Port("h"), Port("c"), Port("y"), Port("hn"), Port("cn")]


def portable_call(node: Node) -> Call:
    """Arguments of ``cf_unidirectional_sequence_lstm_s8``, ``_s16`` and ``_f32``: the weights of a unit together."""
    weights = [_of_units(node, "w", INPUT_WEIGHTS), _of_units(node, "r", HIDDEN_WEIGHTS)]
    if node["x"].dtype is DType.FLOAT32:
        clip = float(np.float32(node.op.attributes()["cell_clip"]))
        return Call([Port("x"), *weights, _of_units(node, "b", BIASES), *_STATE], {**_shape(node), "cell_clip": clip})
    if node["x"].dtype is DType.INT16:
        starts = [_of_units(node, "b", BIASES)]
    else:
        pairs = zip(("b", "rb"), starts_of_sums(node), strict=True)
        starts = [Const(name, _units_first(start.astype(np.int32)), "weights") for name, start in pairs]
    args = [Port("x"), *weights, *starts, Const("table", LOGISTIC_TABLE), *_STATE]
    return Call(args, {**_shape(node), **_numbers(node)}, "cf_lstm_params")


def dsp_call(node: Node) -> Call:
    """Arguments of ``cf_unidirectional_sequence_lstm_s8_dsp``: one stream of weights, four gates at a time."""
    parts = [
        pairs_stream(_units_first(weights_of(node, ports)).astype(np.int64), K * _units_first(start))
        for ports, start in zip((INPUT_WEIGHTS, HIDDEN_WEIGHTS), starts_of_sums(node), strict=True)
    ]
    stream = Const("w", np.concatenate(parts, axis=1).astype(np.int32).reshape(-1), "weights")
    shape = _shape(node)
    scratch = Scratch(sum(-(-shape[n] // 8) * 16 for n in ("in", "units")))
    args = [Port("x"), stream, Const("table", LOGISTIC_TABLE), scratch, *_STATE]
    return Call(args, {**shape, **_numbers(node)}, "cf_lstm_params")


def dsp_reason(node: Node) -> bool | str:
    """True, or why ``cf_unidirectional_sequence_lstm_s8_dsp`` cannot be used."""
    scales = lstm_scales(node)
    reason = sums_fit(greatest_sum(node), max(shift for _, shift in (*scales.x, *scales.h)))
    if reason is not True:
        return reason
    for ports in (INPUT_WEIGHTS, HIDDEN_WEIGHTS):
        reason = pairs_fit(_units_first(weights_of(node, ports)).astype(np.int64))
        if reason is not True:
            return reason
    return True


def _of_units(node: Node, name: str, ports: tuple[str, ...]) -> Const:
    return Const(name, _units_first(weights_of(node, ports)), "weights")


def _units_first(gates: Array) -> Array:
    """(gates, units, ...) to (units, gates, ...)."""
    return np.ascontiguousarray(np.swapaxes(gates, 0, 1))


def _shape(node: Node) -> dict[str, int]:
    x, units = node["x"].shape, node["h"].shape[1]
    is_time_major = node.op.attributes()["time_major"]
    steps, batch = x[:2] if is_time_major else x[1::-1]
    step, sample = (batch, 1) if is_time_major else (1, steps)
    return {"batch": batch, "steps": steps, "in": x[2], "units": units, "step": step, "sample": sample}


def _numbers(node: Node) -> Fields:
    scales = lstm_scales(node)
    low, high = node["y"].dtype.range
    fields: dict[str, int | tuple[int, ...]] = {}
    for name, numbers in (("x", scales.x), ("h", scales.h)):
        fields["m_" + name] = tuple(_sum_multiplier(node, m) for m, _ in numbers)
        fields["shift_" + name] = tuple(shift for _, shift in numbers)
    # their multipliers are 2**30: the scales of these products are powers of two
    fields["shift_update"] = 1 - scales.update[1]
    fields["m_tanh"], fields["shift_tanh"] = scales.tanh
    fields["m_output"], fields["shift_output"] = scales.output[0], -scales.output[1]
    fields["cell_min"], fields["cell_max"] = scales.cell_range
    return {**fields, "out_zero": node["h"].q.zp, "out_min": low, "out_max": high}


def _sum_multiplier(node: Node, m: int) -> int:
    """Sums of 64 bits, those on int16 activations, have multipliers of 15 bits."""
    return int(reduce_multiplier(m)) if node["x"].dtype is DType.INT16 else m
