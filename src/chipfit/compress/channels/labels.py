"""Channels of a graph's tensors by number: those that can only go together have one number.

Every layer with weights makes channels, each with a number of its own. Operators hand the numbers on, and where one
needs two channels to be one (the operands of an addition), their numbers become one. A channel that somebody needs
for another reason is *fixed*: it stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chipfit.fixedpoint import Int
from chipfit.graph import Array, Shape, Value

FIXED = -1
"""In place of a number: an index that stays."""


@dataclass(frozen=True, eq=False)
class Along:
    """The channels of a tensor lie along ``axis``; ``numbers``: one for each index there, int64."""

    axis: int
    numbers: Int

    def spread(self, shape: Shape) -> Int:
        """The number of every element of a tensor of this shape."""
        return np.broadcast_to(self.numbers.reshape([-1 if a == self.axis else 1 for a in range(len(shape))]), shape)


def found_along(numbers: Int) -> Along | None:
    """The axis along which numbers of elements differ, the last one first; None: they do so along several."""
    for axis in reversed(range(numbers.ndim)):
        first = numbers[tuple(slice(None) if a == axis else slice(1) for a in range(numbers.ndim))]
        if (numbers == first).all():
            return Along(axis, np.ascontiguousarray(first.reshape(-1)))
    return None


class Labels:
    """The numbers while they are being found. Two sets of numbers are one as soon as one of each is."""

    def __init__(self) -> None:
        self.along: dict[Value, Along] = {}
        self.makers: list[Value] = []
        """The tensor whose layer made each number; the first that did."""
        self._parent: list[int] = []
        self._why: dict[int, str] = {}

    def new(self, value: Value, axis: int) -> None:
        """The tensor's layer makes its channels."""
        count, first = value.shape[axis], len(self._parent)
        self._parent += range(first, first + count)
        self.makers += [value] * count
        self.along[value] = Along(axis, np.arange(first, first + count))

    def find(self, number: int) -> int:
        """The number that stands for all that are one with it."""
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number

    def unite(self, a: Array, b: Array, reason: str) -> None:
        """Numbers at the same place become one; beside :data:`FIXED` they become fixed."""
        for x, y in zip(a.tolist(), b.tolist(), strict=True):
            if FIXED in (x, y):
                self.fix(np.array([x, y]), reason)
                continue
            x, y = sorted((self.find(x), self.find(y)))
            self._parent[y] = x
            if y in self._why:
                self._why.setdefault(x, self._why.pop(y))

    def fix(self, numbers: Array, reason: str) -> None:
        for number in numbers.tolist():
            if number != FIXED:
                self._why.setdefault(self.find(number), reason)

    def fix_value(self, value: Value, reason: str) -> None:
        if (along := self.along.get(value)) is not None:
            self.fix(along.numbers, reason)

    def why_fixed(self, number: int) -> str | None:
        """None: it is not."""
        return self._why.get(self.find(number))

    def settled(self) -> dict[Value, Along]:
        """Where channels lie, by the numbers that stand for them; fixed ones as :data:`FIXED`."""
        whole = [FIXED if self.why_fixed(n) is not None else self.find(n) for n in range(len(self._parent))]
        table = np.array([*whole, FIXED], np.int64)  # the last one is reached by -1
        return {value: Along(along.axis, table[along.numbers]) for value, along in self.along.items()}
