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
from chipfit.ops._fold import (
    Line,
    Staircase,
    TwoLines,
    common_shift,
    fold_line,
    fold_two_lines,
    two_lines_rounding,
)
from chipfit.ops._window import output_multipliers

if TYPE_CHECKING:
    from chipfit.ops.depthwise_conv2d import DepthwiseConv2D

SCRATCH_BYTES = 4096
"""Planes of a band are at most this large, or 1/32 of the layer's tensors if that is more; but never less than the lines
of one output line."""

K = 256
"""What weights are multiplied by, so that the start of a sum has fraction bits."""

_FACTORS = (*range(K, 223, -1), 192, 128, 64, 32, 16, 8)
"""What weights are multiplied by: the first for which there is a proof."""

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


def _scratch_limit(node: Node) -> int:
    return max(SCRATCH_BYTES, (node["x"].type.nbytes + node["y"].type.nbytes) // 32)


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


def _band(axes: Axes, stride: int, scratch: int) -> int:
    """Output lines of a band: as many as the scratch holds, then even bands."""
    most = max(1, (scratch // axes.row - 3) // stride + 1)
    return -(-axes.out_lines // -(-axes.out_lines // most))


def _cost(axes: Axes, lines: Lines, stride: int, scratch: int) -> float:
    """Instructions for a channel, roughly."""
    bands = -(-axes.out_lines // _band(axes, stride, scratch))
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
            plans.append((_cost(axes, lines, stride, _scratch_limit(node)), axes, lines, along_rows))
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
    if form.is_two or form.exacts * 8 > channels:
        return "too many channels have no proven requantization in two instructions"
    return True


def call_3x3(node: Node) -> Call:
    """Arguments of ``cf_depthwise_conv2d_s8_dsp_3x3``."""
    plan, form, stride = _plan_3x3(node), _form(node), _op(node).stride[0]
    assert plan is not None
    axes, lines, along_rows = plan
    (n, h, w, c), (_, oh, ow, oc) = node["x"].shape, node["y"].shape
    band = _band(axes, stride, _scratch_limit(node))
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
        "has_exact": int(form.exacts > 0),
        **_from(axes, 0),
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
    streams: list[list[int]] = []
    exact: list[list[int]] = []
    for i, line in enumerate(form.lines):
        k = form.k[i]
        words = [word for a, b, c in (w[i] * k).tolist() for word in (_lanes(a, b), _lanes(b, c))]
        if line is None:
            streams.append([*words, 2 + 8 * len(w) + 6 * len(exact), 0])
            exact.append(form.exact(i))
        else:
            streams.append([*words, k * form.bias[i] + line.c, line.m])
    return _table(node, streams, exact)


def _lanes(low: int, high: int) -> int:
    return (low & 0xFFFF) | (high & 0xFFFF) << 16


# ---------------------------------------------------------------------------------------------- any kernel


@dataclass(frozen=True)
class _Any:
    """How the general kernel sees a layer. ``words`` of a kernel row, ``left`` words of padding, ``odd`` element."""

    axes: Axes
    along_rows: bool
    group: int
    taps: int
    rows: int
    stride: int
    lines_stride: int
    dilation: int

    @property
    def words(self) -> int:
        return self.taps // 2 + 1 if self.stride % 2 else max(2, -(-self.taps // 2))

    @property
    def span(self) -> int:
        """Lines that an output line needs."""
        return (self.rows - 1) * self.dilation + 1

    @property
    def line(self) -> int:
        """Words of a line of a plane: all elements, and all that the last pair of outputs reads."""
        last = (self.axes.out_n - 1) // 2 * 2
        return max(-(-(self.axes.pad + self.axes.n) // 2), (last * self.stride) // 2 + self.words + self.stride // 2)

    @property
    def is_fast(self) -> bool:
        return self.axes.out_step <= 4095 and (self.stride == 1 or (self.stride == 2 and self.words <= 4))

    @property
    def unroll(self) -> int:
        """Pairs of outputs that are written out: a divisor of all pairs, more for small kernels."""
        pairs, most = self.axes.out_n // 2, max(1, 9 // (self.rows * self.words))
        return next(n for n in range(max(1, min(pairs, most)), 0, -1) if pairs % n == 0)

    @property
    def cost(self) -> float:
        """Instructions of an output, roughly."""
        pairs = -(-self.axes.out_n // 2)
        row = -(-self.words // 3) * 3 + 2 * self.words if self.stride == 1 else 3 + 2 * self.words
        if not self.is_fast:
            row = 12 * self.words
        return (pairs * (self.rows * row + 12) + 25) / self.axes.out_n


def _any_plan(node: Node) -> _Any | str:
    """The cheaper direction, or why there is none."""
    op = _op(node)
    c, (_, kh, kw, out) = node["x"].shape[3], node["w"].shape
    plans: list[_Any] = []
    for along_rows in (True, False):
        axes = axes_of(node, along_rows)
        stride, lines_stride = op.stride[::-1] if along_rows else op.stride
        dilation, lines_dilation = op.dilation[::-1] if along_rows else op.dilation
        taps, rows = (kw, kh) if along_rows else (kh, kw)
        group = 4 if out == c and c >= 4 and axes.step <= 1023 else 1
        plan = _Any(axes, along_rows, group, taps, rows, stride, lines_stride, lines_dilation)
        if dilation == 1 and 12 * plan.line <= 1020:
            plans.append(plan)
    return min(plans, key=lambda plan: plan.cost) if plans else "dilation along both axes, or a line is too long"


def reason_any(node: Node) -> bool | str:
    """True, or why ``cf_depthwise_conv2d_s8_dsp`` cannot be used."""
    reason = constant_operands(node)
    if reason is not True:
        return reason
    plan = _any_plan(node)
    return plan if isinstance(plan, str) else True


def call_any(node: Node) -> Call:
    """Arguments of ``cf_depthwise_conv2d_s8_dsp``."""
    plan = _any_plan(node)
    assert isinstance(plan, _Any)
    form, axes = _form(node), plan.axes
    (n, h, w, c), (_, oh, ow, oc) = node["x"].shape, node["y"].shape
    row = 4 * plan.line * plan.group
    most = max(1, (_scratch_limit(node) // row - plan.span) // plan.lines_stride + 1)
    band = -(-axes.out_lines // -(-axes.out_lines // most))
    streams, stream, has_exact = _streams_any(node, plan, form)
    params: dict[str, int | float | tuple[int, ...]] = {
        "n": n,
        "channels": c,
        "multiplier": oc // c,
        "group": plan.group,
        "lines": axes.lines,
        "out_lines": axes.out_lines,
        "span": plan.span,
        "stride": plan.lines_stride,
        "pad": axes.lines_pad,
        "left": axes.pad // 2,
        "line": 4 * plan.line,
        "band": band,
        "image": h * w * c,
        "out_image": oh * ow * oc,
        "stream": stream,
        "has_exact": int(has_exact),
        **_from(axes, axes.pad % 2),
        "tile.form": int(form.is_two),
        "tile.shift": form.shift,
        "tile.fast": int(plan.is_fast),
        "tile.rows": plan.rows,
        "tile.words": plan.words,
        "tile.stride": plan.stride,
        "tile.unroll": plan.unroll,
        "tile.row": plan.dilation * row,
        "tile.next": plan.lines_stride * row,
        "tile.out_step": axes.out_step,
        "tile.out_line": axes.out_line,
        "tile.out_n": axes.out_n,
    }
    scratch = Scratch(((band - 1) * plan.lines_stride + plan.span) * row)
    return Call([Port("x"), Const("w", streams, "weights"), scratch, Port("y")], params)


def _from(axes: Axes, odd: int) -> dict[str, int]:
    """The fields of ``cf_planes_from``."""
    units = (axes.n - odd) // 4
    unroll = next((u for u in (4, 3, 2, 1) if units % u == 0), 1) if units else 0
    return {
        "from.n": axes.n,
        "from.step": axes.step,
        "from.line": axes.line,
        "from.odd": odd,
        "from.unroll": unroll,
        "from.loops": units // unroll if units else 0,
    }


def _streams_any(node: Node, plan: _Any, form: Form) -> tuple[Array, int, bool]:
    """What the header of the kernel says of its table; words of a stream; whether there are exact channels."""
    w = node["w"].array[0].astype(np.int64).transpose(2, 0, 1)
    w = w if plan.along_rows else w.transpose(0, 2, 1)
    channels, words, phases = len(w), plan.words, 1 + plan.stride % 2
    lanes = np.zeros((channels, plan.rows, words, phases, 2), np.int64)
    factors = np.array(form.k)[:, None, None]
    for phase in range(phases):
        padded = np.zeros((channels, plan.rows, 2 * words), np.int64)
        padded[:, :, phase : phase + plan.taps] = w * factors
        lanes[:, :, :, phase] = padded.reshape(channels, plan.rows, words, 2)
    packed = ((lanes[..., 0] & 0xFFFF) | lanes[..., 1] << 16).reshape(channels, -1)
    after = 3 if form.is_two else 1
    stream = 2 + packed.shape[1] + after
    streams: list[list[int]] = []
    exact: list[list[int]] = []
    for i, fold in enumerate(form.lines):
        if fold is None:
            start, m = 2 + stream * channels + 6 * len(exact), (0, 0, 0)
            exact.append(form.exact(i))
        else:
            start = form.k[i] * form.bias[i] + fold.c
            m = (fold.m, fold.j if isinstance(fold, TwoLines) else 0, form.rounding)
        streams.append([start, start, *packed[i].tolist(), *m[:after]])
    return _table(node, streams, exact), stream, bool(exact)


def _table(node: Node, streams: list[list[int]], exact: list[list[int]]) -> Array:
    """The zero point in the two ways that the copy to planes needs it, the streams, the numbers of exact channels."""
    zero = node["x"].q.zp
    head = [(zero & 0xFF) * 0x01010101, _lanes(-zero, -zero)]
    words = np.array([word for part in (head, *streams, *exact) for word in part], np.int64)
    return (words & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


# ---------------------------------------------------------------------------------------------- requantization


@dataclass(frozen=True)
class Form:
    """Requantization of each channel: its cheap form with the factor of its weights, None where there is none.

    ``is_two``: the form is that of two lines, else that of one.
    """

    channels: Channels
    bias: list[int]
    lines: list[Line | TwoLines | None]
    k: list[int]
    shift: int
    is_two: bool

    @property
    def rounding(self) -> int:
        return two_lines_rounding(self.channels.stairs[0].zero, self.shift)

    @property
    def exacts(self) -> int:
        return sum(line is None for line in self.lines)

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
    """One line for most channels, or two lines for most channels; the rest is exact."""
    x, w, y, b = node["x"], node["w"], node["y"], node.get("b")
    out = w.shape[3]
    m, shift = output_multipliers(x, w, y, out)
    channels = channels_of(node, w.array.reshape(-1, out).T, m, shift, activation_range(_op(node).act, y.dtype, y.q))
    bias = [0] * out if b is None else b.array.astype(np.int64).tolist()
    s = next((s for s in _SHIFTS if s <= common_shift(channels.scales, K)), 0)
    # most channels decide with the first factor, which is the cheapest thing to ask
    if s and 2 * sum(fold_line(stair, K, s) is not None for stair in channels.stairs) < out:
        two = [_fold(stair, s, True) for stair in channels.stairs]
        if any(fold is not None for fold, _ in two):
            return Form(channels, bias, [fold for fold, _ in two], [k for _, k in two], s, True)
    one = [_fold(stair, s, False) for stair in channels.stairs]
    return Form(channels, bias, [fold for fold, _ in one], [k for _, k in one], s or _SHIFTS[-1], False)


def _fold(stair: Staircase, s: int, is_two: bool) -> tuple[Line | TwoLines | None, int]:
    """The cheap form of a channel and the factor of its weights; without a proof None and 1."""
    if not s:
        return None, 1
    ends = requantize(np.array([stair.acc_min, stair.acc_max]), stair.m, stair.shift, stair.zero, stair.low, stair.high)
    if ends[0] == ends[1]:  # a dead filter: the output is a constant
        y = int(ends[0])
        return (TwoLines(1, (y - stair.zero) << s, 0) if is_two else Line(1 << 30, y << (s + 2))), 0
    if (stair.low, stair.high) == (-128, 127):
        for k in _FACTORS:
            fold = fold_two_lines(stair, k, s) if is_two else fold_line(stair, k, s)
            if fold is not None:
                return fold, k
    return None, 1
