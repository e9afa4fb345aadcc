"""Layers that move elements: padding, cropping, reshaping; and those that do nothing when a model runs."""

from __future__ import annotations

import math

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Shape, Value
from chipfit.importers.keras.layer import Function, LayerImporter


def _pairs(setting: object) -> list[tuple[int, int]]:
    """(before, after) for each axis, from the forms of a layer: (a, b) for one axis, ((a, b), (c, d)) for two."""
    flat = [int(n) for n in np.ravel(np.asarray(setting))]
    return list(zip(flat[::2], flat[1::2], strict=True))


def _around(o: LayerImporter, x: Value, setting: object) -> list[tuple[int, int]]:
    """The same for all axes of x: those that are no rows or columns have (0, 0)."""
    pairs = _pairs(setting)
    if len(x.shape) != len(pairs) + 2:
        raise ChipfitError("O002", f"its input '{x.name}' is {x.type}, {len(pairs) + 2} dimensions are expected")
    return [(0, 0), (0, 0), *pairs] if o.channels_first else [(0, 0), *pairs, (0, 0)]


def zero_padding(o: LayerImporter) -> Value:
    x = o.x
    around = _around(o, x, o.layer.padding)
    if not o.channels_first:
        return o.emit("pad", [x], pads=tuple(around))
    pads = (around[0], *around[2:], around[1])
    return o.channels_last(x, lambda v: o.emit("pad", [v], pads=pads))


def cropping(o: LayerImporter) -> Value:
    x = o.x
    around = _around(o, x, o.layer.cropping)
    size = tuple(n - before - after for n, (before, after) in zip(x.shape, around, strict=True))
    if min(size) < 1:
        raise ChipfitError("O002", f"cropping={o.layer.cropping} leaves nothing of '{x.name}' ({x.type})")
    return o.emit("slice", [x], begin=tuple(before for before, _ in around), size=size)


def resolved(x: Value, wanted: Shape) -> Shape:
    """A shape with its one -1 replaced by what is left of the elements of x."""
    if -1 not in wanted:
        return wanted
    rest = math.prod(d for d in wanted if d != -1)
    if rest <= 0 or x.type.size % rest:
        raise ChipfitError("O002", f"'{x.name}' ({x.type}) cannot have the shape {list(wanted)}")
    return tuple(x.type.size // rest if d == -1 else d for d in wanted)


def _reshape(o: LayerImporter) -> Value:
    x = o.x
    target = tuple(-1 if d is None else int(d) for d in o.layer.target_shape)
    return o.reshape(x, resolved(x, (x.shape[0], *target)))


def _flatten(o: LayerImporter) -> Value:
    """Channels of the layout channels_first are moved to the end first, as Keras does."""
    x = o.x
    rank = len(x.shape)
    if o.channels_first and rank > 2:
        x = o.transpose(x, [0, *range(2, rank), 1])
    return o.reshape(x, (x.shape[0], math.prod(x.shape[1:])))


def _repeat_vector(o: LayerImporter) -> Value:
    """Rows of an image that is made higher are copies."""
    x, count = o.x, int(o.layer.n)
    n, channels = x.shape
    high = o.emit("resize_nearest", [o.reshape(x, (n, 1, 1, channels))], size=(count, 1))
    return o.reshape(high, (n, count, channels))


def _embedding(o: LayerImporter) -> Value:
    if o.layer.mask_zero:
        raise o.refuse("mask_zero", "use mask_zero=False: masks are not followed")
    table = o.weight("embeddings", lambda: o.variable("embeddings"))
    return o.emit("gather", [table, o.cast(o.x, DType.INT32)])


def _time_distributed(o: LayerImporter) -> Value:
    """The steps are samples to the layer within."""
    x = o.x
    n, steps = x.shape[:2]
    y = o.apply(o.layer.layer, o.reshape(x, (n * steps, *x.shape[2:])))
    return o.reshape(y, (n, steps, *y.shape[1:]))


def _nothing(o: LayerImporter) -> Value:
    return o.x


_IDLE = (
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "GaussianDropout",
    "GaussianNoise",
    "AlphaDropout",
    "ActivityRegularization",
    "Identity",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "RandomContrast",
    "RandomBrightness",
)
"""Layers that only act while a model is trained."""

SHAPES: dict[str, Function] = {
    "ZeroPadding1D": zero_padding,
    "ZeroPadding2D": zero_padding,
    "Cropping1D": cropping,
    "Cropping2D": cropping,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Permute": lambda o: o.transpose(o.x, [0, *(int(d) for d in o.layer.dims)]),
    "RepeatVector": _repeat_vector,
    "Embedding": _embedding,
    "TimeDistributed": _time_distributed,
    **dict.fromkeys(_IDLE, _nothing),
}
