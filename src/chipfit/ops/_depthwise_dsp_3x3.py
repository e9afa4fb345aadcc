"""DEPTHWISE_CONV_2D on cores with DSP instructions: arguments of ``cf_depthwise_conv2d_s8_dsp_3x3``."""

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
    lanes,
    planes_from,
    scratch_limit,
    table,
    window_of,
)

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
    stride = window_of(node).stride[0]
    plans: list[tuple[float, Axes, Lines, bool]] = []
    for along_rows in (True, False):
        axes = axes_of(node, along_rows)
        lines = lines_3x3(axes, stride)
        if lines is not None and _reaches(axes, lines) and axes.lines_pad <= 1:
            plans.append((_cost(axes, lines, stride, scratch_limit(node)), axes, lines, along_rows))
    return min(plans, key=lambda plan: plan[0])[1:] if plans else None


def reason_3x3(node: Node) -> bool | str:
    """True, or why ``cf_depthwise_conv2d_s8_dsp_3x3`` cannot be used."""
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
    if _plan_3x3(node) is None:
        return "its padding is not that of SAME, or a line is too long"
    form = form_of(node)
    if form.is_two or form.exacts * 8 > channels:
        return "too many channels have no proven requantization in two instructions"
    return True


def call_3x3(node: Node) -> Call:
    """Arguments of ``cf_depthwise_conv2d_s8_dsp_3x3``."""
    plan, form, stride = _plan_3x3(node), form_of(node), window_of(node).stride[0]
    assert plan is not None
    axes, lines, along_rows = plan
    (n, h, w, c), (_, oh, ow, oc) = node["x"].shape, node["y"].shape
    band = _band(axes, stride, scratch_limit(node))
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
        words = [word for a, b, c in (w[i] * k).tolist() for word in (lanes(a, b), lanes(b, c))]
        if line is None:
            streams.append([*words, 2 + 8 * len(w) + 6 * len(exact), 0])
            exact.append(form.exact(i))
        else:
            streams.append([*words, k * form.bias[i] + line.c, line.m])
    return table(node, streams, exact)
