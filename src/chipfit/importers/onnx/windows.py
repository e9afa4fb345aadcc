"""Convolutions, pools, and what else turns channels into pixels."""

from __future__ import annotations

from collections.abc import Sequence

from chipfit.errors import ChipfitError
from chipfit.graph import Value
from chipfit.importers._channels_first import Window
from chipfit.importers.onnx.node import Function, NodeImporter
from chipfit.ops._window import same_pads


def _numbers(o: NodeImporter, name: str, axes: int, default: int) -> tuple[int, ...]:
    found = tuple(int(n) for n in o.attribute(name, [default] * axes))
    if len(found) != axes:
        raise ChipfitError("O002", f"{name}={list(found)} for {axes} axes")
    return found


def window_of(o: NodeImporter, x: Value, kernel: Sequence[int]) -> Window:
    """Kernel, strides, dilations and padding, also that of ``auto_pad``."""
    axes = len(kernel)
    if len(x.shape) != axes + 2:
        raise ChipfitError("O002", f"its input '{x.name}' ({x.type}) does not fit a kernel of {list(kernel)}")
    stride, dilation = _numbers(o, "strides", axes, 1), _numbers(o, "dilations", axes, 1)
    return Window(tuple(kernel), stride, dilation, _pads(o, x.shape[2:], kernel, stride, dilation))


def _pads(
    o: NodeImporter, size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    axes, mode = len(kernel), o.attribute("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        flat = tuple(int(n) for n in o.attribute("pads", [0] * (2 * axes)))
        if len(flat) != 2 * axes:
            raise ChipfitError("O002", f"pads={list(flat)} for {axes} axes")
        return tuple(zip(flat[:axes], flat[axes:], strict=True))
    if mode == "VALID":
        return ((0, 0),) * axes
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise o.refuse("auto_pad", "use explicit pads")
    if min(*stride, *dilation) < 1:
        raise o.refuse("strides")
    found = [same_pads(n, k, s, d) for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)]
    return tuple((a, b) if mode == "SAME_UPPER" else (b, a) for a, b in found)


def conv(o: NodeImporter) -> Value:
    x, w = o.x, o.weights(1)
    window = window_of(o, x, w.shape[2:])
    return o.model.channels.conv(x, w, o.value(2) if o.has(2) else None, window, int(o.attribute("group", 1)), o.base)


def conv_transpose(o: NodeImporter) -> Value:
    x, w = o.x, o.weights(1)
    kernel, groups = w.shape[2:], int(o.attribute("group", 1))
    axes = len(kernel)
    extra = list(_numbers(o, "output_padding", axes, 0))
    wanted = o.attribute("output_shape")
    if wanted is None and o.attribute("auto_pad", "NOTSET") in ("NOTSET", "VALID", ""):
        window = window_of(o, x, kernel)
    else:
        window, extra = _with_output(o, x, kernel, extra, wanted)
    return o.model.channels.conv_transpose(x, w, o.value(2) if o.has(2) else None, window, groups, extra, o.base)


def _with_output(
    o: NodeImporter, x: Value, kernel: Sequence[int], extra: list[int], wanted: Sequence[int] | None
) -> tuple[Window, list[int]]:
    """The padding that gives outputs of a size: the one that is asked for, or that of the input times the stride."""
    axes = len(kernel)
    if len(x.shape) != axes + 2:
        raise ChipfitError("O002", f"its input '{x.name}' ({x.type}) does not fit a kernel of {list(kernel)}")
    stride, dilation = _numbers(o, "strides", axes, 1), _numbers(o, "dilations", axes, 1)
    sizes = [n * s for n, s in zip(x.shape[2:], stride, strict=True)] if wanted is None else [int(n) for n in wanted]
    pads: list[tuple[int, int]] = []
    for i, size in enumerate(sizes[-axes:]):
        total = (x.shape[2 + i] - 1) * stride[i] + extra[i] + (kernel[i] - 1) * dilation[i] + 1 - size
        extra[i] += max(0, -total)
        total = max(0, total)
        half = total // 2
        upper = o.attribute("auto_pad", "NOTSET") == "SAME_UPPER"
        pads.append((half, total - half) if upper else (total - half, half))
    return Window(tuple(kernel), stride, dilation, tuple(pads)), extra


def _pool_window(o: NodeImporter, x: Value) -> Window:
    kernel = o.attribute("kernel_shape")
    if kernel is None:
        raise ChipfitError("F003", "it has no kernel_shape")
    return window_of(o, x, [int(n) for n in kernel])


def max_pool(o: NodeImporter) -> list[Value]:
    """The second output, indices, is not there: whoever reads it finds that out."""
    if len(o.node.output) > 1 and o.node.output[1]:
        raise ChipfitError("O002", "the indices of its maxima are asked for", "use the first output alone")
    if o.attribute("storage_order", 0):
        raise o.refuse("storage_order")
    x = o.x
    return [o.model.channels.max_pool(x, _pool_window(o, x), o.base, bool(o.attribute("ceil_mode", 0)))]


def average_pool(o: NodeImporter) -> Value:
    x = o.x
    window, ceil_mode = _pool_window(o, x), bool(o.attribute("ceil_mode", 0))
    return o.model.channels.average_pool(x, window, o.base, ceil_mode, bool(o.attribute("count_include_pad", 0)))


def global_pool(op: str) -> Function:
    return lambda o: o.model.channels.global_pool(op, o.x, o.base)


def depth_to_space(o: NodeImporter) -> Value:
    mode = o.attribute("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        raise o.refuse("mode", "use DCR or CRD")
    return o.model.channels.depth_to_space(o.x, int(o.attribute("blocksize", 0)), o.base, channels_first=mode == "CRD")


def space_to_depth(o: NodeImporter) -> Value:
    return o.model.channels.space_to_depth(o.x, int(o.attribute("blocksize", 0)), o.base)


WINDOWS: dict[str, Function] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalMaxPool": global_pool("reduce_max"),
    "GlobalAveragePool": global_pool("mean"),
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
