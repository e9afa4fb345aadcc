"""C text of a SCAN: a loop around the functions of its body, which has its memory in the loop's scratch."""

from __future__ import annotations

from dataclasses import dataclass

from chipfit.codegen.places import memory_offset
from chipfit.codegen.program import Program, Step, is_uniform
from chipfit.graph import Value
from chipfit.ops.scan import Scan


def loop_text(program: Program, step: Step) -> str:
    """The C function of a layer that is a loop.

    States live where they are at the end, so that no state of a step is overwritten before all have been read.
    """
    return _Loop(program, step).text()


@dataclass(frozen=True)
class _Loop:
    program: Program
    step: Step

    @property
    def body(self) -> Program:
        assert self.step.body is not None
        return self.step.body

    def text(self) -> str:
        node = self.step.node
        op = node.op
        assert isinstance(op, Scan)
        sequences, states = op.taken(node)
        ends, made = op.given(node)
        inner = self.body.graph
        count = op.steps(node)
        lines = [self._start(end, state) for end, state in zip(ends, states, strict=True)]
        head = f"int32_t i = {count - 1}; i >= 0; i--" if op.backward else f"int32_t i = 0; i < {count}; i++"
        inside = [
            *(self._in(v, self._row(x, v)) for v, x in zip(inner.inputs, sequences, strict=False)),
            *(self._in(v, self._outer(x)) for v, x in zip(inner.inputs[op.sequences :], ends, strict=True)),
            *(f"{layer.function}(body);" for layer in self.body.steps),
            *(self._out(v, self._outer(y)) for v, y in zip(inner.outputs, ends, strict=False)),
            *(self._out(v, self._row(y, v)) for v, y in zip([inner.outputs[i] for i in op.emitted], made, strict=True)),
        ]
        begin = "".join(f"    {line}\n" for line in lines)
        steps = "".join(f"        {line}\n" for line in inside)
        return (
            f"CF_LAYER void {self.step.function}({self.program.memory_parameter})\n{{\n"
            f"    uint8_t *const body = {self.program.address(self.program.plan.scratch_offsets.get(node, 0))};\n"
            f"{begin}    for ({head}) {{\n{steps}    }}\n}}\n"
        )

    def _start(self, end: Value, state: Value) -> str:
        """The state at the beginning goes to where it will be at the end."""
        to, size = self._outer(end), end.type.nbytes
        if not state.is_const:
            return f"memmove({to}, {self._outer(state)}, {size}u);"
        if is_uniform(state.array):
            return f"memset({to}, {int(state.array.reshape(-1).view('uint8')[0])}, {size}u);"
        return f"memcpy({to}, {self.program.constant(state.array, 'weights')}, {size}u);"

    def _outer(self, value: Value) -> str:
        return self.program.address(memory_offset(self.program, value))

    def _row(self, sequence: Value, of_step: Value) -> str:
        return f"{self._outer(sequence)} + i * {of_step.type.nbytes}"

    def _in(self, inner: Value, source: str) -> str:
        return f"memcpy({self._inner(inner)}, {source}, {inner.type.nbytes}u);"

    def _out(self, inner: Value, target: str) -> str:
        source = self.body.constant(inner.array, "weights") if inner.is_const else self._inner(inner)
        return f"memcpy({target}, {source}, {inner.type.nbytes}u);"

    def _inner(self, value: Value) -> str:
        return self.body.address(memory_offset(self.body, value), "body")
