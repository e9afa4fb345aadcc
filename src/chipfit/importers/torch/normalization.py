"""Normalizations: by statistics of training, which fold into the layer before, or of the numbers themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Value
from chipfit.importers._compose import over_deviation, standardized
from chipfit.importers.torch.call import Absent, CallImporter, Function

_EVALUATE = "export the model in evaluation mode: module.eval()"


def _batch_norm(o: CallImporter) -> Value:
    x = o.real
    mean, variance = o.array("running_mean"), o.array("running_var")
    if o.flag("training") or mean is None or variance is None:
        hint = _EVALUATE if mean is not None else "use track_running_stats=True, the default"
        raise ChipfitError("O002", "it normalizes by the statistics of the batch that it sees", hint)
    gamma, beta = o.array("weight"), o.array("bias")
    gamma = np.ones_like(mean) if gamma is None else gamma
    beta = np.zeros_like(mean) if beta is None else beta
    return o.channels.batch_norm(x, gamma, beta, mean, variance, float(o.args["eps"]), o.base)


def _with_statistics(function: Function) -> Function:
    """The forms that also give mean and deviation."""
    return lambda o: [function(o), Absent("the mean of a normalization"), Absent("the deviation of a normalization")]


def _standard(o: CallImporter, x: Value, axes: Sequence[int]) -> Value:
    """(x - mean) / sqrt(variance + epsilon)."""
    return standardized(o, x, axes, float(o.args["eps"]))


def _scaled(o: CallImporter, x: Value, weight: Array | None, bias: Array | None) -> Value:
    """x * weight + bias, whose axes are the last ones of x."""
    for op, name, data in (("mul", "weight", weight), ("add", "bias", bias)):
        if data is not None:
            x = o.emit(op, [x, o.with_rank(o.operand(name), len(x.shape))])
    return x


def _layer_norm(o: CallImporter) -> Value:
    x, rank = o.real, len(o.shape)
    axes = range(rank - len(o.ints("normalized_shape")), rank)
    return _scaled(o, _standard(o, x, axes), o.array("weight"), o.array("bias"))


def _rms_norm(o: CallImporter) -> Value:
    """Source: torch rms_norm, whose epsilon is by default that of the element type."""
    x, rank = o.real, len(o.shape)
    axes = range(rank - len(o.ints("normalized_shape")), rank)
    epsilon = float(o.get("eps", np.finfo(np.float32).eps))
    return _scaled(o, over_deviation(o, x, axes, epsilon), o.array("weight"), None)


def _of_channels(o: CallImporter, x: Value) -> Value:
    """x * weight + bias, one of each for a channel (axis 1)."""
    weight, bias = o.array("weight"), o.array("bias")
    return x if weight is None and bias is None else o.channels.scale(x, weight, bias, o.base)


def _group_norm(o: CallImporter) -> Value:
    """The channels of a group and their pixels are one row."""
    x = o.real
    groups = int(o.get("num_groups", o.get("group", 1)))
    rows = o.reshape(x, (x.shape[0], groups, x.type.size // (x.shape[0] * groups)))
    return _of_channels(o, o.reshape(_standard(o, rows, (2,)), x.shape))


def _instance_norm(o: CallImporter) -> Value:
    if not o.flag("use_input_stats"):
        return _batch_norm(o)
    x = o.real
    return _of_channels(o, _standard(o, x, range(2, len(x.shape))))


NORMALIZATION: dict[str, Any] = {
    "batch_norm": _batch_norm,
    "native_batch_norm": _with_statistics(_batch_norm),
    "_native_batch_norm_legit": _with_statistics(_batch_norm),
    "_native_batch_norm_legit_functional": _with_statistics(_batch_norm),
    "_native_batch_norm_legit_no_training": _with_statistics(_batch_norm),
    "layer_norm": _layer_norm,
    "native_layer_norm": _with_statistics(_layer_norm),
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
    "native_group_norm": _with_statistics(_group_norm),
    "instance_norm": _instance_norm,
}
