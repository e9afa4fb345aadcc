"""One call of an ATen operator while it is imported: its arguments by name, and the nodes that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Shape, Value
from chipfit.importers._channels_first import ChannelsFirst

if TYPE_CHECKING:
    from chipfit.importers.torch.trace import ProgramImporter


class Absent:
    """What a call also gives, but chipfit does not compute: an error where it is read.

    ``is_reported``: it is missing because of a problem that is known already.
    """

    def __init__(self, what: str, is_reported: bool = False) -> None:
        self.what, self.is_reported = what, is_reported


def shape_of(tensor: Any) -> Shape:
    """Raises ChipfitError O002 where torch knows no number for a size."""
    if not all(isinstance(size, int) for size in tensor.shape):
        sizes = ", ".join(str(size) for size in tensor.shape)
        raise ChipfitError("O002", f"its output [{sizes}] has a size that depends on numbers", "use torch.where")
    return tuple(tensor.shape)


class CallImporter:
    """What an entry of the tables of operators works with.

    ``args``: all arguments by their names in the operator's schema, defaults included. A tensor is a value of the
    graph where it depends on an input, else a tensor of torch. Nodes are named ``<base>/<op>``; the last one becomes
    ``base``.
    """

    def __init__(self, program: ProgramImporter, args: dict[str, Any], node: Any, base: str) -> None:
        self.program, self.args, self.base = program, args, base
        self._node = node

    # ------------------------------------------------------------------------------------------ what is there

    @property
    def channels(self) -> ChannelsFirst:
        """What makes layers of which channels are first."""
        return self.program.channels

    @property
    def results(self) -> list[Any]:
        """What torch says of the outputs: shape and dtype, no elements."""
        result = self._node.meta["val"]
        return list(result) if isinstance(result, (tuple, list)) else [result]

    @property
    def shape(self) -> Shape:
        """Of the first output."""
        return shape_of(self.results[0])

    @property
    def kind(self) -> DType:
        """The element type of the first output."""
        return self.program.kind(self.results[0])

    def is_read(self, index: int) -> bool:
        """Whether anything reads one of several outputs."""
        return any(user.args[1] == index and user.users for user in self._node.users)

    def get(self, name: str, default: Any = None) -> Any:
        """An argument that is no tensor; what is not given or None is the default."""
        found = self.args.get(name)
        return default if found is None else found

    def flag(self, name: str) -> bool:
        return bool(self.args.get(name))

    def ints(self, name: str, default: Sequence[int] = ()) -> tuple[int, ...]:
        """An argument of one or several integers."""
        found = self.get(name, default)
        return (int(found),) if isinstance(found, int) else tuple(int(n) for n in found)

    @property
    def x(self) -> Value:
        """The first argument."""
        return self.tensor(next(iter(self.args.values())))

    @property
    def real(self) -> Value:
        """The first argument as float32."""
        return self.cast(self.x, DType.FLOAT32)

    def operand(self, name: str) -> Value:
        return self.tensor(self.args[name])

    def optional(self, name: str) -> Value | None:
        return None if self.args.get(name) is None else self.operand(name)

    def tensor(self, item: Any) -> Value:
        """A value of the graph, the constant that a tensor of torch is, or a number of shape (1)."""
        if isinstance(item, Value):
            return item
        if isinstance(item, (bool, int, float)):
            return self.number("constant", item)
        return self.program.constant(item)

    def array(self, name: str) -> Array | None:
        """The elements of a tensor that must be constant; None where it is not given."""
        item = self.args.get(name)
        if item is None:
            return None
        if isinstance(item, Value) and not item.is_const:
            raise ChipfitError(
                "O002", f"its {name} '{item.name}' is computed", "use a constant (a parameter, a buffer)"
            )
        return self.tensor(item).array

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front; a scalar has one."""
        return axis % max(rank, 1)

    def axes(self, name: str, rank: int) -> tuple[int, ...]:
        """Axes from the front, in order; not given, or none: all."""
        given = self.ints(name)
        return tuple(sorted({self.axis(a, rank) for a in given})) if given else tuple(range(rank))

    # ------------------------------------------------------------------------------------------ what is made

    def constant(self, part: str, data: Array) -> Value:
        return self.program.builder.constant(f"{self.base}/{part}", data)

    def number(self, part: str, number: float) -> Value:
        """A constant of one number, of shape (1): float32, or int32 for a Python integer."""
        return self.constant(part, np.array([number], np.int32 if isinstance(number, int) else np.float32))

    def real_number(self, part: str, number: float) -> Value:
        return self.number(part, float(number))

    def emit(self, op: str, inputs: Sequence[Value | None], dtype: DType | None = None, **attributes: Any) -> Value:
        """The output of a new node of an operator of chipfit."""
        return self.program.builder.node(op, inputs, f"{self.base}/{op}", dtype, **attributes)

    def emit_all(self, op: str, inputs: Sequence[Value], count: int, **attributes: Any) -> list[Value]:
        """The outputs of a new node with several."""
        names = [f"{self.base}/{i}" for i in range(count)]
        return self.program.builder.nodes(op, inputs, names, **attributes)

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        return self.program.builder.transpose(x, perm, f"{self.base}/transpose")

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        return self.program.builder.reshape(x, shape, f"{self.base}/reshape")

    def cast(self, x: Value, dtype: DType) -> Value:
        return self.program.builder.cast(x, dtype, f"{self.base}/cast")

    def with_rank(self, x: Value, rank: int) -> Value:
        """x with as many axes, new ones of size 1 in front; a constant of one element stays as it is."""
        if len(x.shape) >= rank or (x.is_const and x.type.size == 1 and x.shape):
            return x
        shape = (1,) * (rank - len(x.shape)) + x.shape
        if x.is_const:
            return self.program.builder.constant(x.name, x.array.reshape(shape))
        return self.reshape(x, shape)

    def swapped(self, x: Value) -> Value:
        """x with its last two axes exchanged."""
        rank = len(x.shape)
        return self.transpose(x, (*range(rank - 2), rank - 1, rank - 2))

    def along_last(self, x: Value, axis: int, function: Callable[[Value], Value]) -> Value:
        """The function of x with this axis moved to the end; the result has it back in its place."""
        rank = len(x.shape)
        axis = self.axis(axis, rank)
        there = [*(i for i in range(rank) if i != axis), axis]
        y = function(self.transpose(x, there))
        return self.transpose(y, [there.index(i) for i in range(rank)])


Function = Callable[[CallImporter], Any]
"""Makes the nodes of a call; returns its output, or a list of them (a :class:`Absent` for what it does not compute)."""
