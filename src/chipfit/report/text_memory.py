"""What ``chipfit memory`` says."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from chipfit.plan import BlockInfo, PlanInfo
from chipfit.report.info import MemoryReport
from chipfit.report.text import Column, blocks, facts, next_step, plural, safe, share, shorten, table, title

_NAME_WIDTH = 44
_NAMED = 5
"""Blocks that are named where the peak is explained, and steps or blocks that are listed in a line."""


def memory_text(report: MemoryReport, width: int, *, offers: tuple[str, ...] = ()) -> RenderableType:
    """``offers``: commands for the last lines."""
    plan = report.plan
    counts = f"{plural(len(plan.steps), 'step')}, {plural(len(plan.blocks), 'block')}"
    return blocks(
        title(report.title, counts),
        plan_text(plan, width),
        _alternatives(report, width),
        next_step(*offers) if offers else None,
    )


def plan_text(plan: PlanInfo, width: int) -> RenderableType:
    """Figures, what makes the peak, and every block in the order in which they come into being."""
    return Group(facts(_facts(plan)), Text(""), _table(plan, width))


def _facts(plan: PlanInfo) -> list[tuple[str, RenderableType]]:
    reached = plan.arena == plan.lower_bound
    bound = "as little as these steps can do with" if reached else f"these steps need {plan.lower_bound:,} B at least"
    lines: list[tuple[str, RenderableType]] = [
        ("arena", f"{plan.arena:,} B: {bound}" + ("" if reached else f"; {_rest(plan)}")),
        ("apart", f"{plan.plain_bound:,} B for the tensors alone if none shared memory{_of_apart(plan)}"),
    ]
    if len(plan.regions) > 1:
        parts = [f"{r.bytes:,} B in {r.memory}, from {r.offset:,} on" for r in plan.regions if r.bytes]
        lines.append(("where", "; ".join(parts)))
    if plan.scratch:
        lines.append(("scratch", f"{plan.scratch:,} B: the arena would be smaller by so much without any"))
    if plan.steps:
        lines += [("peak", _peak(plan)), ("next", _next_worst(plan))]
    lines.append(("input", "kept" if plan.input_preserved else "overwritten: fill it again before each run"))
    if plan.state:
        lines.append(("state", f"{plan.state:,} B in {plural(len(plan.variables), 'variable')}, beside the arena"))
    return lines


def _rest(plan: PlanInfo) -> str:
    if len(plan.regions) > 1:
        return "what lies in one memory cannot use holes in another"
    return "the rest are holes between blocks"


def _of_apart(plan: PlanInfo) -> str:
    return f": the arena is {share(plan.arena, plan.plain_bound)} of it" if plan.plain_bound else ""


def _peak(plan: PlanInfo) -> str:
    """The busiest step, and what is in memory then."""
    live = [(i, b) for i, b in enumerate(plan.blocks) if b.lives_at(plan.busiest) and b.bytes]
    live.sort(key=lambda item: -item[1].bytes)
    parts = [f"#{i} {b.kind.split(',')[0]} {b.bytes:,}" for i, b in live[:_NAMED]]
    if live[_NAMED:]:
        parts.append(f"{sum(b.bytes for _, b in live[_NAMED:]):,} in {len(live) - _NAMED} more")
    shared = sum(b.bytes for _, b in live) - plan.lower_bound
    saved = f" - {shared:,} shared" if shared > 0 else ""
    return f"{plan.lower_bound:,} B at {_step(plan, plan.busiest)}: {' + '.join(parts)}{saved}"


def _next_worst(plan: PlanInfo) -> str:
    """What is left to gain at the busiest step: the next one sets the limit."""
    alike = [k for k, s in enumerate(plan.steps) if s.bound == plan.lower_bound]
    others = [k for k in range(len(plan.steps)) if k not in alike]
    also = f"{len(alike)} steps need as much ({_listed([str(k) for k in alike])}); " if len(alike) > 1 else ""
    if not others:
        return f"{also}no step needs less" if also else "there is no other step"
    worst = max(others, key=lambda k: plan.steps[k].bound)
    return f"{also}{plan.steps[worst].bound:,} B at {_step(plan, worst)}"


def _step(plan: PlanInfo, k: int) -> str:
    s = plan.steps[k]
    name = f"'{shorten(safe(s.layer), _NAME_WIDTH)}'"
    if s.layers == 1:
        return f"step {k}, {s.op} {name}"
    return f"step {k}, {s.layers} layers row by row, the last {s.op} {name}"


def _table(plan: PlanInfo, width: int) -> RenderableType:
    columns = [
        Column("#", "right", style="dim"),
        Column("offset", "right"),
        Column("bytes", "right"),
        Column("steps", "right"),
        Column("kind"),
        Column("name", flexible=True),
        Column("shares memory with", flexible=True, prose=True),
    ]
    rows = [
        (str(i), f"{b.offset:,}", f"{b.bytes:,}", _span(b, len(plan.steps)), _kind(b), b.name, _shares(plan, i))
        for i, b in enumerate(plan.blocks)
    ]
    return table(columns, rows, width)


def _kind(block: BlockInfo) -> str:
    return block.kind if block.rows is None else f"rows, {block.rows} of {block.height}"


def _span(block: BlockInfo, steps: int) -> str:
    def name(step: int) -> str:
        return "in" if step < 0 else "out" if step >= steps else str(step)

    first, last = name(block.first), name(block.last)
    return first if first == last else f"{first}..{last}"


def _shares(plan: PlanInfo, i: int) -> str:
    """Which blocks this one is written over, and at what distance; in a run, with which it takes turns; its views."""
    parts = [
        f"#{o.under} at {o.distance:+,} {o.how}, {o.bytes:,} B"
        for o in plan.overlays
        if o.over == i and o.how != "rows"
    ]
    turns = sorted({o.under + o.over - i for o in plan.overlays if i in (o.under, o.over) and o.how == "rows"})
    if turns:
        parts.append(f"in turn with {_listed([f'#{k}' for k in turns], 3)}")
    parts += [f"view '{name}'" for name in plan.blocks[i].views]
    return "; ".join(parts)


def _listed(names: list[str], most: int = _NAMED) -> str:
    more = len(names) - most
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:most])} and {more} more"


def _alternatives(report: MemoryReport, width: int) -> RenderableType | None:
    """What would need less, each figure from a plan of its own."""
    if not report.alternatives:
        return None
    columns = [
        Column("what would need less", flexible=True, prose=True),
        Column("how", flexible=True, prose=True),
        Column("arena", "right"),
        Column("saved", "right"),
    ]
    arena = report.plan.arena
    rows = [(a.text, " ".join(a.options), f"{a.arena:,} B", share(arena - a.arena, arena)) for a in report.alternatives]
    return table(columns, rows, width)
