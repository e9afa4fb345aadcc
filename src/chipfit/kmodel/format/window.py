"""One side of a window that slides over an image."""

from __future__ import annotations

from typing import NamedTuple

from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.nodes_nhwc import CpuWindow, out_channels


class Axis(NamedTuple):
    """One side of a window."""

    size: int
    pads: tuple[int, int]
    taps: int
    stride: int
    dilation: int

    @property
    def positions(self) -> int:
        """How often the window fits."""
        return (self.size + sum(self.pads) - (self.taps - 1) * self.dilation - 1) // self.stride + 1

    def inside(self, tap: int) -> tuple[slice, slice]:
        """The positions at which a tap meets the image, and the pixels that it meets there."""
        shift = tap * self.dilation - self.pads[0]
        first = max(0, -(shift // self.stride))
        last = min(self.positions - 1, (self.size - 1 - shift) // self.stride)
        if last < first:
            return slice(0, 0), slice(0, 0)
        start = first * self.stride + shift
        return slice(first, last + 1), slice(start, start + (last - first) * self.stride + 1, self.stride)


Window = v4.Conv2D | v4.QuantizedConv2D | v4.ReduceWindow2D | v4.Conv2DTranspose | CpuWindow


def window_axes(node: Window) -> tuple[Axis, Axis]:
    """Rows and columns of what the windows slide over: the image, or the output of a transposed convolution."""
    if isinstance(node, CpuWindow):
        _, height, width, _ = node.shape
    else:
        _, _, height, width = node.out_shape if isinstance(node, v4.Conv2DTranspose) else node.shape
    return (
        Axis(height, node.pad_h, node.filter_h, node.stride_h, node.dilation_h),
        Axis(width, node.pad_w, node.filter_w, node.stride_w, node.dilation_w),
    )


def out_shape(node: CpuWindow) -> tuple[int, int, int, int]:
    """(n, h, w, c) of a result."""
    rows, columns = window_axes(node)
    return node.shape[0], rows.positions, columns.positions, out_channels(node)
