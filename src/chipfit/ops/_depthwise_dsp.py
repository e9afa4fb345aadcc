"""DEPTHWISE_CONV_2D on cores with DSP instructions: how the image is cut, and one stream of weights and numbers.

The C side is runtime/kernels/cf_depthwise_conv2d_s8_dsp*.h and runtime/include/cf_tile_depthwise*.h. Four channels at a
time are copied to int16 planes; a line of a plane runs along one image axis, the other axis counts lines. Which is
which, and how many lines a band has, is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from chipfit.fixedpoint import requantize
from chipfit.graph import Array, Node
from chipfit.ops._activation import activation_range
from chipfit.ops._base import Call, Const, Port, Scratch
from chipfit.ops._channels import Channels, channels_of, constant_operands
from chipfit.ops._fold import Line, Staircase, common_shift, fold_line
from chipfit.ops._window import output_multipliers

if TYPE_CHECKING:
    from chipfit.ops.depthwise_conv2d import DepthwiseConv2D

SCRATCH_BYTES = 4096
"""Planes of a band are at most this large where three lines are not larger already."""

K = 256
"""What weights are multiplied by, so that the start of a sum has fraction bits."""

_LEAST_K = 232
"""Smaller factors are tried where 256 has no proof; each halves the chance that there is none."""

_SHIFTS = (16, 12, 8, 4)
"""Shifts after the multiplication: few, so that layers of one shape can share their code."""

_LONGEST = 13
"""Steps of a line that are written out one after the other; longer lines repeat a part."""

_STEP_BOTH, _STEP_FIRST, _STEP_SECOND = 0, 1, 2


@dataclass(frozen=True)
class Axes:
    """An image seen as lines: ``n`` elements of a line ``step`` bytes apart, ``lines`` of them ``line`` bytes apart.

    ``out_*``: the same of the output. ``pad``: before a line; ``lines_pad``: before the first line.
    """

    n: int
    step: int
    pad: int
    out_n: int
    out_step: int
    lines: int
    line: int
    lines_pad: int
    out_lines: int
    out_line: int

    @property
    def row(self) -> int:
        """Bytes of one line of four planes."""
        return 16 * -(-self.n // 2)


def axes_of(node: Node, along_rows: bool) -> Axes:
    """The image with its rows (``along_rows``) or its columns as lines."""
    op = _op(node)
    _, h, w, c = node["x"].shape
    _, oh, ow, oc = node["y"].shape
    top, left = op.pad[:2]
    if along_rows:
        return Axes(w, c, left, ow, oc, h, w * c, top, oh, ow * oc)
    return Axes(h, w * c, top, oh, ow * oc, w, c, left, ow, oc)


def _op(node: Node) -> DepthwiseConv2D:
    from chipfit.ops.depthwise_conv2d import DepthwiseConv2D

    assert isinstance(node.op, DepthwiseConv2D)
    return node.op


# ---------------------------------------------------------------------------------------------- 3x3


@dataclass(frozen=True)
class Lines:
    """Outputs of a line: ``head``, then ``lead + chunk * loops`` steps, then ``tail``. Mirrors ``cf_lines_3x3``."""

    step: int
    head: int
    tail: int
    steps: int
    lead: int
    chunk: int
    loops: int

    @property
    def instructions(self) -> int:
        each = 21 if self.step == _STEP_BOTH else 12
        return 9 * (self.head + self.tail) + each * self.steps + 5 + (2 + 5 * self.loops if self.loops else 0)


def lines_3x3(axes: Axes, stride: int) -> Lines | None:
    """How a line is computed; None where its padding is another than the tile knows."""
    end = (axes.out_n - 1) * stride + 3 - axes.pad - axes.n  # elements that the last output reads beyond the line
    if axes.pad > 1 or end > 1 or (stride == 1 and axes.pad == 0):
        return None
    if stride == 1:
        if end != 1:
            return None
        head, tail, step = 1, int(axes.n % 2 == 0), _STEP_BOTH
        steps = (axes.out_n - head - tail) // 2
    else:
        # with padding before, an output reads to the end of its second word, which is 0 beyond the line
        head, tail = axes.pad, int(axes.pad == 0 and end == 1)
        step = _STEP_SECOND if head else _STEP_FIRST
        steps = axes.out_n - head - tail
    if steps <= _LONGEST:
        return Lines(step, head, tail, steps, steps, 0, 0)
    loops = -(-steps // _LONGEST)
    chunk = steps // loops
    return Lines(step, head, tail, steps, steps - loops * chunk, chunk, loops)


def _reaches(axes: Axes, lines: Lines) -> bool:
    """Whether all immediate offsets of the assembly fit."""
    return axes.step <= 1023 and 2 * axes.row + 4 * _LONGEST + 4 <= 1020 and 2 * axes.out_step <= 4095


def _band(axes: Axes, stride: int, scratch: int = SCRATCH_BYTES) -> int:
    """Output lines of a band: as many as the scratch holds, then even bands."""
    most = max(1, (scratch // axes.row - 3) // stride + 1)
    return -(-axes.out_lines // -(-axes.out_lines // most))


def _cost(axes: Axes, lines: Lines, stride: int) -> float:
    """Instructions for a channel, roughly."""
    bands = -(-axes.out_lines // _band(axes, stride))
    copied = axes.lines + (3 - stride) * (bands - 1)
    return axes.out_lines * lines.instructions + copied * (axes.n * 1.4 + 3) + 15 * bands


def _plan_3x3(node: Node) -> tuple[Axes, Lines, bool] | None:
    """The cheaper direction, if one can be used; True: lines are rows."""
    stride = _op(node).stride[0]
    plans: list[tuple[float, Axes, Lines, bool]] = []
    for along_rows in (True, False):
        axes = axes_of(node, along_rows)
        lines = lines_3x3(axes, stride)
        if lines is not None and _reaches(axes, lines) and axes.lines_pad <= 1:
            plans.append((_cost(axes, lines, stride), axes, lines, along_rows))
    return min(plans, key=lambda plan: plan[0])[1:] if plans else None


def reason_3x3(node: Node) -> bool | str:
    """True, or why ``cf_depthwise_conv2d_s8_dsp_3x3`` cannot be used."""
    op = _op(node)
    reason = constant_operands(node)
    if reason is not True:
        return reason
    channels, out = node["x"].shape[3], node["w"].shape[3]
    if node["w"].shape[1:3] != (3, 3) or op.dilation != (1, 1):
        return "the kernel is not 3x3"
    if op.stride not in ((1, 1), (2, 2)):
        return "the stride is neither 1 nor 2 along both axes"
    if channels != out or channels < 4:
        return "it needs four channels or more, each with one output channel"
    if _plan_3x3(node) is None:
        return "its padding is not that of SAME, or a line is too long"
    form = _form(node)
    exact = len(form.lines) - sum(line is not None for line in form.lines)
    if exact * 8 > channels:
        return f"{exact} of {channels} channels have no proven requantization in two instructions"
    return True


def call_3x3(node: Node) -> Call:
    """Arguments of ``cf_depthwise_conv2d_s8_dsp_3x3``."""
    plan, form, stride = _plan_3x3(node), _form(node), _op(node).stride[0]
    assert plan is not None
    axes, lines, along_rows = plan
    (n, h, w, c), (_, oh, ow, oc) = node["x"].shape, node["y"].shape
    band = _band(axes, stride)
    units = axes.n // 4
    unroll = next((u for u in (4, 3, 2, 1) if units % u == 0), 1) if units else 0
    params: dict[str, int | float | tuple[int, ...]] = {
        "n": n,
        "channels": c,
        "lines": axes.lines,
        "out_lines": axes.out_lines,
        "stride": stride,
        "pad": axes.lines_pad,
        "band": band,
        "image": h * w * c,
        "out_image": oh * ow * oc,
        "has_exact": int(None in form.lines),
        "from.n": axes.n,
        "from.step": axes.step,
        "from.line": axes.line,
        "from.odd": 0,
        "from.unroll": unroll,
        "from.loops": units // unroll if units else 0,
        "tile.step": lines.step,
        "tile.head": lines.head,
        "tile.tail": lines.tail,
        "tile.lead": lines.lead,
        "tile.chunk": lines.chunk,
        "tile.loops": lines.loops,
        "tile.row": axes.row,
        "tile.next": stride * axes.row,
        "tile.out_step": axes.out_step,
        "tile.out_line": axes.out_line,
        "tile.out_n": axes.out_n,
        "tile.shift": form.shift,
    }
    table = Const("w", _stream_3x3(node, form, along_rows), "weights")
    scratch = Scratch(((band - 1) * stride + 3) * axes.row)
    return Call([Port("x"), table, scratch, Port("y")], params)


def _stream_3x3(node: Node, form: Form, along_rows: bool) -> Array:
    """What the header of the kernel says of its table."""
    w = node["w"].array[0].astype(np.int64).transpose(2, 0, 1)  # (channels, kernel lines, along the line)
    w = w if along_rows else w.transpose(0, 2, 1)
    rows: list[list[int]] = []
    exact: list[list[int]] = []
    end = 2 + 8 * len(w)
    for i, line in enumerate(form.lines):
        scale = form.k[i]
        taps = (w[i] * scale).tolist()
        words = [word for a, b, c in taps for word in (_lanes(a, b), _lanes(b, c))]
        if line is None:
            rows.append([*words, end + 6 * len(exact), 0])
            exact.append(form.exact(i))
        else:
            rows.append([*words, scale * form.bias[i] + line.c, line.m])
    zero = node["x"].q.zp & 0xFF
    flat = [zero * 0x01010101, _lanes(-node["x"].q.zp, -node["x"].q.zp), *sum(rows, []), *sum(exact, [])]
    return np.array([v & 0xFFFFFFFF for v in flat], np.uint32).view(np.int32)


def _lanes(low: int, high: int) -> int:
    return (low & 0xFFFF) | (high & 0xFFFF) << 16


# ---------------------------------------------------------------------------------------------- requantization


@dataclass(frozen=True)
class Form:
    """Requantization of each channel: its one-line form with the factor of its weights, None where there is none."""

    channels: Channels
    bias: list[int]
    lines: list[Line | None]
    k: list[int]
    shift: int

    def exact(self, i: int) -> list[int]:
        """Numbers of the plain form: bias, multiplier, shift, zero point, least, greatest output."""
        stair = self.channels.stairs[i]
        return [self.bias[i], stair.m, stair.shift, stair.zero, stair.low, stair.high]


_FORMS: WeakKeyDictionary[Node, Form] = WeakKeyDictionary()


def _form(node: Node) -> Form:
    """The proofs of a node; kept, since choosing a kernel and calling it both need them."""
    if node not in _FORMS:
        _FORMS[node] = _prove(node)
    return _FORMS[node]


def _prove(node: Node) -> Form:
    x, w, y, b = node["x"], node["w"], node["y"], node.get("b")
    out = w.shape[3]
    m, shift = output_multipliers(x, w, y, out)
    limits = activation_range(_op(node).act, y.dtype, y.q)
    taps = w.array.reshape(-1, out).T
    channels = channels_of(node, taps, m, shift, limits)
    bias = [0] * out if b is None else b.array.astype(np.int64).tolist()
    s = next((s for s in _SHIFTS if s <= common_shift(channels.scales, K)), 0)
    found = [_fold(stair, s) for stair in channels.stairs]
    return Form(channels, bias, [line for line, _ in found], [k for _, k in found], s)


def _fold(stair: Staircase, s: int) -> tuple[Line | None, int]:
    """The one-line form of a channel and the factor of its weights; without a proof None and 1."""
    ends = requantize(np.array([stair.acc_min, stair.acc_max]), stair.m, stair.shift, stair.zero, stair.low, stair.high)
    if s and ends[0] == ends[1]:  # a dead filter: the output is a constant
        return Line(1 << 30, int(ends[0]) << (s + 2)), 0
    if s and (stair.low, stair.high) == (-128, 127):
        for k in range(K, _LEAST_K - 1, -1):
            line = fold_line(stair, k, s)
            if line is not None:
                return line, k
    return None, 1
