"""DEPTHWISE_CONV_2D on cores with DSP instructions: arguments of ``cf_depthwise_conv2d_s8_dsp_3x3``."""

from __future__ import annotations

from dataclasses import dataclass
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
    lanes,
    larger_form,
    planes_from,
    scratch_limit,
    table,
    table_words,
    window_of,
)
from chipfit.ops._traversal import Traversal, line_traversal

_LONGEST = 10
"""Steps of a line that are written out one after the other; longer lines repeat a part."""

_STEP_BOTH, _STEP_FIRST, _STEP_SECOND = 0, 1, 2


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
    return axes.step <= 1023 and axes.row + 4 * _LONGEST + 4 <= 1020


@dataclass(frozen=True)
class Plan:
    """How a layer is cut: ``along_rows``: lines are rows; ``band``: output lines of a band."""

    axes: Axes
    lines: Lines
    stride: int
    along_rows: bool
    band: int

    @property
    def scratch(self) -> int:
        """Bytes of the planes of a band."""
        return ((self.band - 1) * self.stride + 3) * self.axes.row

    @property
    def cost(self) -> float:
        """Instructions for a channel, roughly."""
        bands = -(-self.axes.out_lines // self.band)
        copied = self.axes.lines + (3 - self.stride) * (bands - 1)
        return self.axes.out_lines * self.lines.instructions + copied * (self.axes.n * 1.4 + 3) + 15 * bands


def plan_3x3(node: Node, form: str) -> Plan | None:
    """The cheapest direction of those that keep to the form's scratch, else the one with the least."""
    stride, limit = window_of(node).stride[0], scratch_limit(node, form)
    plans: list[Plan] = []
    for along_rows in directions(node):
        axes = axes_of(node, along_rows)
        lines = lines_3x3(axes, stride)
        last = (axes.out_lines - 1) * stride - axes.lines_pad  # the first line that the last output line needs
        if lines is not None and _reaches(axes, lines) and axes.lines_pad <= 1 and last < axes.lines:
            band = band_lines(axes.out_lines, stride, 3, axes.row, limit)
            plans.append(Plan(axes, lines, stride, along_rows, band))
    return min(plans, key=lambda plan: (max(0, plan.scratch - limit), plan.cost)) if plans else None


def _reason(node: Node, form: str) -> bool | str:
    """True, or why ``cf_depthwise_conv2d_s8_dsp_3x3`` cannot be used in this form."""
    op = window_of(node)
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
    plan, larger = plan_3x3(node, form), larger_form(form)
    if plan is None:
        return "its padding is not that of SAME, or a line is too long"
    if larger is not None and plan == plan_3x3(node, larger):
        return "its bands cannot be made smaller"
    proven = form_of(node)
    if proven.is_two or proven.exacts * 8 > channels:
        return "too many channels have no proven requantization in two instructions"
    return True


def _call(node: Node, form: str, part: slice | None = None) -> Call:
    """Arguments of ``cf_depthwise_conv2d_s8_dsp_3x3``; ``part``: of these channels alone."""
    plan, proven = plan_3x3(node, form), form_of(node)
    assert plan is not None
    first, end, _ = (part or slice(None)).indices(node["x"].shape[3])
    axes, lines, stride = plan.axes, plan.lines, plan.stride
    (n, h, w, c), (_, oh, ow, oc) = node["x"].shape, node["y"].shape
    params: dict[str, int | float | tuple[int, ...]] = {
        "n": n,
        "channels": end - first,
        "lines": axes.lines,
        "out_lines": axes.out_lines,
        "stride": stride,
        "pad": axes.lines_pad,
        "band": plan.band,
        "backward": 0,
        "image": h * w * c if n > 1 else 0,
        "out_image": oh * ow * oc if n > 1 else 0,
        "has_exact": int(proven.exacts > 0),
        **planes_from(axes, 0),
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
        "tile.shift": proven.shift,
    }
    key = ("3x3", plan.along_rows, first, end)
    weights = proven.table(key, lambda: _stream_3x3(node, proven, plan.along_rows, slice(first, end)))
    coded = table_words(weights.size, proven.k[first:end], 8, slice(6))
    args = [Port("x", offset=first), Const("w", weights, "weights", coded), Scratch(plan.scratch)]
    return Call([*args, Port("y", offset=first)], params)


def _part(node: Node, first: int, end: int, form: str) -> Call:
    return _call(node, form, slice(first, end))


def _traversal(node: Node, backward: bool, form: str) -> Traversal | None:
    """Bands of lines; in a band groups of four channels, each copied to planes before its outputs are written."""
    plan, c = plan_3x3(node, form), node["x"].shape[3]
    assert plan is not None
    return line_traversal(node, along_rows=plan.along_rows, band=plan.band, lane=c, staged=c == 4, backward=backward)


def _stream_3x3(node: Node, form: Form, along_rows: bool, part: slice) -> Array:
    """What the header of the kernel says of its table, for the channels of ``part``."""
    w = node["w"].array[0].astype(np.int64).transpose(2, 0, 1)[part]  # (channels, kernel lines, along the line)
    w = w if along_rows else w.transpose(0, 2, 1)
    streams: list[list[int]] = []
    exact: list[list[int]] = []
    for i, (filter_, line) in enumerate(zip(w, form.lines[part], strict=True), part.start):
        k = form.k[i]
        words = [word for a, b, c in (filter_ * k).tolist() for word in (lanes(a, b), lanes(b, c))]
        if line is None:
            streams.append([*words, 2 + 8 * len(w) + 6 * len(exact), 0])
            exact.append(form.exact(i))
        else:
            streams.append([*words, k * form.bias[i] + line.c, line.m])
    return table(node, streams, exact)


KERNELS_3X3 = tuple(
    Kernel(
        "cf_depthwise_conv2d_s8_dsp_3x3",
        for_types("int8"),
        frozenset({"dsp"}),
        partial(_reason, form=form),
        partial(_call, form=form),
        per_mac=per_mac,
        shareable=False,
        form=form,
        traversal=partial(_traversal, form=form),
        part=partial(_part, form=form),
    )
    for form, per_mac in {"": 1.5, "2 KiB": 1.6, "1 KiB": 1.7, "single lines": 1.9}.items()
)
