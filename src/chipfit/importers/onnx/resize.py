"""Resize and Upsample: where chipfit's operators read the same pixels with the same weights, and else a refusal."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Value
from chipfit.importers.onnx.node import Function, NodeImporter
from chipfit.importers.onnx.shapes import along

_MODES = ({}, {"half_pixel_centers": True}, {"align_corners": True})
_MOST = 1 << 16
"""Rows or columns that chipfit's operators count."""

_COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")
_FOR_NEAREST = ("tf_half_pixel_for_nn",)


def resize(o: NodeImporter) -> Value:
    x, mode = o.x, o.attribute("mode", "nearest")
    if o.attribute("antialias", 0):
        raise o.refuse("antialias", "use antialias=0")
    if o.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise o.refuse("keep_aspect_ratio_policy", "use stretch, or the sizes that it gives")
    target, scales = _target(o, x)
    return _resized(o, x, mode, target, scales, o.attribute("coordinate_transformation_mode", "half_pixel"))


def upsample(o: NodeImporter) -> Value:
    """The operator of opsets up to 9: sizes times scales, corners at zero."""
    x = o.x
    scales = [float(s) for s in (o.array(1, "scales").reshape(-1) if o.has(1) else o.attribute("scales", []))]
    target = tuple(math.floor(n * s) for n, s in zip(x.shape, _each(x, scales), strict=True))
    mode = o.attribute("mode", "nearest")
    return _resized(o, x, "linear" if mode in ("linear", "bilinear") else mode, target, scales, "asymmetric")


def _target(o: NodeImporter, x: Value) -> tuple[tuple[int, ...], list[float]]:
    """Sizes of the output, and by which factors they are larger."""
    rank = len(x.shape)
    axes = o.axes(o.attribute("axes", range(rank)), rank)
    if o.has(3):
        wanted = o.integers(3, "sizes")
        if len(wanted) != len(axes):
            raise ChipfitError("O002", f"sizes {list(wanted)} are not for {len(axes)} axes")
        target = list(x.shape)
        for axis, n in zip(axes, wanted, strict=True):
            target[axis] = n
        return tuple(target), [t / n for t, n in zip(target, x.shape, strict=True)]
    given = [float(s) for s in o.array(2 if o.opset > 10 else 1, "scales").reshape(-1)]
    scales = [1.0] * rank
    if len(given) != len(axes):
        raise ChipfitError("O002", f"scales {given} are not for {len(axes)} axes")
    for axis, scale in zip(axes, given, strict=True):
        scales[axis] = scale
    return tuple(math.floor(n * s) for n, s in zip(x.shape, scales, strict=True)), scales


def _each(x: Value, scales: Sequence[float]) -> Sequence[float]:
    if len(scales) != len(x.shape):
        raise ChipfitError("O002", f"scales {list(scales)} do not fit '{x.name}' ({x.type})")
    return scales


def _resized(
    o: NodeImporter, x: Value, mode: str, target: Sequence[int], scales: Sequence[float], coordinates: str
) -> Value:
    if o.opset == 10 and o.node.op_type == "Resize":
        coordinates = "asymmetric"
    if min(target, default=1) < 1 or max(target, default=1) > _MOST or min(scales, default=1) <= 0:
        raise ChipfitError("O002", f"'{x.name}' ({x.type}) is to become {list(target)}")
    if coordinates not in (*_COORDINATES, *_FOR_NEAREST):
        raise o.refuse("coordinate_transformation_mode", f"use one of {', '.join(_COORDINATES)}")
    if mode == "nearest":
        return _nearest(o, x, target, scales, coordinates)
    if mode != "linear":
        raise ChipfitError("O002", f"mode={mode!r} cannot be compiled", "use nearest or linear")
    return _linear(o, x, target, scales, coordinates)


def _positions(count: int, size: int, scale: float, coordinates: str) -> Array:
    """Where each element of the output lies in the input. Source: ONNX Resize."""
    i = np.arange(count, dtype=np.float64)
    if coordinates == "align_corners":
        return i * (size - 1) / (count - 1) if count > 1 else np.zeros(1)
    if coordinates == "asymmetric":
        return i / scale
    if coordinates == "tf_half_pixel_for_nn":
        return (i + 0.5) / scale
    if coordinates == "pytorch_half_pixel" and count == 1:
        return np.full(1, -0.5) if size == 1 else np.zeros(1)
    shift = 0.0
    if coordinates == "half_pixel_symmetric":
        shift = size / 2 * (1 - count / (size * scale))
    return (i + 0.5) / scale - 0.5 + shift


