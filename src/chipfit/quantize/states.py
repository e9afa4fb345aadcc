"""Models that are called for each step of a sequence and hand their state on: they are quantized as what a SCAN runs.

The states of such a model are inputs that come from outputs of the call before, or variables. Calibrated with single
steps they would never be anything but the zeros that a sequence begins with: so it takes sequences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph, Node, TensorType, Value, Variable
from chipfit.ops.assign_variable import AssignVariable
from chipfit.ops.read_variable import ReadVariable
from chipfit.ops.scan import Scan
from chipfit.quantize.apply import convert_edges
from chipfit.quantize.parameters import quantize_array
from chipfit.quantize.recipe import Recipe
from chipfit.quantize.sources import Samples, SampleSource, columns_of, samples_of

_SINGLE = "give sequences: arrays (samples, steps, ...), whose steps follow one another"


@dataclass(frozen=True)
class StepModel:
    """A float graph that is called for each step.

    ``states``: the input that takes a state -> the output that gives it. ``variables``: the same inputs -> the variable
    that the graph kept it in; empty where states are inputs and outputs of the model.
    """

    graph: Graph
    states: Mapping[Value, Value]
    variables: Mapping[Value, Variable]

    @property
    def taken(self) -> list[Value]:
        """The inputs that are no states."""
        return [v for v in self.graph.inputs if v not in self.states]

    @property
    def given(self) -> list[Value]:
        """The outputs that are no states, and those that are asked for besides."""
        kept = set(self.states.values())
        return [v for v in self.graph.outputs if v not in kept]

    def samples(self, source: SampleSource | Samples) -> tuple[Samples, int]:
        """Sequences, and how many steps they have. Raises ChipfitError Q002 for single steps, else as samples_of."""
        columns = list(source.arrays) if isinstance(source, Samples) else columns_of(source, self.taken)
        steps = {self._steps(np.asarray(a), v) for a, v in zip(columns, self.taken, strict=True)}
        if len(steps) != 1:
            raise ChipfitError("I001", f"the inputs have different numbers of steps: {sorted(steps)}")
        count = steps.pop()
        values = [_sequence(v, count) for v in self.taken]
        arrays = [np.asarray(a).reshape(len(a), *v.shape) for a, v in zip(columns, values, strict=True)]
        return samples_of(dict(zip([v.name for v in values], arrays, strict=True)), values), count

    def _steps(self, array: Array, value: Value) -> int:
        inner = value.shape[1:]
        rank = array.ndim - len(inner)
        fits = array.shape[array.ndim - len(inner) :] == inner and rank in (2, 3) and 1 in (*array.shape[2:rank], 1)
        if rank < 2 or (fits and array.shape[1] == 1):
            states = ", ".join(v.name for v in self.states)
            raise ChipfitError(
                "Q002",
                f"samples of '{value.name}' {list(array.shape)} are single steps: the states ({states}) would never be "
                "anything but what a sequence begins with",
                _SINGLE,
            )
        if not fits:
            wanted = ["samples", "steps", *map(str, inner)]
            raise ChipfitError("I001", f"samples of '{value.name}' are {list(array.shape)}, not [{', '.join(wanted)}]")
        return array.shape[1]

    def loop(self, steps: int) -> Graph:
        """The float graph of whole sequences: a SCAN of this one."""
        inner = self.graph.copy()
        by_name = {v.name: v for v in (*inner.inputs, *inner.outputs)}
        states = [(by_name[a.name], by_name[b.name]) for a, b in self.states.items()]
        given = [by_name[v.name] for v in self.given]
        inner.inputs = [by_name[v.name] for v in self.taken] + [a for a, _ in states]
        inner.outputs = [b for _, b in states] + given
        inner.variables = {}
        starts = [_constant(f"{v.name}/start", v.type, self._start(v)) for v in self.states]
        taken = [_sequence(v, steps) for v in self.taken]
        ends = [Value(f"{b.name}/end", b.type) for _, b in states]
        made = [_sequence(v, steps) for v in given]
        op = Scan(inner, len(taken), tuple(range(len(states), len(inner.outputs))))
        node = Node(op, [*taken, *starts], [*ends, *made])
        graph = Graph(self.graph.name, taken, made or ends[:1], [node])
        graph.verify()
        return graph

    def _start(self, state: Value) -> Array:
        variable = self.variables.get(state)
        return np.zeros(state.shape, np.float32) if variable is None else variable.initial

    def back(self, loop: Graph, recipe: Recipe) -> Graph:
        """The graph of one step, from that of whole sequences after it was quantized."""
        node = next(n for n in loop.nodes if isinstance(n.op, Scan))
        assert isinstance(node.op, Scan)
        graph = node.op.body.copy()
        by_name = {v.name: v for v in graph.inputs}
        outputs = dict(zip([v.name for v in (*self.states.values(), *self.given)], graph.outputs, strict=True))
        graph.inputs = [by_name[v.name] for v in self.graph.inputs]
        graph.outputs = [outputs[v.name] for v in self.graph.outputs]
        states = {by_name[a.name]: outputs[b.name] for a, b in self.states.items()}
        convert_edges(graph, recipe, keep={*states, *states.values()})
        if self.variables:
            _into_variables(graph, {by_name[v.name]: self.variables[v] for v in self.states}, states)
        graph.name = self.graph.name
        graph.verify()
        return graph


def step_model(graph: Graph, states: Mapping[str, str] | None) -> StepModel | None:
    """The model of one step that a graph is: by names, or by its variables; None: it has no state.

    Raises ChipfitError U001 for names that are none, Q004 for variables that are not read once and written once.
    """
    if graph.variables:
        return _of_variables(graph)
    if not states:
        return None
    inputs, outputs = {v.name: v for v in graph.inputs}, {v.name: v for v in graph.outputs}
    for names, known, what in ((states.keys(), inputs, "input"), (states.values(), outputs, "output")):
        for name in names:
            if name not in known:
                raise ChipfitError("U001", f"there is no {what} '{name}'", f"there are: {', '.join(known)}")
    pairs = {inputs[a]: outputs[b] for a, b in states.items()}
    for a, b in pairs.items():
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            raise ChipfitError("U001", f"'{b.name}' ({b.type}) cannot be the next '{a.name}' ({a.type})")
    if len(pairs) == len(inputs):
        raise ChipfitError("U001", "all inputs are states: nothing would come in")
    return StepModel(graph, pairs, {})


def _of_variables(graph: Graph) -> StepModel:
    result = graph.copy()
    states: dict[Value, Value] = {}
    kept: dict[Value, Variable] = {}
    for name, variable in graph.variables.items():
        nodes = [n for n in result.nodes if n.op.attributes().get("variable") == name]
        reads, writes = [n for n in nodes if n.outputs], [n for n in nodes if not n.outputs]
        if len(reads) != 1 or len(writes) != 1 or result.nodes.index(reads[0]) > result.nodes.index(writes[0]):
            raise ChipfitError("Q004", f"variable '{name}' is not read once and then written once in a run")
        old, new = reads[0].outputs[0], writes[0].operands[0]
        states[old], kept[old] = new, variable
        result.inputs.append(old)
        result.outputs.append(new)
        result.nodes = [n for n in result.nodes if n not in nodes]
    result.variables = {}
    return StepModel(result, states, kept)


def refuse_zero_states(graph: Graph, samples: Samples) -> None:
    """Raise ChipfitError Q002 where an input seems to be a state and all samples have zeros there."""
    shapes = {v.shape: v.name for v in graph.outputs}
    for value, array in zip(graph.inputs, samples.arrays, strict=True):
        if value.shape in shapes and value.dtype.is_float and len(graph.inputs) > 1 and not array.any():
            raise ChipfitError(
                "Q002",
                f"'{value.name}' is zero in all samples: if it is a state, zeros are only what a sequence begins with, "
                "and its range would be that of the first step",
                f"say so (states: {value.name} = {shapes[value.shape]}) and give sequences, or quantize it before it "
                "gets another form",
            )


def _sequence(value: Value, steps: int) -> Value:
    shape = (value.shape[0], steps, *value.shape[1:])
    return Value(value.name, TensorType(shape, value.dtype, value.type.quant))


def _constant(name: str, type_: TensorType, data: Array) -> Value:
    return Value(name, type_, np.ascontiguousarray(data))


def _into_variables(graph: Graph, kept: Mapping[Value, Variable], states: Mapping[Value, Value]) -> None:
    """Inputs and outputs that were variables are variables again, of the element types that they have now."""
    reads: list[Node] = []
    writes: list[Node] = []
    for old, variable in kept.items():
        quant = old.type.quant
        initial = variable.initial if quant is None else quantize_array(variable.initial, quant, old.dtype)
        graph.variables[variable.name] = Variable(variable.name, old.type, initial)
        reads.append(Node(ReadVariable(variable.name), [], [old]))
        writes.append(Node(AssignVariable(variable.name), [states[old]], []))
    graph.inputs = [v for v in graph.inputs if v not in kept]
    graph.outputs = graph.outputs[: len(graph.outputs) - len(kept)]
    graph.nodes = [*reads, *graph.nodes, *writes]
