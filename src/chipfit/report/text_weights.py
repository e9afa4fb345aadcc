"""What compressed weights save and cost, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from chipfit.report.text import UNKNOWN, Column, blocks, count, facts, kib, memory, plural, share, table

if TYPE_CHECKING:
    from chipfit.weights import WeightsReport


def weights_text(report: WeightsReport, width: int) -> RenderableType:
    """Bytes and instructions of the layers with compressed weights, and of the whole program."""
    if not report.packed:
        why = "too many different weights and too few zeros, too little to save, or layers that run row by row"
        return Text(f"No weights were compressed: {why}.")
    columns = [
        Column("layer", flexible=True),
        Column("stored as"),
        Column("plain KiB", "right"),
        Column("KiB", "right"),
        Column("parts", "right", wide=100),
        Column("scratch KiB", "right", wide=100),
        Column("plain instr.", "right"),
        Column("instructions", "right"),
        Column("more", "right"),
    ]
    rows = [
        (
            layer.name,
            layer.packing.form,
            kib(layer.packing.plain),
            kib(layer.packing.packed),
            count(layer.packing.parts),
            kib(layer.packing.scratch),
            count(layer.instructions_plain),
            count(layer.instructions),
            _more(layer.instructions_plain, layer.instructions),
        )
        for layer in report.packed
        if layer.packing is not None
    ]
    return blocks(table(columns, rows, width), _totals(report))


def _totals(report: WeightsReport) -> RenderableType:
    plain, now = report.plain, report.compressed
    proof = {True: "the same bytes as with plain weights", False: "NOT the same bytes", None: "not compared"}
    return facts(
        [
            (
                "weights",
                f"{memory(now.weights)} instead of {memory(plain.weights)}: {share(now.weights, plain.weights)}",
            ),
            ("flash", _change(now.flash, plain.flash, memory)),
            ("ram", _change(now.ram, plain.ram, memory)),
            ("instr.", _change(now.instructions, plain.instructions, count)),
            ("outputs", proof[report.same_outputs]),
            ("figures", f"{report.how}; {plural(len(report.packed), 'layer')} of {len(report.layers)} compressed"),
        ]
    )


def _change(now: int | None, plain: int | None, said: Callable[[int | None], str]) -> str:
    if now is None or plain is None:
        return UNKNOWN if now is None else f"{said(now)}, with plain weights {UNKNOWN}"
    return f"{said(now)} instead of {said(plain)}: {_more(plain, now)}"


def _more(before: int | None, after: int | None) -> str:
    """The change in percent."""
    return UNKNOWN if before is None or after is None or not before else f"{100 * (after - before) / before:+.1f}%"
