"""Recurrent layers of all frameworks: the cell of one step, and the SCAN that runs it over a sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Value
from chipfit.importers._build import GraphBuilder

Activation = Callable[[GraphBuilder, Value, str], Value]
"""Builder, x, name of the result -> the activation of x."""

Cell = Callable[[GraphBuilder, list[Value], list[Value]], tuple[list[Value], list[Value]]]
"""Builder of the body, a step of each sequence, the states -> the new states, and what else comes out."""


@dataclass(frozen=True)
class Gate:
    """What a cell sums for a gate: ``kernel`` (units, in) times the input, ``recurrent`` (units, units) times the
    state, and a bias (units,) of each, None: none. All float."""

    kernel: Array
    recurrent: Array
    bias: Array | None = None
    recurrent_bias: Array | None = None

    @property
    def joined_bias(self) -> Array | None:
        """The one bias of the sum of both."""
        if self.bias is None or self.recurrent_bias is None:
            return self.recurrent_bias if self.bias is None else self.bias
        return self.bias + self.recurrent_bias


def plain(op: str) -> Activation:
    """The activation that is an operator without attributes."""
    return lambda builder, x, name: builder.node(op, [x], name)


SIGMOID, TANH, RELU = plain("logistic"), plain("tanh"), plain("relu")


def split_gates(
    names: Sequence[str], kernel: Array, recurrent: Array, bias: Array | None, recurrent_bias: Array | None = None
) -> dict[str, Gate]:
    """The gates whose rows lie one after the other in these arrays, in the order of ``names``.

    ``kernel``: (gates * units, in), ``recurrent``: (gates * units, units), biases: (gates * units,).
    """

    def parts(array: Array | None) -> list[Array | None]:
        return [None] * len(names) if array is None else [np.array(a) for a in np.split(array, len(names))]

    columns = zip(parts(kernel), parts(recurrent), parts(bias), parts(recurrent_bias), strict=True)
    found: dict[str, Gate] = {}
    for name, (w, u, b, c) in zip(names, columns, strict=True):
        assert w is not None
        assert u is not None
        found[name] = Gate(w, u, b, c)
    return found


# ---------------------------------------------------------------------------------------------- cells


class CellBuilder:
    """Nodes of one step. ``name``: the layer's, before the names of all parts."""

    def __init__(self, builder: GraphBuilder, name: str) -> None:
        self.builder, self.name = builder, name

    def node(self, op: str, inputs: Sequence[Value | None], part: str) -> Value:
        return self.builder.node(op, inputs, f"{self.name}/{part}")

    def dense(self, x: Value, weights: Array, bias: Array | None, part: str, what: str) -> Value:
        w = self.builder.constant(f"{self.name}/{part}/{what}", weights)
        b = None if bias is None else self.builder.constant(f"{self.name}/{part}/{what}_bias", bias)
        return self.node("fully_connected", [x, w, b], f"{part}/{what}_sum")

    def sum(self, x: Value, h: Value, gate: Gate, part: str) -> Value:
        """What goes into the activation of a gate."""
        a = self.dense(x, gate.kernel, gate.joined_bias, part, "kernel")
        b = self.dense(h, gate.recurrent, None, part, "recurrent")
        return self.node("add", [a, b], f"{part}/sum")


def simple_rnn(name: str, gate: Gate, activation: Activation) -> Cell:
    """h' = act(W x + U h + b)."""

    def cell(builder: GraphBuilder, xs: list[Value], states: list[Value]) -> tuple[list[Value], list[Value]]:
        b = CellBuilder(builder, name)
        return [activation(builder, b.sum(xs[0], states[0], gate, "h"), f"{name}/h_next")], []

    return cell


