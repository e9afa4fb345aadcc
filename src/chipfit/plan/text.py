"""A memory plan as a table that a person can read."""

from __future__ import annotations

from chipfit.plan.arena import Block, MemoryPlan


def plan_text(plan: MemoryPlan) -> str:
    """Figures, what makes the peak, and every block by the step at which it comes alive."""
    reached = "reached" if plan.arena_bytes == plan.lower_bound else "not reached: holes are left between the buffers"
    lines = [
        f"arena   {plan.arena_bytes:,} B, lower bound {plan.lower_bound:,} B ({reached}; placed {plan.how})",
        f"scratch {plan.scratch_bytes:,} B of it",
        f"state   {plan.state_bytes:,} B",
        f"input   {'kept' if plan.input_preserved else 'consumed: fill it again before each run'}",
        f"peak    {plan.why}",
    ]
    return "\n".join([*lines, "", *_table(plan)])


def _table(plan: MemoryPlan) -> list[str]:
    rows = [("offset", "bytes", "steps", "kind", "name")]
    for b in sorted(plan.blocks, key=lambda b: (b.buffer.first, b.offset)):
        names = [b.buffer.name, *(v.name for v in b.values[1:])]
        rows.append((f"{b.offset:,}", f"{b.buffer.size:,}", _span(b, len(plan.steps)), b.kind, " = ".join(names)))
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    return [
        f"{row[0]:>{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:<{widths[3]}}  {row[4]}"
        for row in rows
    ]


def _span(block: Block, steps: int) -> str:
    def name(step: int) -> str:
        return "in" if step < 0 else "out" if step >= steps else str(step)

    first, last = name(block.buffer.first), name(block.buffer.last)
    return first if first == last else f"{first}..{last}"
