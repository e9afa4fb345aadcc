"""Layers of frameworks that have channels first, (n, c, l) and (n, c, h, w), as nodes whose channels are last.

Every layer is transposed, computed and transposed back; transpositions that meet cancel in the builder, a pass removes
what is left. One-dimensional layers are images of one row. Weights are transposed at import.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Quant, TensorType, Value
from chipfit.importers._build import GraphBuilder

_IMAGE_AXES = 2


@dataclass(frozen=True)
class Window:
    """Numbers for each of the one or two axes that a window moves along. ``pads``: (before, after) of each."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    pads: tuple[tuple[int, int], ...] = ()

    def image(self) -> Window:
        """The same for rows and columns; what is not given is 1, or no padding. Raises ChipfitError O002."""
        axes = len(self.kernel)
        if not 1 <= axes <= _IMAGE_AXES:
            raise ChipfitError("O002", f"its windows have {axes} dimensions, 1 or 2 can be compiled")
        stride, dilation, pads = self.stride or (1,) * axes, self.dilation or (1,) * axes, self.pads or ((0, 0),) * axes
        if not len(stride) == len(dilation) == len(pads) == axes:
            raise ChipfitError("O002", f"{self} does not have {axes} numbers of each kind")
        if min(*self.kernel, *stride, *dilation) < 1 or any(n < 0 for pair in pads for n in pair):
            raise ChipfitError("O002", f"{self} is no window")
        more = _IMAGE_AXES - axes
        return Window(
            (1,) * more + tuple(self.kernel), (1,) * more + stride, (1,) * more + dilation, ((0, 0),) * more + pads
        )

    @property
    def span(self) -> tuple[int, ...]:
        """Elements from the first to the last that a window reads, along each axis."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def pad(self) -> tuple[int, int, int, int]:
        """Top, left, bottom, right, of an image."""
        (top, bottom), (left, right) = self.pads
        return (top, left, bottom, right)

    def covering(self, size: Sequence[int]) -> Window:
        """The padding enlarged so that a last window that reaches out of it counts, too (``ceil_mode``).

        It counts if it begins inside of the image or the padding before it.
        """
        pads: list[tuple[int, int]] = []
        for n, span, stride, (before, after) in zip(size, self.span, self.stride, self.pads, strict=True):
            count = -(-(n + before + after - span) // stride) + 1
            if (count - 1) * stride >= n + before:
                count -= 1
            pads.append((before, max(after, (count - 1) * stride + span - n - before)))
        return dataclasses.replace(self, pads=tuple(pads))


class ChannelsFirst:
    """Makes the nodes of layers; one for a model. ``scope`` of a call: its nodes are named ``<scope>/<operator>``.

    Weights are constants: float32, or stored integers with a quantization, which a DEQUANTIZE then makes real. All
    methods raise ChipfitError O002 or G003 where the tensors do not fit.
    """

    def __init__(self, builder: GraphBuilder) -> None:
        self._builder = builder
        self._weights: dict[tuple[Value, tuple[int, ...], tuple[int, ...]], Value] = {}
        self._kernels: dict[tuple[Value, int], Value] = {}

    # ------------------------------------------------------------------------------------------ convolutions

    def conv(self, x: Value, w: Value, bias: Value | None, window: Window, groups: int, scope: str) -> Value:
        """w: (out, in / groups, kernel ...); ``window.kernel`` is that of w."""
        self._require_conv(x, w, groups * w.shape[1] if len(w.shape) > 1 else 0, groups, w.shape[0] if w.shape else 0)
        image = window.image()
        if groups == x.shape[1] > 1:
            weights, op = self._image_weights(w, (1, 2, 3, 0), scope), "depthwise_conv2d"
        else:
            weights, op = self._image_weights(w, (0, 2, 3, 1), scope), "conv2d"

        def function(v: Value) -> Value:
            _require_output(v, image)
            return self._emit(
                op, [v, weights, bias], scope, stride=image.stride, dilation=image.dilation, pad=image.pad
            )

        return self.as_image(x, function, scope)

    def conv_transpose(
        self, x: Value, w: Value, bias: Value | None, window: Window, groups: int, extra: Sequence[int], scope: str
    ) -> Value:
        """w: (in, out / groups, kernel ...). ``window.pads`` are cut off the output, ``extra`` rows and columns added.

        What TRANSPOSE_CONV has no form of (groups, dilation) is a convolution of the image spread with zeros.
        """
        self._require_conv(x, w, w.shape[0] if w.shape else 0, groups, w.shape[0] if w.shape else 0)
        image = window.image()
        more = (*((0,) * (_IMAGE_AXES - len(extra))), *extra)
        if groups > 1 or image.dilation != (1, 1):
            return self._spread_conv(x, w, bias, image, groups, more, scope)
        weights = self._image_weights(w, (1, 2, 3, 0), scope)
        top, left, bottom, right = image.pad
        pad = (top, left, bottom - more[0], right - more[1])

        def function(v: Value) -> Value:
            return self._emit("transpose_conv", [v, weights, bias], scope, stride=image.stride, pad=pad)

        return self.as_image(x, function, scope)

    def _spread_conv(
        self, x: Value, w: Value, bias: Value | None, image: Window, groups: int, extra: Sequence[int], scope: str
    ) -> Value:
        """A transposed convolution as a convolution with mirrored weights."""
        if groups > 1 and w.type.quant is not None and w.q.axis is not None:
            raise ChipfitError("O002", f"'{w.name}' has a scale for each channel within {groups} groups")
        depthwise = groups == x.shape[1] > 1
        weights = self._image_weights(self._mirrored(w, groups), (1, 2, 3, 0) if depthwise else (0, 2, 3, 1), scope)
        around = [
            (span - 1 - before, span - 1 - after + e)
            for span, (before, after), e in zip(image.span, image.pads, extra, strict=True)
        ]
        (top, bottom), (left, right) = ((max(0, before), max(0, after)) for before, after in around)

        def function(v: Value) -> Value:
            spread = self._cut(self._spread(v, image.stride, scope), around, scope)
            op, pad = "depthwise_conv2d" if depthwise else "conv2d", (top, left, bottom, right)
            return self._emit(op, [spread, weights, bias], scope, dilation=image.dilation, pad=pad)

        return self.as_image(x, function, scope)

    @staticmethod
    def _require_conv(x: Value, w: Value, channels: int, groups: int, divided: int) -> None:
        """``channels``: those of the input that the weights are for; ``divided``: channels that groups divide."""
        if not w.is_const:
            raise ChipfitError("O002", f"its weights '{w.name}' are computed", "use constant weights")
        if len(w.shape) != len(x.shape) or not 1 <= len(x.shape) - 2 <= _IMAGE_AXES:
            raise ChipfitError("O002", f"'{x.name}' ({x.type}), '{w.name}' ({w.type}): 1 or 2 axes can be compiled")
        if 0 in w.shape or groups < 1 or divided % groups or x.shape[1] != channels:
            raise ChipfitError("O002", f"'{x.name}' ({x.type}) does not fit '{w.name}' ({w.type}) in {groups} groups")

    def _mirrored(self, w: Value, groups: int) -> Value:
        """(in, out / groups, kernel ...) as the weights of a convolution: (out, in / groups, mirrored kernel ...)."""
        if (w, groups) not in self._kernels:
            parts = np.split(np.flip(w.array, tuple(range(2, len(w.shape)))), groups)
            data = np.ascontiguousarray(np.concatenate([part.swapaxes(0, 1) for part in parts]))
            quant = w.type.quant
            if quant is not None and quant.axis is not None:
                quant = dataclasses.replace(quant, axis=1 - quant.axis)
            self._kernels[w, groups] = Value(w.name, TensorType(data.shape, w.dtype, quant), data)
        return self._kernels[w, groups]

    def _spread(self, x: Value, stride: Sequence[int], scope: str) -> Value:
        """x with ``stride - 1`` zeros between its rows and columns, none behind the last."""
        n, h, w, c = x.shape
        (rows, columns) = stride
        if (rows, columns) == (1, 1):
            return x
        apart = self._builder.reshape(x, (n, h, 1, w, 1, c), f"{scope}/reshape")
        pads = ((0, 0), (0, 0), (0, rows - 1), (0, 0), (0, columns - 1), (0, 0))
        padded = self._emit("pad", [apart], scope, pads=pads)
        whole = self._builder.reshape(padded, (n, h * rows, w * columns, c), f"{scope}/reshape")
        return self._sliced(whole, (0, 0), ((h - 1) * rows + 1, (w - 1) * columns + 1), scope)

    def _cut(self, x: Value, around: Sequence[tuple[int, int]], scope: str) -> Value:
        """What negative padding leaves of an image."""
        begin = [max(0, -before) for before, _ in around]
        size = [n - b - max(0, -after) for n, b, (_, after) in zip(x.shape[1:3], begin, around, strict=True)]
        if min(size) < 1:
            raise ChipfitError("O002", f"its padding leaves nothing of '{x.name}' ({x.type})")
        return self._sliced(x, begin, size, scope)

    def _sliced(self, x: Value, begin: Sequence[int], size: Sequence[int], scope: str) -> Value:
        if tuple(size) == x.shape[1:3]:
            return x
        n, c = x.shape[0], x.shape[3]
        return self._emit("slice", [x], scope, begin=(0, *begin, 0), size=(n, *size, c))

    # ------------------------------------------------------------------------------------------ pools

    def max_pool(self, x: Value, window: Window, scope: str, ceil_mode: bool = False) -> Value:
        return self._pool("max_pool2d", x, window, scope, ceil_mode, False)

    def average_pool(
        self, x: Value, window: Window, scope: str, ceil_mode: bool = False, count_pads: bool = False
    ) -> Value:
        """``count_pads``: padding counts as zeros; what ``ceil_mode`` adds never counts."""
        return self._pool("average_pool2d", x, window, scope, ceil_mode, count_pads)

    def _pool(self, op: str, x: Value, window: Window, scope: str, ceil_mode: bool, count_pads: bool) -> Value:
        image = window.image()
        if image.dilation != (1, 1):
            raise ChipfitError("O002", f"dilation {list(window.dilation)} of a pool cannot be compiled")

        def function(v: Value) -> Value:
            now = image.covering(v.shape[1:3]) if ceil_mode else image
            if count_pads and any(image.pad):
                v = self._emit("pad", [v], scope, pads=((0, 0), *image.pads, (0, 0)))
                rest = [(0, b - a) for (_, b), (_, a) in zip(now.pads, image.pads, strict=True)]
                now = dataclasses.replace(now, pads=tuple(rest))
            _require_output(v, now)
            return self._emit(op, [v], scope, kernel=now.kernel, stride=now.stride, pad=now.pad)

        return self.as_image(x, function, scope)

    def global_pool(self, op: str, x: Value, scope: str) -> Value:
        """``op``: mean, reduce_max ..., over all axes but the first two; the others stay with size 1."""
        axes = tuple(range(1, len(x.shape) - 1))
        if not axes:
            raise ChipfitError("O002", f"its input '{x.name}' ({x.type}) has no axes to pool over")
        return self.along_last(x, lambda v: self._emit(op, [v], scope, axes=axes, keep_dims=True), scope)

    # ------------------------------------------------------------------------------------------ other layers

    def scale(self, x: Value, factors: Array | None, offsets: Array | None, scope: str) -> Value:
        """x * factors + offsets, one number of each for a channel (axis 1). Folds into a convolution before it."""

        def function(v: Value) -> Value:
            for op, part, numbers in (("mul", "scale", factors), ("add", "offset", offsets)):
                if numbers is not None:
                    v = self._emit(op, [v, self._builder.constant(f"{scope}/{part}", numbers)], scope)
            return v

        return self.along_last(x, function, scope)

    def batch_norm(
        self, x: Value, gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float, scope: str
    ) -> Value:
        """Its inference form, with the statistics of training: a factor and an offset for each channel."""
        wide = [np.asarray(a, np.float64) for a in (gamma, beta, mean, variance)]
        if any(a.shape != x.shape[1:2] for a in wide):
            raise ChipfitError("O002", f"its parameters do not fit the channels of '{x.name}' ({x.type})")
        factors = wide[0] / np.sqrt(wide[3] + epsilon)
        return self.scale(x, factors, wide[1] - wide[2] * factors, scope)

    def resize(self, x: Value, mode: str, size: Sequence[int], scope: str, **positions: bool) -> Value:
        """``mode``: nearest or bilinear; ``positions``: align_corners, half_pixel_centers. One or two sizes."""
        target = (1, int(size[0])) if len(size) == 1 else (int(size[0]), int(size[1]))
        return self.as_image(x, lambda v: self._emit(f"resize_{mode}", [v], scope, size=target, **positions), scope)

    def depth_to_space(self, x: Value, block: int, scope: str, channels_first: bool = False) -> Value:
        """Channels become blocks of pixels. They count (row, column, channel), or (channel, row, column)."""
        if len(x.shape) != 4 or block < 1 or x.shape[1] % (block * block):
            raise ChipfitError("O002", f"'{x.name}' ({x.type}) has no blocks of {block}x{block}")

        def function(v: Value) -> Value:
            if not channels_first:
                return self._emit("depth_to_space", [v], scope, block=block)
            n, h, w, c = v.shape
            inner = c // (block * block)
            target = (n, h * block, w * block, inner)
            return self._moved(v, (n, h, w, inner, block, block), (0, 1, 4, 2, 5, 3), target, scope)

        return self.as_image(x, function, scope)

    def space_to_depth(self, x: Value, block: int, scope: str, channels_first: bool = False) -> Value:
        """Blocks of pixels become channels, which count (row, column, channel), or (channel, row, column)."""
        if len(x.shape) != 4 or block < 1 or x.shape[2] % block or x.shape[3] % block:
            raise ChipfitError("O002", f"'{x.name}' ({x.type}) has no blocks of {block}x{block}")

        def function(v: Value) -> Value:
            if not channels_first:
                return self._emit("space_to_depth", [v], scope, block=block)
            n, h, w, c = v.shape
            rows, columns = h // block, w // block
            target = (n, rows, columns, c * block * block)
            return self._moved(v, (n, rows, block, columns, block, c), (0, 1, 3, 5, 2, 4), target, scope)

        return self.as_image(x, function, scope)

    def _moved(self, x: Value, apart: Sequence[int], perm: Sequence[int], shape: Sequence[int], scope: str) -> Value:
        y = self._builder.transpose(self._builder.reshape(x, apart, f"{scope}/reshape"), perm, f"{scope}/transpose")
        return self._builder.reshape(y, shape, f"{scope}/reshape")

    # ------------------------------------------------------------------------------------------ layouts

    def along_last(self, x: Value, function: Callable[[Value], Value], scope: str) -> Value:
        """The function of x with its axis 1 moved to the end; the result has it back, at any rank."""
        y = function(self._to_last(x, scope))
        rank = len(y.shape)
        return self._builder.transpose(y, (0, rank - 1, *range(1, rank - 1)), f"{scope}/transpose")

    def as_image(self, x: Value, function: Callable[[Value], Value], scope: str) -> Value:
        """The function of x as (n, h, w, c); the result has as many axes as x, its channels on axis 1."""

        def image(v: Value) -> Value:
            if len(v.shape) == 4:
                return function(v)
            if len(v.shape) != 3:
                raise ChipfitError("O002", f"its input '{x.name}' is {x.type}, 3 or 4 axes can be compiled")
            n, length, channels = v.shape
            y = function(self._builder.reshape(v, (n, 1, length, channels), f"{scope}/reshape"))
            return self._builder.reshape(y, (y.shape[0], *y.shape[2:]), f"{scope}/reshape")

        return self.along_last(x, image, scope)

    def _to_last(self, x: Value, scope: str) -> Value:
        rank = len(x.shape)
        if rank < 2:
            raise ChipfitError("O002", f"its input '{x.name}' ({x.type}) has no axis of channels")
        return self._builder.transpose(x, (0, *range(2, rank), 1), f"{scope}/transpose")

    # ------------------------------------------------------------------------------------------ constants

    def weights(self, w: Value, perm: Sequence[int], shape: Sequence[int], scope: str) -> Value:
        """Constant weights, given a shape and transposed; once, however many layers ask for them.

        The shape only adds axes of size 1 behind the axis of their scales.
        """
        key = (w, tuple(perm), tuple(shape))
        if key not in self._weights:
            data = np.ascontiguousarray(w.array.reshape(shape).transpose(perm))
            quant = w.type.quant
            if quant is not None and quant.axis is not None:
                quant = Quant(quant.scale, quant.zero_point, tuple(perm).index(quant.axis))
            made = Value(w.name, TensorType(data.shape, w.dtype, quant), data)
            if w.type.quant is not None:
                made = self._builder.node("dequantize", [made], f"{scope}/weights", DType.FLOAT32)
            self._weights[key] = made
        return self._weights[key]

    def _image_weights(self, w: Value, perm: Sequence[int], scope: str) -> Value:
        """Weights (a, b, kernel ...), those along one axis as along columns."""
        shape = w.shape if len(w.shape) == 4 else (*w.shape[:2], 1, *w.shape[2:])
        return self.weights(w, perm, shape, scope)

    def _emit(self, op: str, inputs: Sequence[Value | None], scope: str, **attributes: Any) -> Value:
        return self._builder.node(op, inputs, f"{scope}/{op}", **attributes)


def _require_output(x: Value, window: Window) -> None:
    """Windows fit into the image and its padding."""
    for size, span, pads in zip(x.shape[1:3], window.span, window.pads, strict=True):
        if size + sum(pads) < span:
            raise ChipfitError("O002", f"'{x.name}' ({x.type}) is smaller than a window of {list(window.span)}")