def gru(
    name: str,
    gates: Mapping[str, Gate],
    activation: Activation = TANH,
    recurrent_activation: Activation = SIGMOID,
    *,
    reset_after: bool = True,
) -> Cell:
    """Update gate z, reset gate r, candidate n; h' = z h + (1 - z) n.

    ``reset_after``: n = act(W x + b + r (U h + c)), else n = act(W x + b + U (r h)). Sources: Cho et al. 2014
    (arXiv 1406.1078), whose form is the second, and CuDNN's, which is the first.
    """

    def cell(builder: GraphBuilder, xs: list[Value], states: list[Value]) -> tuple[list[Value], list[Value]]:
        b, x, h = CellBuilder(builder, name), xs[0], states[0]
        z = recurrent_activation(builder, b.sum(x, h, gates["z"], "z"), f"{name}/z")
        r = recurrent_activation(builder, b.sum(x, h, gates["r"], "r"), f"{name}/r")
        gate = gates["n"]
        if reset_after:
            inner = b.dense(h, gate.recurrent, gate.recurrent_bias, "n", "recurrent")
            reset, bias = b.node("mul", [r, inner], "n/reset"), gate.bias
        else:
            kept = b.node("mul", [r, h], "n/reset")
            reset, bias = b.dense(kept, gate.recurrent, None, "n", "recurrent"), gate.joined_bias
        candidate = b.node("add", [b.dense(x, gate.kernel, bias, "n", "kernel"), reset], "n/sum")
        n = activation(builder, candidate, f"{name}/n")
        one = builder.constant(f"{name}/one", np.ones((1, 1), np.float32))
        old = b.node("mul", [z, h], "kept")
        new = b.node("mul", [b.node("sub", [one, z], "one_minus_z"), n], "new")
        return [b.node("add", [old, new], "h_next")], []

    return cell


def lstm(
    name: str,
    gates: Mapping[str, Gate],
    activation: Activation = TANH,
    recurrent_activation: Activation = SIGMOID,
    cell_activation: Activation | None = None,
) -> Cell:
    """Gates i, f, o, candidate g; c' = f c + i g, h' = o act(c'). States: h, c.

    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.
    """

    def cell(builder: GraphBuilder, xs: list[Value], states: list[Value]) -> tuple[list[Value], list[Value]]:
        b, x, (h, c) = CellBuilder(builder, name), xs[0], states
        i, f, o = (recurrent_activation(builder, b.sum(x, h, gates[k], k), f"{name}/{k}") for k in "ifo")
        g = activation(builder, b.sum(x, h, gates["g"], "g"), f"{name}/g")
        new = b.node("add", [b.node("mul", [f, c], "kept"), b.node("mul", [i, g], "new")], "c_next")
        seen = (cell_activation or activation)(builder, new, f"{name}/c_act")
        return [b.node("mul", [o, seen], "h_next"), new], []

    return cell


def stacked(cells: Sequence[Cell], counts: Sequence[int]) -> Cell:
    """Cells of which each takes the first state of the one before as its input. ``counts``: states of each."""

    def cell(builder: GraphBuilder, xs: list[Value], states: list[Value]) -> tuple[list[Value], list[Value]]:
        left, new = list(states), list[Value]()
        for inner, count in zip(cells, counts, strict=True):
            own, left = left[:count], left[count:]
            given, _ = inner(builder, xs, own)
            new += given
            xs = given[:1]
        return new, []

    return cell


# ---------------------------------------------------------------------------------------------- over a sequence


@dataclass(frozen=True)
class Scanned:
    """``ends``: the states after the last step. ``sequence``: what came out at each step, (1, steps, ...)."""

    ends: list[Value]
    sequence: Value | None


def scan(
    builder: GraphBuilder,
    name: str,
    x: Value,
    states: Sequence[Value],
    state_names: Sequence[str],
    cell: Cell,
    *,
    emit: int | None,
    backward: bool = False,
) -> Scanned:
    """Run a cell over the second axis of x (1, steps, ...).

    ``emit``: which output of the cell, new states first, is wanted of each step; None: none. ``backward``: the last
    step comes first; the sequence keeps its order.
    """
    if len(x.shape) < 2 or x.shape[0] != 1:
        raise ChipfitError("O002", f"a sequence has the shape [1, steps, ...], not {list(x.shape)}")
    body = builder.inside(name)
    part = body.input(f"{name}/x", (1, *x.shape[2:]), x.dtype)
    inner = [body.input(f"{name}/{n}", s.shape, s.dtype) for n, s in zip(state_names, states, strict=True)]
    new, made = cell(body, [part], inner)
    outputs = [(f"{name}/{n}_next", v) for n, v in zip(state_names, new, strict=True)]
    outputs += [(f"{name}/y{i or ''}", v) for i, v in enumerate(made)]
    graph = body.close(outputs)
    emitted = () if emit is None else (emit,)
    names = [*(f"{name}/{n}_end" for n in state_names), *(f"{name}/ys" for _ in emitted)]
    found = builder.nodes("scan", [x, *states], names, body=graph, sequences=1, emitted=emitted, backward=backward)
    return Scanned(found[: len(new)], found[-1] if emitted else None)


def zeros(builder: GraphBuilder, name: str, size: int) -> Value:
    """A state of (1, size) to begin with."""
    return builder.constant(name, np.zeros((1, size), np.float32))
