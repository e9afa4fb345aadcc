"""What ``chipfit quantize`` says of a budget."""

from __future__ import annotations

from rich.console import RenderableType

from chipfit.quantize.mixed import Budget, Mixed, Scores
from chipfit.report.text import Column, blocks, facts, memory, table

HOW = "simulated gains; RAM of the planned arena on the host, one tensor after the other"


def mixed_text(mixed: Mixed, width: int) -> RenderableType:
    """The tensors in int16 with gains and costs, and whether the budget is met."""
    columns = [
        Column("tensors in int16", flexible=True),
        Column("gain, dB", "right"),
        Column("alone, dB", "right"),
        Column("RAM", "right"),
        Column("more", "right"),
    ]
    rows = [
        (w.name, f"{w.gain:.2f}", f"{w.alone:.2f}", memory(w.arena_bytes), memory(w.cost_bytes)) for w in mixed.widened
    ]
    lines: list[tuple[str, RenderableType]] = [
        ("budget", f"{_wanted(mixed.budget)}: {'met' if mixed.met else 'not met'}"),
        ("int8", f"{_reached(mixed.before)}, RAM {memory(mixed.arena_bytes)}"),
        ("now", _reached(mixed.after)),
        ("figures", f"fitted on {mixed.fitted} samples, measured on {mixed.held_back} others; {HOW}"),
    ]
    return blocks(table(columns, rows, width) if rows else None, facts(lines))


def _wanted(budget: Budget) -> str:
    words: list[str] = []
    if budget.min_sqnr is not None:
        words.append(f"at least {budget.min_sqnr:g} dB")
    if budget.max_drop is not None:
        words.append(f"at most {budget.max_drop:g} points of agreement lost")
    if budget.max_int16 is not None:
        words.append(f"at most {budget.max_int16} tensors in int16")
    return ", ".join(words)


def _reached(scores: Scores) -> str:
    noise = "no noise" if scores.sqnr is None else f"{scores.sqnr:.1f} dB"
    return f"{noise}, agreement {100 * scores.agreement:.1f}%"
