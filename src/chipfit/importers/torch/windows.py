"""Layers with windows: convolutions, pools, resizing, pixel shuffles. Channels are first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.graph import Value
from chipfit.importers._channels_first import Window
from chipfit.importers.torch.call import Absent, CallImporter, Function
from chipfit.ops._window import same_pads


def _spread(numbers: Sequence[int], axes: int) -> tuple[int, ...]:
    """One number for each axis; a single one counts for all."""
    return tuple(numbers) * axes if len(numbers) == 1 else tuple(numbers)


def _batched(o: CallImporter, x: Value, axes: int) -> Value:
    """x with an axis of samples; torch takes images without one, too."""
    return o.reshape(x, (1, *x.shape)) if len(x.shape) == axes + 1 else x


def _unbatched(o: CallImporter, y: Value) -> Value:
    return y if y.shape == o.shape else o.reshape(y, o.shape)


# ---------------------------------------------------------------------------------------------- convolutions


def _padding(o: CallImporter, x: Value, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Any:
    """(before, after) of each axis. ``same`` is meant for stride 1."""
    padding = o.get("padding", 0)
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding == "same":
        return tuple(
            same_pads(size, k, s, d) for size, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)
        )
    return tuple((n, n) for n in _spread(o.ints("padding"), len(kernel)))


def _conv(o: CallImporter) -> Value:
    w, b = o.operand("weight"), o.optional("bias")
    if o.flag("transposed"):
        return _conv_transpose(o)
    axes = len(w.shape) - 2
    x = _batched(o, o.real, axes)
    kernel, stride, dilation = w.shape[2:], _spread(o.ints("stride"), axes), _spread(o.ints("dilation"), axes)
    window = Window(kernel, stride, dilation, _padding(o, x, kernel, stride, dilation))
    return _unbatched(o, o.channels.conv(x, w, b, window, int(o.get("groups", 1)), o.base))


def _conv_transpose(o: CallImporter) -> Value:
    w, b = o.operand("weight"), o.optional("bias")
    axes = len(w.shape) - 2
    x = _batched(o, o.real, axes)
    pads = tuple((n, n) for n in _spread(o.ints("padding"), axes))
    window = Window(w.shape[2:], _spread(o.ints("stride"), axes), _spread(o.ints("dilation"), axes), pads)
    extra = _spread(o.ints("output_padding", (0,)), axes)
    return _unbatched(o, o.channels.conv_transpose(x, w, b, window, int(o.get("groups", 1)), extra, o.base))


# ---------------------------------------------------------------------------------------------- pools


def _pool_window(o: CallImporter) -> tuple[Value, Window]:
    kernel = o.ints("kernel_size")
    axes = max(len(kernel), len(o.ints("stride")), len(o.ints("padding")), len(o.x.shape) - 2)
    kernel = _spread(kernel, axes)
    stride = _spread(o.ints("stride") or kernel, axes)
    pads = tuple((n, n) for n in _spread(o.ints("padding", (0,)), axes))
    return _batched(o, o.real, axes), Window(kernel, stride, _spread(o.ints("dilation", (1,)), axes), pads)


def _max_pool(o: CallImporter) -> Value:
    x, window = _pool_window(o)
    return _unbatched(o, o.channels.max_pool(x, window, o.base, o.flag("ceil_mode")))


def _max_pool_with_indices(o: CallImporter) -> list[Any]:
    return [_max_pool(o), Absent("where the maxima of a pool lie")]


def _average_pool(o: CallImporter) -> Value:
    if o.get("divisor_override") is not None:
        raise ChipfitError("O002", "divisor_override cannot be compiled", "multiply by a constant after the pool")
    x, window = _pool_window(o)
    count_pads = bool(o.get("count_include_pad", True))
    return _unbatched(o, o.channels.average_pool(x, window, o.base, o.flag("ceil_mode"), count_pads))


def _adaptive_window(o: CallImporter, x: Value, size: Sequence[int]) -> Window:
    """Windows of one size, without overlap. Raises ChipfitError O002 where they would differ."""
    spatial = x.shape[2:]
    if any(n % out for n, out in zip(spatial, size, strict=True)):
        hint = f"choose a size that divides {list(spatial)}"
        raise ChipfitError("O002", f"windows of {list(spatial)} to {list(size)} differ in size", hint)
    kernel = tuple(n // out for n, out in zip(spatial, size, strict=True))
    return Window(kernel, kernel)


def _adaptive(op: str, reduction: str) -> Function:
    def function(o: CallImporter) -> Value:
        axes = int(op[-1])
        x = _batched(o, o.real, axes)
        size = tuple(n if n is not None else x.shape[2 + i] for i, n in enumerate(o.args["output_size"]))
        if all(n == 1 for n in size):
            return _unbatched(o, o.channels.global_pool(reduction, x, o.base))
        if size == x.shape[2:]:
            return o.x
        pool = o.channels.average_pool if reduction == "mean" else o.channels.max_pool
        return _unbatched(o, pool(x, _adaptive_window(o, x, size), o.base))

    return function


def _adaptive_max(axes: int) -> Function:
    function = _adaptive(f"max{axes}", "reduce_max")
    return lambda o: [function(o), Absent("where the maxima of a pool lie")]


# ---------------------------------------------------------------------------------------------- sizes


def _nearest(o: CallImporter) -> Value:
    """The pixel that begins at or before the position."""
    return o.channels.resize(o.real, "nearest", o.shape[2:], o.base)


def _nearest_exact(o: CallImporter) -> Value:
    """The pixel whose centre is the nearest."""
    return o.channels.resize(o.real, "nearest", o.shape[2:], o.base, half_pixel_centers=True)


def _linear(o: CallImporter) -> Value:
    """Sizes are integers here, so that a scale factor that they do not show is refused."""
    x, align = o.real, o.flag("align_corners")
    scales: list[float] = [float(s) for s in o.get("scale_factors", [])]
    if not align and any(s * n != out for s, n, out in zip(scales, x.shape[2:], o.shape[2:], strict=False)):
        hint = "give interpolate a size, or recompute_scale_factor=True"
        raise ChipfitError("O002", f"scale factors {scales} of {list(x.shape[2:])} to {list(o.shape[2:])}", hint)
    positions = {"align_corners": align, "half_pixel_centers": not align}
    return o.channels.resize(x, "bilinear", o.shape[2:], o.base, **positions)


def _pixel_shuffle(o: CallImporter) -> Value:
    x = _batched(o, o.real, 2)
    factor = int(o.args["upscale_factor"])
    return _unbatched(o, o.channels.depth_to_space(x, factor, o.base, channels_first=True))


def _pixel_unshuffle(o: CallImporter) -> Value:
    x = _batched(o, o.real, 2)
    factor = int(o.args["downscale_factor"])
    return _unbatched(o, o.channels.space_to_depth(x, factor, o.base, channels_first=True))


WINDOWS: dict[str, Function] = {
    **dict.fromkeys(("conv1d", "conv2d", "convolution"), _conv),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d"), _conv_transpose),
    **dict.fromkeys(("max_pool1d", "max_pool2d"), _max_pool),
    **dict.fromkeys(("max_pool1d_with_indices", "max_pool2d_with_indices"), _max_pool_with_indices),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d"), _average_pool),
    "adaptive_avg_pool1d": _adaptive("avg1", "mean"),
    **dict.fromkeys(("adaptive_avg_pool2d", "_adaptive_avg_pool2d"), _adaptive("avg2", "mean")),
    "adaptive_max_pool1d": _adaptive_max(1),
    "adaptive_max_pool2d": _adaptive_max(2),
    **dict.fromkeys(("upsample_nearest1d", "upsample_nearest2d"), _nearest),
    **dict.fromkeys(("_upsample_nearest_exact1d", "_upsample_nearest_exact2d"), _nearest_exact),
    **dict.fromkeys(("upsample_linear1d", "upsample_bilinear2d"), _linear),
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
}
