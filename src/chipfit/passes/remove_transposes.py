"""Remove transpositions: let what lies between them work on the axes in another order.

Models that were made for channels first and run with channels last are full of them. Operators that work in any order
of axes (element-wise ones, concatenations, reductions, slices, pads, reshapes that keep or part axes, dense layers
behind a flat image ...) follow the order of their neighbours, with attributes and constants changed at compile time.
What is left is what really moves elements: at the graph's inputs and outputs, whose shapes stay, and where elements
change places between two axes (a channel shuffle).

Each step lowers the bytes that transpositions move; where it does not, their number; or else their distances from the
ends of the graph. So there is a last step. No output byte changes but in float models with a dense layer behind a flat
image: it adds the same products in the order of its columns.
"""

from __future__ import annotations

from chipfit.graph import Graph, Node
from chipfit.graph.rewrite import Missed, Pass, PassReport, Uses
from chipfit.ops.transpose import Transpose
from chipfit.passes._transposes_apply import apply_plans
from chipfit.passes._transposes_cut import Costs, Plan, plan_around
from chipfit.passes._transposes_orders import is_view, mover


def remove_transposes(graph: Graph) -> PassReport:
    """Carry nodes over into other orders of axes as long as that saves something."""
    report = PassReport("remove_transposes")
    before = _transposes(graph)
    count, moved = len(before), _moved(before)
    if not before:
        return report
    _make_views(before, report)
    before = _transposes(graph)
    while _step(graph, report):
        pass
    after = dict.fromkeys(_transposes(graph))
    report.changes += [f"removed transpose '{node.name}'" for node in before if node not in after]
    if report.changes:
        report.headline = f"{count} -> {len(after)} transpositions, {moved:,} -> {_moved(list(after)):,} bytes moved"
    uses = Uses(graph)
    report.missed += [Missed(node.name, _why(node, uses)) for node in after]
    return report


def _transposes(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if isinstance(node.op, Transpose)]


def _moved(nodes: list[Node]) -> int:
    return sum(node["x"].type.nbytes for node in nodes)


def _make_views(nodes: list[Node], report: PassReport) -> None:
    """A transposition that only moves axes of size 1 moves no element."""
    for node in nodes:
        assert isinstance(node.op, Transpose)
        if is_view(node["x"].shape, node.op.perm):
            node.op = mover(node["x"].shape, node.op.perm)
            report.changes.append(f"made transpose '{node.name}' a view")


def _step(graph: Graph, report: PassReport) -> bool:
    """Carry out plans that have nothing to do with each other; whether there were any."""
    uses, costs = Uses(graph), Costs(graph)
    plans, touched = list[Plan](), set[Node]()
    for node in _transposes(graph):
        plan = None if node in touched else plan_around(node, uses, costs)
        if plan is not None and touched.isdisjoint(plan.region.touched):
            touched.update(plan.region.touched)
            plans.append(plan)
    apply_plans(graph, plans, uses)
    names = [", ".join(f"'{node.name}'" for node in plan.carried) for plan in plans if plan.carried]
    report.changes += [f"reordered the axes of {text}" for text in names]
    return bool(plans)


def _why(node: Node, uses: Uses) -> str:
    """What a transposition that stays lies between."""
    producer, y = uses.producer(node["x"]), node["y"]
    before = f"{producer.op.name} '{producer.name}'" if producer else f"'{node['x'].name}'"
    readers = [f"{reader.op.name} '{reader.name}'" for reader in uses.readers(y)]
    after = ", ".join(readers + ["the outputs of the graph"] * (y in uses.outputs))
    return f"lies between {before} and {after}, which take their axes in different orders"


REMOVE_TRANSPOSES = Pass(
    "remove_transposes",
    "Transpositions go where their neighbours can work on the axes in another order.",
    remove_transposes,
)
