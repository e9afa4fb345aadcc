"""Convolutions and fully connected layers as sums over columns, for many samples at once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._activation import activation_float
from chipfit.ops._transpose_conv import transposed_sums, transposed_windows
from chipfit.ops._window import windows
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.transpose_conv import TransposeConv

LAYERS = (Conv2D, DepthwiseConv2D, FullyConnected, TransposeConv)
"""Operators with weights."""

SMALL_LAYERS = (Conv2D, DepthwiseConv2D, FullyConnected)
"""Those whose weights alone can be small, with float32 activations."""

_SUM_ELEMENTS = 1 << 20
"""Elements of a result that are in work at a time."""


def activated(node: Node, sums: Array) -> Array:
    """The fused activation of a node, on real numbers."""
    return activation_float(node.op.attributes()["act"], sums)


class Layer:
    """A layer with constant weights. ``groups`` of output channels read different columns of the input."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.depthwise = isinstance(node.op, DepthwiseConv2D)
        w = node["w"]
        self.channel_axis = 3 if self.depthwise else 0
        self.channels = w.shape[self.channel_axis]
        """Output channels."""

    @cached_property
    def bias(self) -> Array:
        """(channels,), float32; zeros where there is none."""
        b = self.node.get("b")
        return np.zeros(self.channels, np.float32) if b is None else b.array.astype(np.float32)

    @property
    def groups(self) -> int:
        op = self.node.op
        if isinstance(op, DepthwiseConv2D):
            return self.channels
        return self.node["x"].shape[3] // self.node["w"].shape[3] if isinstance(op, Conv2D) else 1

    def rows_of(self, w: Array) -> Array:
        """Weights as (groups, channels of a group, columns)."""
        rows = w[0].transpose(2, 0, 1) if self.depthwise else w
        return rows.reshape(self.groups, self.channels // self.groups, -1)

    def weights_of(self, rows: Array) -> Array:
        """The inverse of :meth:`rows_of`."""
        shape = self.node["w"].shape
        if self.depthwise:
            return np.ascontiguousarray(rows.reshape(self.channels, *shape[1:3]).transpose(1, 2, 0)[None])
        return rows.reshape(shape)

    def sums(self, x: Array, w: Array) -> Array:
        """Weighted sums without bias: (samples * rows of a sample, channels), or (samples, h, w, channels).

        ``x``: (samples, *rest of the input's shape), float32; ``w``: as the node's weights, float32.
        """
        op = self.node.op
        if isinstance(op, FullyConnected):
            return x.reshape(-1, w.shape[1]) @ w.T
        _, oh, ow, _ = self.node["y"].shape
        y = np.empty((len(x), oh, ow, self.channels), np.float32)
        inside = max(1, oh * ow * max(self.channels, w.shape[1] * w.shape[2] * x.shape[3] // 4))
        step = max(1, _SUM_ELEMENTS // inside)
        for start in range(0, len(x), step):
            part = slice(start, start + step)
            y[part] = self._image_sums(x[part], w)
        return y

    def _image_sums(self, x: Array, w: Array) -> Array:
        op = self.node.op
        if isinstance(op, TransposeConv):
            return transposed_sums(self.node, x, w)
        assert isinstance(op, Conv2D | DepthwiseConv2D)
        return self._depthwise(op, x, w) if self.depthwise else self._dense(op, x, w)

    def _dense(self, op: Conv2D | DepthwiseConv2D, x: Array, w: Array) -> Array:
        out, kh, kw, depth = w.shape
        view = windows(x, op.pad, (kh, kw), op.stride, op.dilation, 0)
        n, oh, ow = view.shape[:3]
        share = out // self.groups
        y = np.empty((n * oh * ow, out), np.float32)
        for g in range(self.groups):
            columns = view[..., g * depth : (g + 1) * depth].reshape(n * oh * ow, -1)
            part = slice(g * share, (g + 1) * share)
            y[:, part] = columns @ w[part].reshape(share, -1).T
        return y.reshape(n, oh, ow, out)

    def _depthwise(self, op: Conv2D | DepthwiseConv2D, x: Array, w: Array) -> Array:
        _, kh, kw, out = w.shape
        multiplier = out // x.shape[3]
        x = x if multiplier == 1 else np.repeat(x, multiplier, axis=3)
        view = windows(x, op.pad, (kh, kw), op.stride, op.dilation, 0)
        y = view[:, :, :, 0, 0] * w[0, 0, 0]
        product = np.empty_like(y)
        for i, j in list(np.ndindex(kh, kw))[1:]:
            np.multiply(view[:, :, :, i, j], w[0, i, j], out=product)
            y += product
        return y

    def sampled_columns(self, x: Array, drawn: Array, fill: float) -> Array:
        """What some positions of the output are sums over: (groups, positions, columns), float32.

        ``x``: (samples, *rest of the input's shape). ``drawn``: indices of positions, in order, counted through all
        samples. ``fill``: what padding consists of; in a transposed convolution all that no input is put down on.
        """
        op = self.node.op
        if isinstance(op, FullyConnected):
            return x.reshape(-1, self.node["w"].shape[1])[drawn][None].astype(np.float32)
        parts = list(self._columns_at(x, drawn, fill))
        picked = np.concatenate(parts)  # (positions, kh, kw, in)
        if self.depthwise:
            picked = np.repeat(picked, self.channels // picked.shape[3], axis=3)
            return picked.transpose(3, 0, 1, 2).reshape(self.channels, len(picked), -1)
        depth = self.node["w"].shape[3]
        split = picked.reshape(*picked.shape[:3], self.groups, depth).transpose(3, 0, 1, 2, 4)
        return split.reshape(self.groups, len(picked), -1)

    def _columns_at(self, x: Array, drawn: Array, fill: float) -> Iterator[Array]:
        """Sample by sample, so that only one is padded at a time."""
        _, height, width, _ = self.node["y"].shape
        area = height * width
        of_sample = drawn // area
        for sample in np.unique(of_sample):
            place = drawn[of_sample == sample] % area
            image = x[sample : sample + 1].astype(np.float32)
            yield self._windows(image, fill)[0, place // width, place % width]

    def _windows(self, x: Array, fill: float) -> Array:
        """What every output of a convolution is a sum over: (n, out_h, out_w, kh, kw, in)."""
        op = self.node.op
        if isinstance(op, TransposeConv):
            return transposed_windows(self.node, x, fill)
        assert isinstance(op, Conv2D | DepthwiseConv2D)
        _, kh, kw, _ = self.node["w"].shape
        return windows(x, op.pad, (kh, kw), op.stride, op.dilation, fill)


def draw(total: int, count: int) -> Array:
    """``count`` of ``total`` indices in order, the same each time; all if there are no more."""
    rng = np.random.default_rng(0)
    return np.arange(total) if total <= count else np.sort(rng.choice(total, count, replace=False))
