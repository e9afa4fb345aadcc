"""Graph to program: views, order, kernels and memory. What is left is printing C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chipfit.codegen.choose import Candidate, Demands, rejections
from chipfit.codegen.compress import LEAST_SAVED, Packing
from chipfit.codegen.ctext import identifier
from chipfit.codegen.fit import BALANCED, SLOWEST, Fit, Goal
from chipfit.codegen.program import Program, Step, collect_constants
from chipfit.codegen.widths import weight_widths
from chipfit.errors import ChipfitError
from chipfit.graph import Graph, Node
from chipfit.ops import Call, Choice, Kernel, op_of
from chipfit.ops.scan import Scan
from chipfit.plan import (
    ALIGNMENT,
    MemoryPlan,
    Views,
    calls_to_make,
    find_views,
    nodes_without_work,
    plan_memory,
    schedule,
)

LOOP = Kernel("loop")
"""What runs a SCAN: no function of the runtime, but C text around those of its body."""


def lower(
    graph: Graph,
    features: frozenset[str],
    name: str | None = None,
    *,
    weight_flash: int | None = None,
    shared: bool = False,
    goal: Goal = BALANCED,
    compressed: bool = False,
    inside: bool = False,
) -> Program:
    """Choose a kernel for every node and plan the memory, for a core with these features.

    ``weight_flash``: bytes that all weights may take; None: one byte per weight stays one byte. ``shared``: only
    kernels whose body all layers can share. ``goal``: what may be done for a small arena. ``compressed``: weights are
    stored compressed where that saves flash: not those of loops, which would be made in each step, nor where flash is
    a space of its own, which kernels read otherwise.
    ``inside``: the graph is the body of a loop.
    Raises ChipfitError O002 for a node without a kernel, or for an input that cannot come by rows.
    """
    if not graph.inputs:
        raise ChipfitError("O002", f"{graph.name} has no inputs", "a program reads samples: give the model an input")
    views = find_views(graph)
    idle = nodes_without_work(graph, views)
    order = [n for n in schedule(graph) if n not in idle]
    widths = weight_widths(order, features, weight_flash)
    apart = "harvard" in features
    slower = SLOWEST if goal.squeeze > 1 else goal.slower
    demands = Demands(features, slower, shared, compressed and not apart and not inside)
    prefix = identifier(name or graph.name)
    loops = _loops(order, prefix, features, shared, goal)
    plan, taken = Fit(graph, order, views, demands, widths, goal, loops).solve()
    if sum(c.packing.plain - c.packing.packed for c in taken if c.packing) < LEAST_SAVED and demands.compressed:
        plan, taken = Fit(graph, order, views, replace(demands, compressed=False), widths, goal, loops).solve()
    width = dict(zip(order, widths, strict=True))
    choices = [rejections(c.node, demands, width[c.node], c.kernel) for c in taken]
    return _program(prefix, graph, plan, taken, choices, inside=inside, has_flash_apart=apart)


def _loops(
    order: Sequence[Node], prefix: str, features: frozenset[str], shared: bool, goal: Goal
) -> dict[Node, Candidate]:
    """The loops among the nodes, each with the program of its body."""
    inner = Goal(goal.slower, goal.squeeze)
    found: dict[Node, Candidate] = {}
    for index, node in enumerate(order):
        if isinstance(node.op, Scan):
            body = lower(node.op.body, features, f"{prefix}_s{index}", shared=shared, goal=inner, inside=True)
            found[node] = Candidate(node, LOOP, (), body=body)
    return found


def assemble(
    graph: Graph,
    order: Sequence[Node],
    choices: Sequence[Choice],
    prefix: str,
    views: Views,
    *,
    has_flash_apart: bool = False,
    packed: Mapping[Node, tuple[tuple[Call, ...], Packing]] | None = None,
) -> Program:
    """The program with these kernels in this order, every layer on its own. ``prefix`` begins every C name; ``packed``:
    the calls of nodes whose weights are compressed."""
    taken: list[Candidate] = []
    for node, choice in zip(order, choices, strict=True):
        if packed and node in packed:
            calls, packing = packed[node]
            taken.append(Candidate(node, choice.kernel, calls, packing=packing))
            continue
        made = calls_to_make(node, views) or (choice.kernel.call or op_of(node).call)(node)
        taken.append(Candidate(node, choice.kernel, tuple(made) if isinstance(made, list) else (made,)))
    plan = plan_memory(graph, [c.unit for c in taken], views, alignment=ALIGNMENT)
    return _program(prefix, graph, plan, taken, choices, has_flash_apart=has_flash_apart)


def _program(
    prefix: str,
    graph: Graph,
    plan: MemoryPlan,
    taken: Sequence[Candidate],
    choices: Sequence[Choice],
    *,
    inside: bool = False,
    has_flash_apart: bool = False,
) -> Program:
    backward = {plan.units[step].nodes[0] for step in plan.backward}
    steps: list[Step] = []
    for index, (c, choice) in enumerate(zip(taken, choices, strict=True)):
        calls = tuple(_backward(call) for call in c.calls) if c.node in backward else c.calls
        steps.append(Step(f"{prefix}_{index:02d}_{c.node.op.name}", c.node, choice, calls, c.rows, c.body, c.packing))
    program = Program(prefix, graph, steps, plan, has_flash_apart=has_flash_apart)
    collect_constants(program, inside=inside)
    return program


def _backward(call: Call) -> Call:
    if call.function is not None:  # it makes weights
        return call
    assert "backward" in call.params
    return replace(call, params={**call.params, "backward": 1})
