"""WHILE that counts through sequences -> SCAN. Other loops are not imported: how often they run is only known then."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph, Value
from chipfit.importers.tflite.model import OperatorRecord, SubgraphRecord
from chipfit.ops.scan import TIME, Scan

if TYPE_CHECKING:
    from chipfit.importers.tflite.operator import OperatorImporter

_HINT = "loops that count through the steps of sequences are known, as chipfit writes them; else unroll the layer"


def import_while(o: OperatorImporter) -> None:
    """The body without what takes steps out of sequences, puts steps into them and counts, becomes that of a SCAN."""
    options = o.options("WhileOptions")
    file = o.subgraph.variables.file
    body, cond = file.subgraph(int(options.bodySubgraphIndex)), file.subgraph(int(options.condSubgraphIndex))
    counts = {o.input_count, len(o.record.outputs), len(body.inputs), len(body.outputs), len(cond.inputs)}
    if len(counts) > 1 or not counts.isdisjoint({0}):
        raise o.damaged(f"{sorted(counts)} tensors go round in it")
    loop = _Loop(body)
    first, step = int(o.constant(loop.counter, "first step").reshape(-1)[0]), loop.step
    limit, goes_on = _limit(cond, loop.counter)
    name = o.outputs[0].name
    graph = o.subgraph.inside(loop.body, f"{name}/body")
    sequences = [o.input(i) for i in loop.sequences]
    steps = {v.shape[TIME] for v in sequences if len(v.shape) > TIME}
    backward = step == -1
    begins, ends = (limit, first + 1) if backward else (first, limit)
    if goes_on != ("GREATER_EQUAL" if backward else "LESS") or begins != 0 or steps != {ends}:
        raise _unknown("it does not run once for each step of its sequences")
    kept = len(loop.states)
    op = Scan(graph, len(sequences), tuple(range(kept, kept + len(loop.made))), backward)
    taken: list[Value | None] = [*sequences, *(o.input(i) for i in loop.states)]
    o.subgraph.append(_with_shared_ends(op), taken, [o.output(i) for i in (*loop.states, *loop.made)])


def _unknown(why: str) -> ChipfitError:
    return ChipfitError("O002", why, _HINT)


def _with_shared_ends(op: Scan) -> Scan:
    """Steps that are states, too, are named once."""
    outputs = op.body.outputs
    kept = op.state_count
    distinct = [v for i, v in enumerate(outputs) if i < kept or v not in outputs[:i]]
    emitted = tuple(distinct.index(outputs[i]) for i in op.emitted)
    body = Graph(op.body.name, op.body.inputs, distinct, op.body.nodes)
    return Scan(body, op.sequences, emitted, op.backward)


def _operand(op: OperatorRecord, position: int) -> int:
    """The tensor at an input. Raises ChipfitError O002 where there is none."""
    index = op.inputs[position] if position < len(op.inputs) else -1
    if index < 0:
        raise _unknown(f"its {op.title} lacks input {position}")
    return index


def _limit(cond: SubgraphRecord, counter: int) -> tuple[int, str]:
    """What the counter is compared with, and how."""
    last = cond.operators[-1] if cond.operators else None
    compares = last is not None and len(cond.operators) == 1 and cond.outputs == last.outputs
    if last is None or not compares or _operand(last, 0) != cond.inputs[counter]:
        raise _unknown("its condition is no comparison of a counter with a constant")
    data: Array | None = cond.tensors[_operand(last, 1)].data
    if data is None or data.size != 1:
        raise _unknown("its limit is computed when the model runs")
    return int(data.reshape(-1)[0]), last.builtin


class _Loop:
    """What goes round, by position among the loop's inputs: the counter, sequences, states, and what is made.

    ``body``: the subgraph of one step: its inputs are steps and states, its outputs states and steps.
    """

    def __init__(self, record: SubgraphRecord) -> None:
        self.record = record
        self.maker = {i: op for op in record.operators for i in op.outputs}
        self.gone: set[int] = set()
        self.counter, self.step = self._counter()
        self.sequences: list[int] = []
        self.states: list[int] = []
        self.made: list[int] = []
        parts: list[int] = []
        rows: list[int] = []
        for position, (given, result) in enumerate(zip(record.inputs, record.outputs, strict=True)):
            maker = self.maker.get(result)
            if position == self.counter:
                continue
            if result == given and (part := self._part(given)) is not None:
                self.sequences.append(position)
                parts.append(part)
            elif maker is not None and maker.builtin == "DYNAMIC_UPDATE_SLICE" and _operand(maker, 0) == given:
                self.made.append(position)
                rows.append(self._row(maker))
            else:
                self.states.append(position)
        if not self.sequences:
            raise _unknown("it goes through no sequence")
        inputs = (*parts, *(record.inputs[i] for i in self.states))
        outputs = (*(record.outputs[i] for i in self.states), *rows)
        kept = [op for op in record.operators if op.index not in self.gone]
        self.body = dataclasses.replace(record, inputs=inputs, outputs=outputs, operators=kept)

    def _scalar(self, index: int) -> int | None:
        data = self.record.tensors[index].data
        return int(data.reshape(-1)[0]) if data is not None and data.size == 1 and data.dtype.kind == "i" else None

    def _counter(self) -> tuple[int, int]:
        """Which of what goes round is only counted up or down, and by how much."""
        for position, (given, result) in enumerate(zip(self.record.inputs, self.record.outputs, strict=True)):
            maker = self.maker.get(result)
            if maker is not None and maker.builtin == "ADD" and _operand(maker, 0) == given:
                step = self._scalar(_operand(maker, 1))
                if step in (1, -1):
                    self.gone.add(maker.index)
                    return position, step
        raise _unknown("nothing in it counts its steps")

    def _readers(self, index: int) -> Sequence[OperatorRecord]:
        return [op for op in self.record.operators if index in op.inputs]

    def _part(self, sequence: int) -> int | None:
        """The step that a GATHER takes out of a sequence; None: it is used otherwise."""
        readers = self._readers(sequence)
        if len(readers) != 1 or readers[0].builtin != "GATHER" or readers[0].options is None:
            return None
        gather = readers[0]
        if _operand(gather, 1) != self.record.inputs[self.counter] or int(gather.options.axis) != TIME:
            return None
        self.gone.add(gather.index)
        return gather.outputs[0]

    def _row(self, update: OperatorRecord) -> int:
        """The step that is put into a sequence, before it got the axis of steps."""
        reshape = self.maker.get(_operand(update, 1))
        place = self.maker.get(_operand(update, 2))
        if reshape is None or reshape.builtin != "RESHAPE" or place is None or place.builtin != "MUL":
            raise _unknown("it puts something else than a step into a sequence")
        if self.record.inputs[self.counter] not in place.inputs:
            raise _unknown("it puts a step elsewhere than at its place")
        self.gone |= {update.index, reshape.index, place.index}
        return _operand(reshape, 0)