# ---------------------------------------------------------------------------------------------- nearest


def _nearest(o: NodeImporter, x: Value, target: Sequence[int], scales: Sequence[float], coordinates: str) -> Value:
    """By the operator where it picks the same pixels, else by constant indices along each axis."""
    picked = [_picked(o, _positions(t, n, s, coordinates), n) for t, n, s in zip(target, x.shape, scales, strict=True)]
    same = all(np.array_equal(p, np.arange(n)) for p, n in zip(picked[:2], x.shape[:2], strict=True))
    if len(x.shape) in (3, 4) and same:
        for options in _MODES:
            if all(
                np.array_equal(_chosen(t, n, **options), p)
                for t, n, p in zip(target[2:], x.shape[2:], picked[2:], strict=True)
            ):
                return o.model.channels.resize(x, "nearest", target[2:], o.base, **options)
    for axis, indices in enumerate(picked):
        x = along(o, x, axis, indices)
    return x


def _picked(o: NodeImporter, positions: Array, size: int) -> Array:
    mode = o.attribute(
        "nearest_mode", "floor" if o.node.op_type == "Upsample" or o.opset == 10 else "round_prefer_floor"
    )
    rounding = {
        "round_prefer_floor": lambda p: np.ceil(p - 0.5),
        "round_prefer_ceil": lambda p: np.floor(p + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    if mode not in rounding:
        raise o.refuse("nearest_mode", f"use one of {', '.join(rounding)}")
    return np.clip(rounding[mode](positions.round(9)), 0, size - 1).astype(np.int64)


def _chosen(count: int, size: int, align_corners: bool = False, half_pixel_centers: bool = False) -> Array:
    """The pixels that RESIZE_NEAREST_NEIGHBOR reads along one axis."""
    aligned = align_corners and count > 1
    scale = np.float32(size - 1 if aligned else size) / np.float32(count - 1 if aligned else count)
    positions = (np.arange(count, dtype=np.float32) + np.float32(0.5 if half_pixel_centers else 0)) * scale
    nearest = np.floor(positions + np.float32(0.5)) if align_corners else np.floor(positions)
    return np.clip(nearest, 0, size - 1).astype(np.int64)


# ---------------------------------------------------------------------------------------------- linear


def _linear(o: NodeImporter, x: Value, target: Sequence[int], scales: Sequence[float], coordinates: str) -> Value:
    hint = "use mode=nearest, or half_pixel, align_corners or asymmetric with sizes that the scales divide"
    if len(x.shape) not in (3, 4) or tuple(target[:2]) != x.shape[:2]:
        raise ChipfitError(
            "O002", f"'{x.name}' ({x.type}) to {list(target)}: one or two axes behind the channels", hint
        )
    wanted = [
        np.clip(_positions(t, n, s, coordinates), 0, n - 1)
        for t, n, s in zip(target[2:], x.shape[2:], scales[2:], strict=True)
    ]
    for options in _MODES:
        found = [_places(t, n, **options) for t, n in zip(target[2:], x.shape[2:], strict=True)]
        if all(np.allclose(a, b, rtol=0, atol=1e-5) for a, b in zip(wanted, found, strict=True)):
            return o.model.channels.resize(x, "bilinear", target[2:], o.base, **options)
    raise ChipfitError(
        "O002", f"coordinate_transformation_mode={coordinates!r} has no exact form for these sizes", hint
    )


def _places(count: int, size: int, align_corners: bool = False, half_pixel_centers: bool = False) -> Array:
    """Where RESIZE_BILINEAR reads along one axis."""
    aligned = align_corners and count > 1
    scale = (size - 1) / (count - 1) if aligned else size / count
    i = np.arange(count)
    return np.clip((i + 0.5) * scale - 0.5 if half_pixel_centers else i * scale, 0, size - 1)


RESIZE: dict[str, Function] = {"Resize": resize, "Upsample": upsample}
