"""What ``chipfit check`` says."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from chipfit.k210 import CheckReport, Fit
from chipfit.kmodel.compile.report import LayerReport
from chipfit.report.text import Column, blocks, command, facts, memory, next_step, safe, table, title

WORDS = {"kpu": "fully accelerated", "helped": "with help", "cpu": "on the CPU"}


def check_text(report: CheckReport, width: int, *, source: str) -> RenderableType:
    """``source``: the file as the user named it."""
    return blocks(
        title(f"{report.model} on {report.board}", accelerated(report.layers)),
        layers_table(report.layers, width),
        reasons(report.layers),
        facts(fit_facts(report.fit)),
        next_step(command("convert", source, "--for", "k210", "--data", "PICTURES", "-o", "model.kmodel"))
        if report.fit.fits
        else None,
    )


def accelerated(layers: Sequence[LayerReport]) -> str:
    counts = {word: sum(layer.status == status for layer in layers) for status, word in WORDS.items()}
    return ", ".join(f"{n} {word}" for word, n in counts.items() if n)


def layers_table(layers: Sequence[LayerReport], width: int, *, noise: bool = False) -> RenderableType:
    columns = [
        Column("#", "right", style="dim"),
        Column("layer", flexible=True),
        Column("operators", flexible=True),
        Column("result", "right"),
        Column("computed"),
        Column("nodes", flexible=True, prose=True),
    ]
    rows = [
        [
            str(i),
            layer.name,
            ", ".join(layer.ops),
            "x".join(map(str, layer.shape[1:])),
            WORDS[layer.status],
            ", ".join(layer.nodes) or "none",
        ]
        for i, layer in enumerate(layers)
    ]
    if noise:
        columns.insert(5, Column("SQNR, dB", "right"))
        for row, layer in zip(rows, layers, strict=True):
            row.insert(5, "" if layer.sqnr is None else f"{layer.sqnr:.1f}")
    return table(columns, rows, width)


def reasons(layers: Sequence[LayerReport]) -> RenderableType | None:
    """Every rule that decides, once, with the layers that it is for."""
    found: dict[tuple[str, str], list[str]] = {}
    for i, layer in enumerate(layers):
        for why, fix in zip(layer.why, layer.fix, strict=False):
            found.setdefault((why, fix), []).append(f"#{i}")
    if not found:
        return None
    lines: list[Text] = []
    for (why, fix), numbers in found.items():
        lines.append(Text(f"{', '.join(numbers)}: {safe(why)}"))
        if fix:
            lines.append(Text(f"    better: {safe(fix)}", style="dim"))
    return Group(*lines)


def fit_facts(fit: Fit) -> list[tuple[str, RenderableType]]:
    lines: list[tuple[str, RenderableType]] = [
        ("KPU", f"{memory(fit.kpu)} of {memory(fit.kpu_limit)} for maps"),
        ("heap", f"{memory(fit.needed)}: file {memory(fit.file)} and working memory {memory(fit.main)}"),
    ]
    if fit.heap is not None:
        free = fit.heap - (fit.camera or 0)
        verdict = "fits" if fit.fits else f"does not fit, by {memory(fit.needed - free)}"
        lines.append(("board", f"{verdict}: {memory(free)} are free beside the camera's {memory(fit.camera)}"))
    return lines
