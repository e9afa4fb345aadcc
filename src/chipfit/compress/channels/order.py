"""Which channels of a group matter least."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from chipfit.compress.channels.fit import Reading
from chipfit.compress.channels.structure import Group, Structure
from chipfit.fixedpoint import Int
from chipfit.graph import Array, Node
from chipfit.quantize.layers import Layer

Importance = Literal["fitted", "variance", "taylor", "l1", "l2"]
"""``fitted``: what the readers cannot make up for with the other channels, one channel after the other (as in optimal
brain surgery); ``variance``: what it gives to its readers' sums; ``taylor``: what the loss would become without it, to
the first order; ``l1``, ``l2``: norm of the weights that make it. Each as a share of its layer's."""

IMPORTANCES: tuple[Importance, ...] = ("fitted", "variance", "taylor", "l1", "l2")


def orders(
    structure: Structure,
    importance: Importance,
    readings: Mapping[Node, Reading],
    gradients: Mapping[str, Array] | None = None,
) -> dict[str, Int]:
    """The numbers of each group that can lose channels, by its name: what goes first comes first.

    ``readings``: empty where there are no samples: then norms decide. ``gradients``: of the loss, by the name of
    weights and biases, for ``taylor``.
    """
    found: dict[str, Int] = {}
    for group in structure.open_groups:
        mine = [r for r in readings.values() if np.isin(r.numbers, group.numbers).any()]
        if importance == "fitted" and mine:
            found[group.name] = _eliminated(group, mine)
            continue
        scores = _scores(structure, group, importance, mine, gradients)
        found[group.name] = group.numbers[np.argsort(scores, kind="stable")]
    return found


def _scores(
    structure: Structure,
    group: Group,
    importance: Importance,
    readings: list[Reading],
    gradients: Mapping[str, Array] | None,
) -> Array:
    """(channels of the group,): sums over the layers of what each channel is worth there."""
    table = np.zeros(structure.count)
    if importance in ("fitted", "variance") and readings:
        for reading in readings:
            share = np.square(reading.w).sum(axis=0) * np.diag(reading.covariance) / reading.power
            np.add.at(table, reading.numbers[reading.numbers >= 0], share[reading.numbers >= 0])
        return table[group.numbers]
    for node, numbers in structure.makers():
        values = _of_makers(node, importance, gradients)
        total = float(values.sum()) or 1.0
        np.add.at(table, numbers[numbers >= 0], values[numbers >= 0] / total)
    return table[group.numbers]


def _of_makers(node: Node, importance: Importance, gradients: Mapping[str, Array] | None) -> Array:
    """(out,): what each output channel of a layer is worth by its weights."""
    layer = Layer(node)
    rows = layer.rows_of(node["w"].array).reshape(layer.channels, -1).astype(np.float64)
    if importance == "taylor" and gradients is not None and node["w"].name in gradients:
        slopes = layer.rows_of(gradients[node["w"].name]).reshape(layer.channels, -1)
        first = (rows * slopes).sum(axis=1)
        b = node.get("b")
        if b is not None and b.name in gradients:
            first += layer.bias * gradients[b.name]
        return np.square(first)
    return np.abs(rows).sum(axis=1) if importance == "l1" else np.sqrt(np.square(rows).sum(axis=1))


def _eliminated(group: Group, readings: list[Reading]) -> Int:
    """One channel after the other, always that of which the others can make up for most."""
    left = group.numbers.tolist()
    states = [_State(reading, group.numbers) for reading in readings]
    order: list[int] = []
    while left:
        costs = np.sum([state.costs(left) for state in states], axis=0)
        number = left.pop(int(np.argmin(costs)))
        order.append(number)
        for state in states:
            state.remove(number)
    return np.array(order, np.int64)


class _State:
    """A reader's weights and the inverse covariance of its columns, while channels go."""

    def __init__(self, reading: Reading, numbers: Int) -> None:
        covariance = reading.covariance
        ridge = 1e-3 * float(np.trace(covariance)) / len(covariance) + 1e-12
        self._inverse = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
        self._w, self._power = reading.w.copy(), reading.power
        self._columns = {int(n): np.flatnonzero(reading.numbers == n) for n in numbers}

    def costs(self, numbers: list[int]) -> Array:
        """(numbers,): error of the sums without each of them, the others fitted, as a share of the sums' variance."""
        found = np.zeros(len(numbers))
        for i, number in enumerate(numbers):
            at = self._columns[number]
            if len(at) == 1:
                w = self._w[:, at[0]]
                found[i] = w @ w / self._inverse[at[0], at[0]]
            elif len(at):
                w = self._w[:, at]
                found[i] = np.einsum("oc,oc->", w, np.linalg.solve(self._inverse[np.ix_(at, at)], w.T).T)
        return found / self._power

    def remove(self, number: int) -> None:
        at = self._columns[number]
        if not len(at):
            return
        share = np.linalg.solve(self._inverse[np.ix_(at, at)], self._inverse[at])
        self._w = self._w - self._w[:, at] @ share
        self._inverse = self._inverse - self._inverse[:, at] @ share
        # what is gone has no part in anything any more
        self._w[:, at] = 0.0
        self._inverse[at] = self._inverse[:, at] = 0.0
