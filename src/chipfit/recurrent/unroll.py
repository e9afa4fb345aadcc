"""Unrolling: a SCAN becomes the nodes of all its steps. Constants are shared between them; no output byte changes."""

from __future__ import annotations

from chipfit.graph import Graph, Node, TensorType, Value, take_name
from chipfit.ops.pack import Pack
from chipfit.ops.reshape import Reshape
from chipfit.ops.scan import TIME, Scan
from chipfit.ops.unpack import Unpack


def unroll(graph: Graph, most_steps: int | None = None) -> Graph:
    """The graph without SCANs; the same graph if it has none. Values and nodes of the given one are left as they are.

    ``most_steps``: only those of so many steps at most. A value of step 3 is named ``<name in the body>/3``, unless it
    is the only step; what a SCAN gives keeps its name.
    """

    def is_wanted(node: Node) -> bool:
        return isinstance(node.op, Scan) and (most_steps is None or node.op.steps(node) <= most_steps)

    if not any(is_wanted(node) for node in graph.nodes):
        return graph
    result = graph.copy()
    names = _Names(result)
    nodes: list[Node] = []
    for node in result.nodes:
        if is_wanted(node) and isinstance(node.op, Scan):
            nodes += _Unrolled(node, node.op, names).nodes
        else:
            nodes.append(node)
    result.nodes = nodes
    _let_go(result, names.replaced)
    result.verify()
    return unroll(result, most_steps)


class _Names:
    """Names that are taken, and what became of values."""

    def __init__(self, graph: Graph) -> None:
        self.taken = {v.name for v in graph.values()}
        self.replaced: dict[Value, Value] = {}

    def fresh(self, base: str) -> str:
        return take_name(base, self.taken)


class _Unrolled:
    """The nodes of one SCAN. ``constants``: those of its body, and what is computed of them alone, once."""

    def __init__(self, node: Node, op: Scan, names: _Names) -> None:
        self.node, self.op, self.names = node, op, names
        self.nodes: list[Node] = []
        self.constants: dict[Value, Value] = {}
        self._run()

    def _run(self) -> None:
        sequences, states = self.op.taken(self.node)
        ends, made = self.op.given(self.node)
        steps = self.op.steps(self.node)
        parts = [self._parts(x, steps) for x in sequences]
        current = [self.names.replaced.get(v, v) for v in states]
        emitted: list[list[Value]] = [[Value("", made[0].type)] * steps for _ in made]
        for step in range(steps - 1, -1, -1) if self.op.backward else range(steps):
            results = self._step(step, [*(p[step] for p in parts), *current])
            current = results[: len(ends)]
            for rows, index in zip(emitted, self.op.emitted, strict=True):
                rows[step] = results[index]
        self.names.replaced.update(zip(ends, current, strict=True))
        for y, rows in zip(made, emitted, strict=True):
            self._join(y, rows)

    def _parts(self, x: Value, steps: int) -> list[Value]:
        """The steps of a sequence."""
        shape = (x.shape[0], *x.shape[TIME + 1 :])
        names = [self.names.fresh(self._named(x.name, i)) for i in range(steps)]
        found = [Value(name, TensorType(shape, x.dtype, x.type.quant)) for name in names]
        x = self.names.replaced.get(x, x)
        self.nodes.append(Node(Reshape(shape), [x], found) if steps == 1 else Node(Unpack(TIME), [x], list(found)))
        return found

    def _named(self, name: str, step: int) -> str:
        return name if self.op.steps(self.node) == 1 else f"{name}/{step}"

    def _step(self, step: int, given: list[Value]) -> list[Value]:
        """The nodes of a step, and what the body's outputs are in it."""
        body = self.op.body
        values: dict[Value, Value] = dict(zip(body.inputs, given, strict=True))
        for node in body.nodes:
            if node.outputs[0] in self.constants:
                continue
            inputs = [None if v is None else self._operand(v, values) for v in node.inputs]
            if all(v.is_const or v in self.constants for v in node.operands):
                self._once(node, inputs)
                continue
            for v in node.outputs:
                values[v] = Value(self.names.fresh(self._named(v.name, step)), v.type)
            self.nodes.append(Node(node.op, inputs, [values[v] for v in node.outputs]))
        return [self._operand(v, values) for v in body.outputs]

    def _once(self, node: Node, inputs: list[Value | None]) -> None:
        """What does not depend on the step."""
        for v in node.outputs:
            self.constants[v] = Value(self.names.fresh(v.name), v.type)
        self.nodes.append(Node(node.op, inputs, [self.constants[v] for v in node.outputs]))

    def _operand(self, value: Value, values: dict[Value, Value]) -> Value:
        if not value.is_const and value not in self.constants:
            return values[value]
        if value not in self.constants:
            self.constants[value] = Value(self.names.fresh(value.name), value.type, value.data)
        return self.constants[value]

    def _join(self, y: Value, rows: list[Value]) -> None:
        """The steps of what comes out, side by side."""
        if len(rows) == 1:
            self.nodes.append(Node(Reshape(y.shape), [rows[0]], [y]))
        else:
            self.nodes.append(Node(Pack(TIME), list(rows), [y]))


def _let_go(graph: Graph, replaced: dict[Value, Value]) -> None:
    """Let what read the states at the end read the values of the last step, which get their names.

    A state that is no value of a step of its own, such as one that nothing changes, or one that is asked for twice, is
    a copy.
    """
    made = {v for node in graph.nodes for v in node.outputs}
    named: set[Value] = set()
    for end, value in replaced.items():
        read = any(end in node.operands for node in graph.nodes) or end in graph.outputs
        if not read:
            continue
        if value not in made or value in named or value in graph.outputs:
            index = next((i for i, n in enumerate(graph.nodes) if end in n.operands), len(graph.nodes))
            graph.nodes.insert(index, Node(Reshape(end.shape), [value], [end]))
            continue
        graph.replace(end, value)
        value.name = end.name
        named.add(value)
