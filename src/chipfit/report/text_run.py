"""What ``chipfit run`` says."""

from __future__ import annotations

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from chipfit.graph import Array
from chipfit.report.data import LayerRun, RunReport, TensorInfo
from chipfit.report.text import (
    Column,
    blocks,
    count,
    facts,
    memory,
    next_step,
    plural,
    ratio,
    safe,
    share,
    table,
    tensor,
    title,
)

TOP = 5
"""Elements of an output that are shown."""


def run_text(report: RunReport, width: int, *, source: str, offer: str | None = None) -> RenderableType:
    """``source``: what the inputs were; ``offer``: the command to try next."""
    samples = plural(report.samples, "sample")
    head = title(f"{report.model} on {report.board} ({report.core})", f"{samples}, {source}, {report.seconds:.1f} s")
    measured = any(layer.instructions is not None for layer in report.layers)
    return blocks(
        head,
        layer_table(report.layers, report.instructions, report.macs, width) if measured else None,
        figures(report),
        *(output_text(i, array[0], width) for i, array in zip(report.output_info, report.outputs, strict=True)),
        facts([("proof", report.proof)]),
        next_step(offer) if offer else None,
    )


def layer_table(layers: tuple[LayerRun, ...], instructions: int | None, macs: int, width: int) -> RenderableType:
    """Instructions of each layer in one run."""
    columns = [
        Column("layer", flexible=True),
        Column("op"),
        Column("kernel", wide=110),
        Column("instructions", "right"),
        Column("share", "right"),
        Column("MACs", "right"),
        Column("instr/MAC", "right"),
    ]
    rows = [
        (
            layer.name,
            layer.op,
            layer.kernel,
            count(layer.instructions),
            share(layer.instructions, instructions),
            count(layer.macs),
            ratio(layer.instructions, layer.macs),
        )
        for layer in layers
    ]
    total = ("total", "", "", count(instructions), share(instructions, instructions), count(macs))
    return table(columns, rows, width, (*total, ratio(instructions, macs)))


def figures(report: RunReport) -> RenderableType:
    """The totals, each with how it was obtained."""
    if report.instructions is None:
        why = "unknown: only a run on an emulated chip counts them"
        return facts([("instructions", why), ("stack", "unknown"), ("outputs", report.how)])
    per_mac = f", {ratio(report.instructions, report.macs)} per MAC" if report.macs else ""
    mean = " (mean)" if report.samples > 1 else ""
    return facts(
        [
            ("instructions", _with_how(f"{count(report.instructions)} per run{mean}{per_mac}", report.how)),
            ("stack", _with_how(memory(report.stack_bytes), report.how)),
        ]
    )


def _with_how(text: str, how: str) -> Text:
    return Text.assemble(text, "  ", (how, "dim"))


def output_text(info: TensorInfo, first: Array, width: int) -> RenderableType:
    """The largest elements of one output of the first sample, as stored and as real numbers."""
    flat = first.reshape(-1)
    order = np.argsort(-flat.astype(np.float64), kind="stable")[:TOP]
    what = "first sample" if flat.size <= TOP else f"first sample, {len(order)} largest of {flat.size:,}"
    columns = [Column("index", "right"), Column("stored", "right")]
    rows = [(_index(int(k), first.shape), f"{flat[k]:.6g}" if flat.dtype.kind == "f" else f"{flat[k]}") for k in order]
    if info.scale is not None and info.zero_point is not None:
        columns.append(Column("real", "right"))
        rows = [
            (*row, f"{(int(flat[k]) - info.zero_point) * info.scale:.4f}") for row, k in zip(rows, order, strict=True)
        ]
    head = Text.assemble(("output   ", "dim"), f"'{safe(info.name)}' {tensor(info)}", (f"  {what}", "dim"))
    return Group(head, table(columns, rows, width))


def _index(flat: int, shape: tuple[int, ...]) -> str:
    """An element's place without the axes of one element."""
    place = [int(k) for k, n in zip(np.unravel_index(flat, shape), shape, strict=True) if n > 1]
    return ",".join(map(str, place)) or "0"
