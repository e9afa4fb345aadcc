"""What ``chipfit compile`` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from chipfit.report.data import CompileReport, Flash, LayerInfo, MemoryUse, Ram
from chipfit.report.text import (
    Column,
    blocks,
    command,
    count,
    facts,
    kib,
    memory,
    next_step,
    plural,
    safe,
    share,
    shorten,
    table,
    title,
)
from chipfit.report.text_weights import weights_text

if TYPE_CHECKING:
    from chipfit.weights import WeightsReport

_NAME_WIDTH = 40


def compile_text(
    report: CompileReport, width: int, *, kernels: bool = False, cost: WeightsReport | None = None
) -> RenderableType:
    """``kernels``: also the kernel of each layer, and why not another; ``cost``: what compressed weights save."""
    where = report.folder if report.folder.endswith("/") else f"{report.folder}/"
    head = title(f"Compiled {plural(len(report.layers), 'layer')} to {where}", f"in {report.seconds:.1f} s")
    return blocks(
        head,
        memory_text(report.flash, report.ram),
        memories_text(report.memories) if report.memories else None,
        kernel_text(report.layers, width) if kernels else None,
        weights_text(cost, width) if cost else None,
        next_step(command("run", report.folder)),
    )


def memory_text(flash: Flash, ram: Ram) -> RenderableType:
    """Flash and RAM in two lines, and how good the plan of the arena is."""
    parts_flash = [("code", flash.code), ("weights", flash.weights), ("tables", flash.tables)]
    kept = [("state", ram.state or None), ("constants", ram.constants or None)]
    parts_ram = [("arena", ram.arena), *kept, ("stack", ram.stack), ("other", ram.statics)]
    totals, limits = (flash.total, ram.total), (flash.available, ram.available)
    widths = max(len(memory(n)) for n in totals), max(len(memory(n)) for n in limits)
    return facts(
        [
            ("flash", _line(flash.total, flash.available, parts_flash, widths)),
            ("ram", _line(ram.total, ram.available, parts_ram, widths)),
            ("arena", arena_text(ram.arena, ram.lower_bound, ram.peak, ram.unshared)),
        ],
        name_width=5,
    )


def memories_text(memories: tuple[MemoryUse, ...]) -> RenderableType:
    """What lies in each memory of a board with several of a kind, and what the application must do for it."""
    widths = max(len(kib(m.used)) for m in memories), max(len(memory(m.size)) for m in memories)
    return facts(
        [
            (
                m.name,
                f"{kib(m.used):>{widths[0]}} of {memory(m.size):>{widths[1]}}  {share(m.used, m.size):>5}"
                + (f"  first {safe(m.setup)}" if m.setup and m.used else ""),
            )
            for m in memories
        ],
        name_width=max(5, *(len(m.name) for m in memories)),
    )


def _line(
    total: int | None, available: int | None, parts: list[tuple[str, int | None]], widths: tuple[int, int]
) -> Text:
    named = " + ".join(f"{name} {kib(size)}" for name, size in parts if size is not None)
    if total is None:
        return Text.assemble("unknown in total  ", (named, "dim"))
    of = f"{memory(total):>{widths[0]}} of {memory(available):>{widths[1]}}  {share(total, available):>5}"
    return Text.assemble(of, "  ", (named, "dim"))


def arena_text(arena: int, lower_bound: int, peak: str, unshared: int = 0) -> str:
    """The arena beside its lower bound, the step that needs most, and what sharing memory saves."""
    bound = "the lower bound" if arena == lower_bound else f"the lower bound is {memory(lower_bound)}"
    where, quote, name = peak.partition("'")  # the layer's name may be very long
    step = f"{where}'{shorten(safe(name.removesuffix(quote)), _NAME_WIDTH)}'" if quote else where
    saved = f"; {memory(unshared)} if no tensors shared memory" if unshared > arena else ""
    return f"{memory(arena)}, {bound}" + (f"; most is needed {step}" if step else "") + saved


def kernel_text(layers: tuple[LayerInfo, ...], width: int) -> RenderableType:
    """The kernel of each layer; below it the others with the reasons against them."""
    columns = [
        Column("#", "right", style="dim"),
        Column("layer", flexible=True),
        Column("op"),
        Column("kernel"),
        Column("MACs", "right"),
    ]
    rows = [(str(i), layer.name, layer.op, layer.kernel, count(layer.macs)) for i, layer in enumerate(layers)]
    against = [
        Text(f"  {safe(name)} for {'layer' if len(where) == 1 else 'layers'} {_list(where)}: {safe(reason)}")
        for (name, reason), where in _rejections(layers).items()
    ]
    none = Text("No other kernel could have been taken.", style="dim")
    reasons = Group(Text("Kernels that were not taken", style="dim"), *against) if against else none
    return Group(table(columns, rows, width), Text(""), reasons)


def _list(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _rejections(layers: tuple[LayerInfo, ...]) -> dict[tuple[str, str], list[int]]:
    """Numbers of the layers for each kernel that was not taken and the reason."""
    found: dict[tuple[str, str], list[int]] = {}
    for index, layer in enumerate(layers):
        for rejection in layer.rejected:
            found.setdefault(rejection, []).append(index)
    return found
