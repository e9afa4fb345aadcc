"""DEPTHWISE_CONV_2D on cores with DSP instructions: arguments of ``cf_depthwise_conv2d_s8_dsp``, for any kernel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._base import Call, Const, Kernel, Port, Scratch, for_types
from chipfit.ops._channels import constant_operands
from chipfit.ops._depthwise_dsp import (
    Axes,
    Form,
    axes_of,
    band_lines,
    directions,
    form_of,
    larger_form,
    planes_from,
    scratch_limit,
    table,
    table_words,
    window_of,
)
from chipfit.ops._fold import TwoLines
from chipfit.ops._traversal import Traversal, line_traversal


@dataclass(frozen=True)
class Plan:
    """How the general kernel sees a layer. ``words`` of a kernel row, ``left`` words of padding, ``odd`` element."""

    axes: Axes
    along_rows: bool
    group: int
    taps: int
    rows: int
    stride: int
    lines_stride: int
    dilation: int
    band: int

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
    def row(self) -> int:
        """Bytes of one line of the planes of a group."""
        return 4 * self.line * self.group

    @property
    def scratch(self) -> int:
        """Bytes of the planes of a band."""
        return ((self.band - 1) * self.lines_stride + self.span) * self.row

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


def plan_any(node: Node, form: str) -> Plan | str:
    """The cheapest direction of those that keep to the form's scratch, else the one with the least; or why none."""
    op, limit = window_of(node), scratch_limit(node, form)
    c, (_, kh, kw, out) = node["x"].shape[3], node["w"].shape
    plans: list[Plan] = []
    for along_rows in directions(node):
        axes = axes_of(node, along_rows)
        stride, lines_stride = op.stride[::-1] if along_rows else op.stride
        dilation, lines_dilation = op.dilation[::-1] if along_rows else op.dilation
        taps, rows = (kw, kh) if along_rows else (kh, kw)
        group = 4 if out == c and c >= 4 and axes.step <= 1023 and form != "single channels" else 1
        plan = Plan(axes, along_rows, group, taps, rows, stride, lines_stride, lines_dilation, 1)
        if dilation == 1 and 12 * plan.line <= 1020:
            band = band_lines(axes.out_lines, plan.lines_stride, plan.span, plan.row, limit)
            plans.append(replace(plan, band=band))
    if not plans:
        return "dilation along both axes, or a line is too long"
    return min(plans, key=lambda plan: (-plan.group, max(0, plan.scratch - limit), plan.cost))


def _reason(node: Node, form: str) -> bool | str:
    """True, or why ``cf_depthwise_conv2d_s8_dsp`` cannot be used in this form."""
    reason = constant_operands(node)
    if reason is not True:
        return reason
    plan, larger = plan_any(node, form), larger_form(form)
    if isinstance(plan, str):
        return plan
    return "its bands cannot be made smaller" if larger is not None and plan == plan_any(node, larger) else True


def _call(node: Node, form: str) -> Call:
    """Arguments of ``cf_depthwise_conv2d_s8_dsp``."""
    plan, proven = plan_any(node, form), form_of(node)
    assert isinstance(plan, Plan)
    axes = plan.axes
    (n, h, w, c), (_, oh, ow, oc) = node["x"].shape, node["y"].shape
    key = ("any", plan.along_rows, plan.words, plan.phases)
    weights = proven.table(key, lambda: _streams_any(node, plan, proven))
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
        "band": plan.band,
        "backward": 0,
        "image": h * w * c if n > 1 else 0,
        "out_image": oh * ow * oc if n > 1 else 0,
        "stream": _stream_words(plan, proven),
        "has_exact": int(proven.exacts > 0),
        **planes_from(axes, axes.pad % 2),
        "tile.form": int(proven.is_two),
        "tile.shift": proven.shift,
        "tile.fast": int(plan.is_fast),
        "tile.rows": plan.rows,
        "tile.words": plan.words,
        "tile.phases": plan.phases,
        "tile.stride": plan.stride,
        "tile.unroll": plan.unroll,
        "tile.row": plan.dilation * plan.row,
        "tile.next": plan.lines_stride * plan.row,
        "tile.out_step": axes.out_step,
        "tile.out_line": axes.out_line,
        "tile.out_n": axes.out_n,
    }
    stream, after = _stream_words(plan, proven), 3 if proven.is_two else 1
    coded = table_words(weights.size, proven.k, stream, slice(2, stream - after))
    args = [Port("x"), Const("w", weights, "weights", coded), Scratch(plan.scratch), Port("y")]
    return Call(args, params)


def _traversal(node: Node, backward: bool, form: str) -> Traversal | None:
    """Bands of lines; in a band groups of channels, each copied to planes before its outputs are written."""
    plan, c, out = plan_any(node, form), node["x"].shape[3], node["y"].shape[3]
    assert isinstance(plan, Plan)
    lane, staged = c if out == c else 0, c == plan.group
    return line_traversal(node, along_rows=plan.along_rows, band=plan.band, lane=lane, staged=staged, backward=backward)


def _stream_words(plan: Plan, form: Form) -> int:
    """Words of the stream of a channel."""
    return 2 + plan.rows * plan.words * plan.phases + (3 if form.is_two else 1)


def _streams_any(node: Node, plan: Plan, form: Form) -> Array:
    """What the header of the kernel says of its table."""
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
    stream = _stream_words(plan, form)
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
    return table(node, streams, exact)


KERNELS_ANY = tuple(
    Kernel(
        "cf_depthwise_conv2d_s8_dsp",
        for_types("int8"),
        frozenset({"dsp"}),
        partial(_reason, form=form),
        partial(_call, form=form),
        per_mac=per_mac,
        shareable=False,
        form=form,
        traversal=partial(_traversal, form=form),
    )
    for form, per_mac in {"": 2.0, "2 KiB": 2.15, "1 KiB": 2.3, "single lines": 2.5, "single channels": 4.0}.items()
)
