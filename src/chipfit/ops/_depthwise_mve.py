"""DEPTHWISE_CONV_2D on cores with Helium: how the image is cut, and arguments of ``cf_depthwise_conv2d_s8_mve``.

The C side is runtime/include/cf_tile_quads.h, which says what quads, cells, pairs and singles are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from chipfit.fixedpoint import Int
from chipfit.graph import Array, Node
from chipfit.ops._activation import activation_range
from chipfit.ops._base import Call, Const, Kernel, Port, Scratch, for_types
from chipfit.ops._channels import constant_operands
from chipfit.ops._depthwise_dsp import SCRATCH_BYTES, Axes, axes_of, directions, window_of
from chipfit.ops._prepared import prepared
from chipfit.ops._traversal import Traversal, line_traversal
from chipfit.ops._window import output_multipliers

_CHANNELS = 16
"""Of a quad."""

_STEP = 64
"""Bytes from one position of a quad to the next."""

_FORMS = {"": 0.5, "whole image": 0.51, "2 KiB": 0.52, "single lines": 0.6}
"""Forms, by the scratch that they take, and instructions per multiply-accumulate of usual layers."""

_LIMITS = {"whole image": math.inf, "2 KiB": 2048, "single lines": 0}

_SLOWER = 1.08
"""How many times the instructions of the first form those with less scratch may need, but for the last of them."""

_FARTHEST = (1 << 16) - 1
"""Offset of a byte that eight at a time can be stored at."""


@dataclass(frozen=True)
class Plan:
    """How a layer is cut. ``pairs``: 2 x 2 outputs at a time, else one; ``band``: output lines of a band."""

    axes: Axes
    along_rows: bool
    pairs: bool
    taps: int
    rows: int
    stride: int
    lines_stride: int
    dilation: int
    lines_dilation: int
    band: int

    @property
    def down(self) -> int:
        """Cells of an output across the lines."""
        return -(-self.rows // 4)

    @property
    def along(self) -> int:
        """Cells of an output along a line."""
        return -(-self.taps // 4)

    @property
    def positions(self) -> int:
        """Of a quad: all that the last four outputs read."""
        if self.pairs:
            return self.axes.out_n + 2
        return (max(4, self.axes.out_n) - 1) * self.stride + (4 * self.along - 1) * self.dilation + 1

    @property
    def quad(self) -> int:
        """Bytes of a quad."""
        return self.positions * _STEP

    def quads(self, lines: int) -> int:
        """Of a band of so many output lines."""
        return (lines + 1) // 2 if self.pairs else lines * self.down

    @property
    def scratch(self) -> int:
        """Bytes of the quads of a band, behind 16 zero points."""
        return _CHANNELS + self.quads(self.band) * self.quad

    @property
    def cost(self) -> float:
        """Instructions for a channel, roughly."""
        whole, rest = divmod(self.axes.out_lines, self.band)
        return whole * self._band_cost(self.band) + (self._band_cost(rest) if rest else 0.0)

    def _band_cost(self, lines: int) -> float:
        n = self.axes.out_n
        if self.pairs:
            line = 27 * (n // 4) + 20 * -(-(n % 4) // 2) + 12
        else:
            line = -(-n // 4) * (9 * self.down * self.along + 13) + 12
        steps = self.quads(lines) if self.pairs else lines
        return steps * line + 25 + self.quads(lines) * (self.positions * 13 + 40) / _CHANNELS


def _cheapest(node: Node, limit: float) -> Plan:
    """The cheapest of all cuts that keep to ``limit`` bytes of scratch, else the one with the least."""
    op = window_of(node)
    kh, kw = node["w"].shape[1:3]
    cuts: list[Plan] = []
    for along_rows in directions(node):
        o = -1 if along_rows else 1  # attributes are (across rows, along rows)
        stride, lines_stride = op.stride[::o]
        dilation, lines_dilation = op.dilation[::o]
        taps, rows = (kh, kw)[::o]
        axes = axes_of(node, along_rows)
        far = axes.out_line + 3 * axes.out_step > _FARTHEST
        small = max(taps, rows) <= 3 and {stride, lines_stride, dilation, lines_dilation} == {1}
        for pairs in (True, False):
            if pairs and (far or not small or min(axes.out_n, axes.out_lines) < 2):
                continue
            plan = Plan(axes, along_rows, pairs, taps, rows, stride, lines_stride, dilation, lines_dilation, 1)
            cuts.append(replace(plan, band=_band(plan, limit)))
    return min(cuts, key=lambda plan: (max(0.0, plan.scratch - limit), plan.cost))


def _band(plan: Plan, limit: float) -> int:
    """Output lines of a band: as many as ``limit`` bytes hold, then even bands; with pairs two at least."""
    lines, least = plan.axes.out_lines, 2 if plan.pairs else 1
    quads = min(plan.quads(lines), (limit - _CHANNELS) // plan.quad)
    most = max(least, min(lines, int(2 * quads if plan.pairs else quads // plan.down)))
    even = -(-lines // -(-lines // most))
    return even + even % 2 if plan.pairs and even < most else even


def plans(node: Node) -> dict[str, Plan]:
    """The plan of each form that is another than those before it and not much slower than the first."""
    first = _cheapest(node, max(SCRATCH_BYTES, (node["x"].type.nbytes + node["y"].type.nbytes) // 32))
    found = {"": first}
    for form, limit in _LIMITS.items():
        plan = _cheapest(node, limit)
        is_slow = form != "single lines" and plan.cost > _SLOWER * first.cost
        if plan not in found.values() and not is_slow:
            found[form] = plan
    return found


def _reason(node: Node, form: str) -> bool | str:
    """True, or why ``cf_depthwise_conv2d_s8_mve`` cannot be used in this form."""
    reason = constant_operands(node)
    if reason is not True:
        return reason
    if form not in plans(node):
        return "its bands would be those of another form, or make it slow"
    return _shifts_down(_numbers(node))


def _shifts_down(numbers: Int) -> bool | str:
    """True, or why channels are not requantized by a multiplication and a shift down. numbers: (channels, 3)."""
    return True if (numbers[:, 2] < 0).all() else "an output changes by half a step or more with its sum's last digit"


def _call(node: Node, form: str) -> Call:
    """Arguments of ``cf_depthwise_conv2d_s8_mve``."""
    plan = plans(node)[form]
    axes, x, y = plan.axes, node["x"], node["y"]
    (n, h, w, c), (_, oh, ow, oc) = x.shape, y.shape
    low, high = activation_range(window_of(node).act, y.dtype, y.q)
    weights = prepared(node, ("quads", plan.along_rows), lambda: _cells(node, plan))
    params: dict[str, int | float | tuple[int, ...]] = {
        "n": n,
        "channels": c,
        "multiplier": oc // c,
        "lines": axes.lines,
        "out_lines": axes.out_lines,
        "stride": plan.lines_stride,
        "pad": axes.lines_pad,
        "band": plan.band,
        "backward": 0,
        "image": h * w * c if n > 1 else 0,
        "out_image": oh * ow * oc if n > 1 else 0,
        "in_zero": x.q.zp,
        "weights": 16 * plan.down * plan.along,
        "from.n": axes.n,
        "from.step": axes.step,
        "from.line": axes.line,
        "from.dilation": plan.lines_dilation,
        "from.three": int(plan.rows == 3 and not plan.pairs),
        "from.pad": axes.pad,
        "from.positions": plan.positions,
        "tile.pairs": int(plan.pairs),
        "tile.alone": int(plan.pairs and axes.out_lines % plan.band == 1),
        "tile.down": plan.down,
        "tile.along": plan.along,
        "tile.stride": plan.stride,
        "tile.dilation": plan.dilation,
        "tile.quad": plan.quad,
        "tile.out_n": axes.out_n,
        "tile.out_step": axes.out_step,
        "tile.out_line": axes.out_line,
        "tile.below": int(low < y.q.zp),
        "tile.out_zero": y.q.zp,
        "tile.act_min": low,
        "tile.act_max": high,
    }
    numbers = prepared(node, "quad numbers", lambda: _numbers(node).astype(np.int32))
    args = [Const("w", weights, "weights"), Const("numbers", numbers, "weights"), Scratch(plan.scratch)]
    return Call([Port("x"), *args, Port("y")], params)


def _numbers(node: Node) -> Int:
    """Of each output channel: start of the sum, multiplier, shift; (out, 3)."""
    x, w, y, b = node["x"], node["w"], node["y"], node.get("b")
    out = w.shape[3]
    m, shift = output_multipliers(x, w, y, out)
    start = -x.q.zp * w.array.reshape(-1, out).astype(np.int64).sum(axis=0)
    if b is not None:
        start = start + b.array
    start = start.astype(np.int32).astype(np.int64)  # sums wrap, as they do in the reference
    shift = np.where(m == 0, -1, shift)
    return np.stack(np.broadcast_arrays(start, m, shift), axis=1).astype(np.int64)


def _cells(node: Node, plan: Plan) -> Array:
    """16 zeros, then of each output channel its cells: words are pieces of columns, as in the quads."""
    w = node["w"].array[0].transpose(2, 1, 0) if plan.along_rows else node["w"].array[0].transpose(2, 0, 1)
    out, taps, rows = w.shape
    padded = np.zeros((out, 4 * plan.along, 4 * plan.down), np.int8)
    padded[:, :taps, :rows] = w
    cells = padded.reshape(out, plan.along, 4, plan.down, 4).transpose(0, 3, 1, 2, 4)
    return np.concatenate([np.zeros(16, np.int8), cells.reshape(-1)])


def _traversal(node: Node, backward: bool, form: str) -> Traversal | None:
    """Bands of lines; in a band groups of 16 channels, each copied to quads before its outputs are written."""
    plan, c, out = plans(node)[form], node["x"].shape[3], node["y"].shape[3]
    lane, staged = c if out == c else 0, c <= _CHANNELS
    return line_traversal(node, along_rows=plan.along_rows, band=plan.band, lane=lane, staged=staged, backward=backward)


KERNELS_MVE = tuple(
    Kernel(
        "cf_depthwise_conv2d_s8_mve",
        for_types("int8"),
        frozenset({"mve"}),
        partial(_reason, form=form),
        partial(_call, form=form),
        per_mac=per_mac,
        form=form,
        traversal=partial(_traversal, form=form),
    )
    for form, per_mac in _FORMS.items()
)
