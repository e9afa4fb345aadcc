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
    ratio,
    share,
    table,
    tensors,
    title,
)

TOP = 5
"""Elements of an output that are shown."""


def run_text(report: RunReport, width: int, *, source: str, offer: str | None = None) -> RenderableType:
    """``source``: what the inputs were; ``offer``: the command to try next."""
    core = "" if report.core == report.board else f" ({report.core})"
    measured = any(layer.instructions is not None for layer in report.layers)
    return blocks(
        title(f"{report.model} on {report.board}{core}"),
        layer_table(report.layers, report.instructions, report.macs, width, report.cycles) if measured else None,
        figures(report, source),
        *(output_text(i, array[0], width) for i, array in zip(report.output_info, report.outputs, strict=True)),
        facts([("proof", report.proof)]),
        next_step(offer) if offer else None,
    )


def layer_table(
    layers: tuple[LayerRun, ...], instructions: int | None, macs: int, width: int, cycles: int | None = None
) -> RenderableType:
    """Instructions of each layer in one run."""
    columns = [
        Column("layer", flexible=True),
        Column("op"),
        Column("kernel", wide=110),
        Column("instructions", "right"),
        Column("share", "right"),
        Column("MACs", "right"),
        Column("instr/MAC", "right"),
        Column("cycles", "right", wide=130),
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
            count(layer.cycles),
        )
        for layer in layers
    ]
    total = ("total", "", "", count(instructions), share(instructions, instructions), count(macs))
    return table(columns, rows, width, (*total, ratio(instructions, macs), count(cycles)))


def figures(report: RunReport, source: str) -> RenderableType:
    """The totals, and how they were obtained."""
    if report.instructions is None:
        instructions = "unknown: only a run on an emulated chip counts them"
    else:
        mean = " (mean)" if report.samples > 1 else ""
        per_mac = f", {ratio(report.instructions, report.macs)} per MAC" if report.macs else ""
        instructions = f"{count(report.instructions)} per run{mean}{per_mac}"
    return facts(
        [
            ("samples", f"{count(report.samples)}, {source}"),
            ("instructions", instructions),
            ("stack", memory(report.stack_bytes)),
            ("obtained", report.how),
            *_estimates(report),
        ]
    )


def _estimates(report: RunReport) -> list[tuple[str, str]]:
    """What the cycle model says, apart from what was measured."""
    if report.cycles is None or report.milliseconds is None or report.cycles_how is None:
        return []
    per_mac = f", {ratio(report.cycles, report.macs)} per MAC" if report.macs else ""
    energy = "energy unknown: the board states no current"
    if report.energy_mj is not None:
        energy = f"{report.energy_mj:,.3g} mJ"
    return [
        ("cycles", f"{count(report.cycles)} per run{per_mac}"),
        ("time", f"{report.milliseconds:,.3g} ms, {energy}"),
        ("obtained", report.cycles_how),
    ]


def output_text(info: TensorInfo, first: Array, width: int) -> RenderableType:
    """The largest elements of one output of the first sample, as stored and as real numbers."""
    flat = first.reshape(-1)
    order = np.argsort(-flat.astype(np.float64), kind="stable")[:TOP]
    what = "first sample" if flat.size <= TOP else f"the {len(order)} largest of {flat.size:,}, first sample"
    columns = [Column("index", "right"), Column("stored", "right")]
    rows = [(_index(int(k), first.shape), f"{flat[k]:.6g}" if flat.dtype.kind == "f" else f"{flat[k]}") for k in order]
    if info.scale is not None and info.zero_point is not None:
        columns.append(Column("real", "right"))
        rows = [
            (*row, f"{(int(flat[k]) - info.zero_point) * info.scale:.4f}") for row, k in zip(rows, order, strict=True)
        ]
    return Group(facts(tensors("output", [info])), Text(what, style="dim"), table(columns, rows, width))


def _index(flat: int, shape: tuple[int, ...]) -> str:
    """An element's place without the axes of one element."""
    place = [int(k) for k, n in zip(np.unravel_index(flat, shape), shape, strict=True) if n > 1]
    return ",".join(map(str, place)) or "0"
