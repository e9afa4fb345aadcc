"""Normalizations whose statistics come from the input itself: made of operators that are quantized well, one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chipfit.graph import Array, Shape, Value
from chipfit.importers._compose import over_deviation, standardized
from chipfit.importers.keras.layer import Function, LayerImporter

_LEAST_SQUARE = 1e-24
"""Of a vector that is divided by its length. Source: keras ``UnitNormalization``, whose least length is 1e-12."""


def scaled(o: LayerImporter, x: Value, scale: Array, offset: Array) -> Value:
    """x * scale + offset; factors of 1 and offsets of 0 are left out."""
    if np.any(scale != 1):
        x = o.emit("mul", [x, o.weight("scale", lambda: scale)])
    if np.any(offset != 0):
        x = o.emit("add", [x, o.weight("offset", lambda: offset)])
    return x


def _axes(o: LayerImporter, rank: int, setting: int | Sequence[int]) -> tuple[int, ...]:
    axes = (setting,) if isinstance(setting, int) else tuple(setting)
    return tuple(sorted({o.axis(int(a), rank) for a in axes}))


def _along(shape: Shape, axes: Sequence[int], parameter: Array) -> Array:
    """A parameter of these axes of a tensor, with as many axes as are needed to broadcast it."""
    kept = [size if axis in axes else 1 for axis, size in enumerate(shape)]
    return parameter.reshape(kept[min(axes) :])


def _parameters(o: LayerImporter, shape: Shape, axes: Sequence[int]) -> tuple[Array, Array]:
    """Factors and offsets; 1 and 0 where the layer has none."""
    gamma = _along(shape, axes, o.variable("gamma")) if o.layer.scale else np.ones(1)
    return gamma, _along(shape, axes, o.variable("beta")) if o.layer.center else np.zeros(1)


def _layer_normalization(o: LayerImporter) -> Value:
    x = o.real(o.x)
    if getattr(o.layer, "rms_scaling", False):
        raise o.refuse("rms_scaling", "use RMSNormalization")
    axes = _axes(o, len(x.shape), o.layer.axis)
    return scaled(o, standardized(o, x, axes, float(o.layer.epsilon)), *_parameters(o, x.shape, axes))


def _rms_normalization(o: LayerImporter) -> Value:
    x = o.real(o.x)
    axes = _axes(o, len(x.shape), o.layer.axis)
    y = over_deviation(o, x, axes, float(o.layer.epsilon))
    return scaled(o, y, _along(x.shape, axes, o.variable("scale")), np.zeros(1))


def _unit_normalization(o: LayerImporter) -> Value:
    x = o.real(o.x)
    axes = _axes(o, len(x.shape), o.layer.axis)
    square = o.emit("sum", [o.emit("mul", [x, x])], axes=axes, keep_dims=True)
    least = o.emit("maximum", [square, o.number("least", _LEAST_SQUARE)])
    return o.emit("mul", [x, o.emit("rsqrt", [least])])


def _group_normalization(o: LayerImporter) -> Value:
    """The axis of channels becomes two: groups, and channels within a group, which share their statistics."""
    x = o.real(o.x)
    axis = o.axis(int(o.layer.axis), len(x.shape))
    groups = x.shape[axis] if o.layer.groups == -1 else int(o.layer.groups)
    split = (*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])
    reduced = tuple(i for i in range(1, len(split)) if i != axis)
    y = standardized(o, o.reshape(x, split), reduced, float(o.layer.epsilon))
    return scaled(o, o.reshape(y, x.shape), *_parameters(o, x.shape, (axis,)))


NORMALIZATIONS: dict[str, Function] = {
    "LayerNormalization": _layer_normalization,
    "RMSNormalization": _rms_normalization,
    "UnitNormalization": _unit_normalization,
    "GroupNormalization": _group_normalization,
}
