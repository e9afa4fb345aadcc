"""What the two pooling operators share: attributes, shapes, the parameters of the C call, samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Node, Shape
from chipfit.ops._activation import Activation, activation_range, activation_range_float
from chipfit.ops._base import Call, Op, Port, float_type, int8_type, int16_type, make_node
from chipfit.ops._checks import require_same_scale
from chipfit.ops._roles import SHARED, Roles
from chipfit.ops._traversal import Rows, slice_window_rows, window_rows
from chipfit.ops._window import Pads, same_pads, window_count, windows


@dataclass(frozen=True)
class Pool(Op):
    """Windows of ``kernel`` rows and columns; ``pad`` is explicit: top, left, bottom, right."""

    quant: ClassVar[Roles] = SHARED

    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = (2, 2)
    pad: Pads = (0, 0, 0, 0)
    act: Activation = "none"

    def infer(self, node: Node) -> Sequence[Shape]:
        x = node["x"]
        if len(x.shape) != 4:
            raise ChipfitError("G003", f"{self.name}: '{x.name}' needs 4 dimensions, it is {x.type}")
        n, h, w, c = x.shape
        top, left, bottom, right = self.pad
        if max(top, bottom) >= self.kernel[0] or max(left, right) >= self.kernel[1]:
            raise ChipfitError("G003", f"{self.name}: padding {self.pad} leaves windows {self.kernel} without input")
        oh = window_count(h, top, bottom, self.kernel[0], self.stride[0], 1)
        ow = window_count(w, left, right, self.kernel[1], self.stride[1], 1)
        if oh < 1 or ow < 1:
            raise ChipfitError("G003", f"{self.name}: '{x.name}' {x.type} is smaller than the window {self.kernel}")
        return [(n, oh, ow, c)]

    def check(self, node: Node) -> None:
        require_same_scale(node)

    def windows(self, x: Array, fill: float) -> Array:
        """Every window, its taps in the last axis: (n, out_h, out_w, c, taps)."""
        view = windows(x, self.pad, self.kernel, self.stride, (1, 1), fill)
        n, oh, ow, kh, kw, c = view.shape
        return view.transpose(0, 1, 2, 5, 3, 4).reshape(n, oh, ow, c, kh * kw)

    def rows(self, node: Node) -> Rows | str:
        return window_rows(node, can_pad=False)

    def slice_rows(self, node: Node, first: int, count: int, padded: bool) -> Node:
        return slice_window_rows(node, first, count, padded)

    def call(self, node: Node) -> Call:
        x, y = node["x"], node["y"]
        params: dict[str, int | float | tuple[int, ...]] = {
            "n": x.shape[0],
            "in_h": x.shape[1],
            "in_w": x.shape[2],
            "channels": x.shape[3],
            "out_h": y.shape[1],
            "out_w": y.shape[2],
            "kernel_h": self.kernel[0],
            "kernel_w": self.kernel[1],
            "stride_h": self.stride[0],
            "stride_w": self.stride[1],
            "pad_top": self.pad[0],
            "pad_left": self.pad[1],
        }
        if y.dtype is DType.FLOAT32:
            low, high = activation_range_float(self.act)
            struct = "cf_pool_f32_params"
        else:
            low, high = activation_range(self.act, y.dtype, y.q)
            struct = "cf_pool_params"
        return Call([Port("x"), Port("y")], {**params, "act_min": low, "act_max": high}, struct)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        h_pads, w_pads = same_pads(7, 3, 2, 1), same_pads(10, 3, 2, 1)
        cases: list[tuple[Shape, Pool]] = [
            ((1, 1, 1, 1), cls(kernel=(1, 1), stride=(1, 1))),
            ((1, 4, 6, 3), cls()),
            ((2, 5, 7, 4), cls(kernel=(3, 2), stride=(1, 2), pad=(1, 0, 1, 1), act="relu")),
            ((1, 7, 10, 5), cls(kernel=(3, 3), pad=(h_pads[0], w_pads[0], h_pads[1], w_pads[1]), act="relu6")),
            ((1, 25, 5, 17), cls(kernel=(25, 5), stride=(25, 5))),
            ((1, 16, 17, 8), cls(kernel=(16, 16), stride=(1, 1))),
            ((2, 5, 9, 12), cls(kernel=(5, 9), stride=(5, 9), act="relu")),
            ((1, 2, 3, 2), cls(kernel=(4, 5), stride=(1, 1), pad=(1, 2, 2, 2), act="relu_n1_to_1")),
            ((3, 11, 1, 1), cls(kernel=(2, 1), stride=(3, 1))),
        ]
        for shape, op in cases:
            for scale in (None, 0.02):
                x = int8_type(rng, *shape, scale=scale)
                yield make_node(op, {"x": x}, (DType.INT8, x.quant))
            for scale in (None, 0.0003):
                x = int16_type(rng, *shape, scale=scale)
                yield make_node(op, {"x": x}, (DType.INT16, x.quant))
            yield make_node(op, {"x": float_type(*shape)}, (DType.FLOAT32, None))
