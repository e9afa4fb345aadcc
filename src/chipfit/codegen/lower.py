"""Graph to program: kernels chosen, calls with all their arguments, constants, memory. What is left is printing C."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chipfit.codegen.ctext import identifier
from chipfit.codegen.widths import weight_widths
from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph, Node, Value
from chipfit.ops import Call, Choice, Const, Port, Scratch, op_of
from chipfit.plan import MemoryPlan, find_views, plan_memory, schedule

ALIGNMENT = 4
"""Bytes to which every tensor in the arena is aligned."""


@dataclass(frozen=True)
class ConstArray:
    """A constant in flash. ``role``: ``weights`` (the model's numbers) or ``table`` (what kernels need besides)."""

    symbol: str
    data: Array
    role: str


@dataclass(frozen=True)
class Step:
    """One layer: a C function that calls one kernel, once or several times."""

    function: str
    node: Node
    choice: Choice
    calls: tuple[Call, ...]


@dataclass
class Program:
    """All that the C text states."""

    name: str
    graph: Graph
    steps: list[Step]
    plan: MemoryPlan
    constants: list[ConstArray] = field(default_factory=list[ConstArray])
    _symbols: dict[tuple[str, bytes], str] = field(default_factory=dict[tuple[str, bytes], str])

    def constant(self, data: Array, role: str) -> str:
        """The symbol of a constant; equal constants are stored once."""
        key = (data.dtype.name, data.tobytes())
        if key not in self._symbols:
            symbol = f"{self.name}_{'w' if role == 'weights' else 't'}{len(self.constants)}"
            self._symbols[key] = symbol
            self.constants.append(ConstArray(symbol, data, role))
        return self._symbols[key]

    def bytes_of(self, role: str) -> int:
        return sum(c.data.nbytes for c in self.constants if c.role == role)

    @property
    def memory_bytes(self) -> int:
        """What ``init`` needs: arena, then state."""
        return self.plan.arena_bytes + self.plan.state_bytes


def scratch_sizes(calls: Iterable[Call]) -> list[int]:
    """Aligned sizes of the scratch arguments of one step, in order."""
    return [-(-arg.nbytes // ALIGNMENT) * ALIGNMENT for call in calls for arg in call.args if isinstance(arg, Scratch)]


def lower(
    graph: Graph,
    features: frozenset[str],
    name: str | None = None,
    *,
    weight_flash: int | None = None,
    shared: bool = False,
) -> Program:
    """Choose a kernel for every node and plan the memory, for a core with these features.

    ``weight_flash``: bytes that all weights may take; None: one byte per weight stays one byte. ``shared``: only
    kernels whose body all layers can share.
    Raises ChipfitError O002 for a node without a kernel.
    """
    if not graph.inputs:
        raise ChipfitError("O002", f"{graph.name} has no inputs", "a program reads samples: give the model an input")
    views = find_views(graph)
    order = [n for n in schedule(graph) if not (n.outputs and n.outputs[0] in views)]
    widths = weight_widths(order, features, weight_flash)
    choices = [op_of(node).choose(node, features, width, shared) for node, width in zip(order, widths, strict=True)]
    return assemble(graph, order, choices, identifier(name or graph.name), views)


def assemble(
    graph: Graph, order: Sequence[Node], choices: Sequence[Choice], prefix: str, views: Mapping[Value, Value]
) -> Program:
    """The program with these kernels in this order. ``prefix`` begins every C name; ``views`` need no step."""
    steps: list[Step] = []
    for index, (node, choice) in enumerate(zip(order, choices, strict=True)):
        made = (choice.kernel.call or op_of(node).call)(node)
        calls = tuple(made) if isinstance(made, list) else (made,)
        steps.append(Step(f"{prefix}_{index:02d}_{node.op.name}", node, choice, calls))
    scratch = {i: size for i, step in enumerate(steps) if (size := sum(scratch_sizes(step.calls)))}
    plan = plan_memory(graph, order, scratch, views, alignment=ALIGNMENT)
    program = Program(prefix, graph, steps, plan)
    _collect_constants(program)
    return program


def _collect_constants(program: Program) -> None:
    for step in program.steps:
        for value in step.node.operands:
            if value.is_const and _is_used(step, value):
                program.constant(value.array, "weights")
        for call in step.calls:
            for arg in call.args:
                if isinstance(arg, Const):
                    program.constant(arg.data, arg.role)
    for value in program.graph.outputs:
        if value.is_const:
            raise ChipfitError(
                "O002",
                f"graph output '{value.name}' does not depend on any input",
                "remove it from the model: its value is always the same",
            )


def _is_used(step: Step, value: Value) -> bool:
    """Whether a call really points at this operand: kernels that bring re-packed weights do not."""
    for call in step.calls:
        for arg in call.args:
            if isinstance(arg, Port) and operand(step.node, arg.name, arg.index) is value:
                return True
    return False


def operand(node: Node, port: str, index: int = 0) -> Value | None:
    """The value at a port; ``index`` counts within a variadic one. None where an optional input is absent."""
    for names, values in ((node.op.inputs, node.inputs), (node.op.outputs, node.outputs)):
        for i, name in enumerate(names):
            if name.lstrip("*") == port and name.startswith("*"):
                return values[i + index]
    return node.get(port)
