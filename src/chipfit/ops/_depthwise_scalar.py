"""DEPTHWISE_CONV_2D on cores without DSP instructions: one channel as a plane (runtime/include/cf_plane.h)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._activation import activation_range
from chipfit.ops._base import Call, Const, Port, Scratch
from chipfit.ops._channels import channels_of, constant_operands
from chipfit.ops._coded import all_bytes
from chipfit.ops._scalar import finish_with_digits, finish_with_high_multiply
from chipfit.ops._traversal import Traversal, line_traversal
from chipfit.ops._window import output_multipliers

if TYPE_CHECKING:
    from chipfit.ops.depthwise_conv2d import DepthwiseConv2D

SCRATCH_BYTES = 4096
"""The plane of a band is at most this large, but never less than the lines of one output line."""

_TAP_BYTES = 8


@dataclass(frozen=True)
class _Axis:
    """One axis of the image: sizes, and the steps in bytes between neighbours."""

    size: int
    out: int
    kernel: int
    stride: int
    dilation: int
    pad: int
    in_step: int
    out_step: int

    def reach(self, outputs: int) -> int:
        """Input elements under the windows of so many outputs, padding included."""
        return (outputs - 1) * self.stride + (self.kernel - 1) * self.dilation + 1


@dataclass(frozen=True)
class _Plane:
    """Lines run along ``n``; ``band`` lines of outputs are made from one filling of the plane."""

    n: _Axis
    lines: _Axis
    element: int

    @property
    def width(self) -> int:
        return -(-self.n.out // 4) * 4 + (self.n.kernel - 1) * self.n.dilation // self.n.stride

    @property
    def line_bytes(self) -> int:
        return self.width * self.n.stride * self.element

    @property
    def band(self) -> int:
        most = max(b for b in range(1, self.lines.out + 1) if b == 1 or self.nbytes(b) <= SCRATCH_BYTES)
        return -(-self.lines.out // -(-self.lines.out // most))

    def nbytes(self, band: int) -> int:
        return self.lines.reach(band) * self.line_bytes

    def offsets(self) -> Array:
        """Bytes from the first tap's element to each tap's, (taps along lines, taps along n)."""
        along = np.arange(self.n.kernel) * self.n.dilation
        columns = (along % self.n.stride * self.width + along // self.n.stride) * self.element
        rows = np.arange(self.lines.kernel) * self.lines.dilation * self.line_bytes
        return rows[:, None] + columns[None, :]


def depthwise_scalar_reason(node: Node) -> bool | str:
    """True, or why the kernels of this module cannot be used."""
    reason = constant_operands(node)
    if reason is True and _plane(node, 4)[0].offsets().max() >= 1 << 15:
        return "the image is too wide for 16-bit offsets"
    return reason


def depthwise_scalar_call(node: Node, high_multiply: bool) -> Call:
    """Arguments of ``cf_depthwise_conv2d_s8_scalar`` (``high_multiply``) or ``..._thumb1``."""
    op: DepthwiseConv2D = node.op  # type: ignore[assignment]
    x, w, y = node["x"], node["w"], node["y"]
    plane, is_turned = _plane(node, 1 if high_multiply else 4)
    filters = w.array[0].transpose(2, 1, 0) if is_turned else w.array[0].transpose(2, 0, 1)
    filters = np.ascontiguousarray(filters.reshape(w.shape[3], -1))
    act_range = activation_range(op.act, y.dtype, y.q)
    channels = channels_of(node, filters, *output_multipliers(x, w, y, w.shape[3]), act_range)
    finish = finish_with_high_multiply(channels) if high_multiply else finish_with_digits(channels)
    args = [
        Port("x"),
        Const("w", filters, "weights", all_bytes(filters)),
        Const("numbers", finish.numbers, "weights"),
        Const("offsets", plane.offsets().reshape(-1).astype(np.int16)),
        Scratch(_TAP_BYTES * filters.shape[1]),
        Scratch(plane.nbytes(plane.band)),
        Port("y"),
    ]
    n, lines = plane.n, plane.lines
    params: dict[str, int | float | tuple[int, ...]] = {
        "n": x.shape[0],
        "in_c": x.shape[3],
        "multiplier": w.shape[3] // x.shape[3],
        "taps": filters.shape[1],
        "in_n": min(n.size, n.reach(n.out) - n.pad),
        "in_lines": lines.size,
        "in_step": n.in_step,
        "in_line": lines.in_step,
        "in_image": x.type.size // x.shape[0],
        "out_n": n.out,
        "out_lines": lines.out,
        "out_step": n.out_step,
        "out_line": lines.out_step,
        "out_image": y.type.size // y.shape[0],
        "stride_n": n.stride,
        "stride_lines": lines.stride,
        "pad_n": n.pad,
        "pad_lines": lines.pad,
        "width": plane.width,
        "band": plane.band,
        "lines": lines.reach(plane.band),
        "in_zero": x.q.zp,
        "finish": finish.field(y.q.zp, *act_range),
    }
    return Call(args, params, "cf_depthwise_conv2d_s8_scalar_params")


def depthwise_scalar_traversal(node: Node, element: int, backward: bool) -> Traversal | None:
    """Bands of lines, and in them channels: all lines that a band needs of one are copied before its outputs."""
    if backward:
        return None
    plane, is_turned = _plane(node, element)
    channels = node["x"].shape[3]
    lane = channels if channels == node["y"].shape[3] else 0
    return line_traversal(node, along_rows=not is_turned, band=plane.band, lane=lane)


def _plane(node: Node, element: int) -> tuple[_Plane, bool]:
    """The plane with the fewest idle outputs, and whether its lines run along the height."""
    op: DepthwiseConv2D = node.op  # type: ignore[assignment]
    x, w, y = node["x"], node["w"], node["y"]
    h, width = (
        _Axis(
            x.shape[i],
            y.shape[i],
            w.shape[i],
            op.stride[i - 1],
            op.dilation[i - 1],
            op.pad[i - 1],
            x.type.size // x.shape[0] // (x.shape[1] if i == 1 else x.shape[1] * x.shape[2]),
            y.type.size // y.shape[0] // (y.shape[1] if i == 1 else y.shape[1] * y.shape[2]),
        )
        for i in (1, 2)
    )
    along, turned = _Plane(width, h, element), _Plane(h, width, element)
    is_turned = _outputs(turned) < _outputs(along)
    return (turned if is_turned else along), is_turned


def _outputs(plane: _Plane) -> int:
    """Outputs computed, those beyond the ends of lines included."""
    return -(-plane.n.out // 4) * 4 * plane.lines.out
