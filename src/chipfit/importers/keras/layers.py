"""The table of layers: the name of a Keras class -> the function that makes our nodes of it. And layers on numbers."""

from __future__ import annotations

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Value
from chipfit.importers.keras.activations import ACTIVATION_LAYERS, activate
from chipfit.importers.keras.attention import ATTENTION
from chipfit.importers.keras.layer import Function, LayerImporter
from chipfit.importers.keras.normalization import NORMALIZATIONS, scaled
from chipfit.importers.keras.recurrent import RECURRENT
from chipfit.importers.keras.shapes import SHAPES
from chipfit.importers.keras.windows import WINDOWS


def _dense(o: LayerImporter) -> Value:
    """Kernels of Keras are (in, out); the last axis of the input counts."""
    x = o.real(o.x)
    w = o.weight("kernel", lambda: o.variable("kernel").T)
    bias = o.weight("bias", lambda: o.variable("bias")) if o.layer.use_bias else None
    y = o.emit("fully_connected", [x, w, bias], keep_dims=len(x.shape) > 2)
    return activate(o, y, o.layer.activation)


def _batch_normalization(o: LayerImporter) -> Value:
    """A factor and an offset for each channel; they fold into a layer before it, where there is one."""
    layer, x = o.layer, o.real(o.x)
    if not isinstance(layer.axis, int):
        raise o.refuse("axis", "use one axis")
    mean, variance = o.variable("moving_mean").astype(np.float64), o.variable("moving_variance").astype(np.float64)
    scale = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        scale = scale * o.variable("gamma")
    offset = -mean * scale
    if layer.center:
        offset = offset + o.variable("beta")
    return o.along_last(x, layer.axis, lambda v: scaled(o, v, scale, offset))


def _per_channel(o: LayerImporter, setting: object) -> Array:
    """A setting of numbers as an array of at least one axis."""
    return np.atleast_1d(np.asarray(setting, np.float64))


def _rescaling(o: LayerImporter) -> Value:
    return scaled(o, o.real(o.x), _per_channel(o, o.layer.scale), _per_channel(o, o.layer.offset))


def _normalization(o: LayerImporter) -> Value:
    """(x - mean) / deviation. Source: keras Normalization, whose deviation is at least its epsilon."""
    layer = o.layer
    if getattr(layer, "mean", None) is None:
        raise ChipfitError("O002", "it has no mean yet", "call adapt() on typical data, or give it mean and variance")
    mean = np.atleast_1d(o.array(layer.mean).astype(np.float64))
    deviation = np.sqrt(np.atleast_1d(o.array(layer.variance).astype(np.float64)))
    deviation = np.maximum(deviation, o.model.keras.config.epsilon())
    if layer.invert:
        return scaled(o, o.real(o.x), deviation, mean)
    return scaled(o, o.real(o.x), 1 / deviation, -mean / deviation)


# ---------------------------------------------------------------------------------------------- several inputs


def merged_pair(o: LayerImporter, op: str, a: Value, b: Value) -> Value:
    return o.emit(op, [o.real(a), o.real(b)])


def _merge(op: str) -> Function:
    def function(o: LayerImporter) -> Value:
        inputs = _same_rank(o, o.inputs)
        y = inputs[0]
        for x in inputs[1:]:
            y = merged_pair(o, op, y, x)
        return y

    return function


def _same_rank(o: LayerImporter, inputs: list[Value]) -> list[Value]:
    """Keras broadcasts tensors of fewer axes from the second axis on."""
    rank = max(len(x.shape) for x in inputs)
    return [o.reshape(x, (x.shape[0], *([1] * (rank - len(x.shape))), *x.shape[1:])) for x in inputs]


def _average(o: LayerImporter) -> Value:
    return o.emit("mul", [_merge("add")(o), o.number("count", 1 / len(o.inputs))])  # type: ignore[list-item]


def _concatenate(o: LayerImporter) -> Value:
    inputs = o.inputs
    return o.emit("concatenation", inputs, axis=o.axis(int(o.layer.axis), len(inputs[0].shape)))


LAYERS: dict[str, Function] = {
    **WINDOWS,
    **SHAPES,
    **ACTIVATION_LAYERS,
    **ATTENTION,
    **NORMALIZATIONS,
    **RECURRENT,
    "Dense": _dense,
    "BatchNormalization": _batch_normalization,
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "Add": _merge("add"),
    "Subtract": _merge("sub"),
    "Multiply": _merge("mul"),
    "Maximum": _merge("maximum"),
    "Minimum": _merge("minimum"),
    "Average": _average,
    "Concatenate": _concatenate,
}

_CONV_LSTM = "use a TimeDistributed Conv2D and a GRU or LSTM behind it"

#: class -> the nearest thing the user can do
ADVICE: dict[str, str] = {
    **dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), _CONV_LSTM),
    **dict.fromkeys(("Conv3D", "Conv3DTranspose", "MaxPooling3D", "AveragePooling3D"), "use two of the three axes"),
    "Dot": "multiply the tensors (Multiply) and use a Dense layer for the sum",
    "Masking": "masks are not followed: give the model inputs of one length",
}
DEFAULT_ADVICE = "replace it by layers of docs/importing.md, or move it out of the model into the application"
