"""DEPTHWISE_CONV_2D on cores with DSP instructions: arguments of ``cf_depthwise_conv2d_s8_dsp``, for any kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._base import Call, Const, Port, Scratch
from chipfit.ops._channels import constant_operands
from chipfit.ops._depthwise_dsp import (
    Axes,
    Form,
    axes_of,
    form_of,
    planes_from,
    scratch_limit,
    table,
    window_of,
)
from chipfit.ops._fold import TwoLines


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
        if self.phases == 2:
            return self.taps // 2 + 1
        words = max(2, -(-self.taps // 2))
        return words + 1 if self.axes.out_n == 1 and words % 4 == 1 else words

    @property
    def phases(self) -> int:
        """Weights of each word: 2 if windows begin at odd elements, too."""
        return 2 if self.axes.out_n > 1 and self.stride % 2 else 1

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
        in_pairs = self.stride == 1 or (self.stride == 2 and self.words <= 4)
        return self.axes.out_n == 1 or (in_pairs and self.axes.out_step <= 4095)

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
    op = window_of(node)
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
    form, axes = form_of(node), plan.axes
    (n, h, w, c), (_, oh, ow, oc) = node["x"].shape, node["y"].shape
    row = 4 * plan.line * plan.group
    most = max(1, (scratch_limit(node) // row - plan.span) // plan.lines_stride + 1)
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
        **planes_from(axes, axes.pad % 2),
        "tile.form": int(form.is_two),
        "tile.shift": form.shift,
        "tile.fast": int(plan.is_fast),
        "tile.rows": plan.rows,
        "tile.words": plan.words,
        "tile.phases": plan.phases,
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


def _streams_any(node: Node, plan: _Any, form: Form) -> tuple[Array, int, bool]:
    """What the header of the kernel says of its table; words of a stream; whether there are exact channels."""
    w = node["w"].array[0].astype(np.int64).transpose(2, 0, 1)
    w = w if plan.along_rows else w.transpose(0, 2, 1)
    channels, words, phases = len(w), plan.words, plan.phases
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
    return table(node, streams, exact), stream, bool(exact)
