"""RNN, GRU and LSTM as whole layers: a SCAN for each layer and direction. Cells are taken apart by torch itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Value
from chipfit.importers._directions import Direction, joined, run, sequence_of, starts
from chipfit.importers._recurrent import RELU, TANH, Cell, Gate, gru, lstm, simple_rnn, split_gates
from chipfit.importers.torch.call import CallImporter, Function

_GATES = {"rnn_tanh": "h", "rnn_relu": "h", "gru": "rzn", "lstm": "ifgo"}
"""In the order of their rows."""

_PROJECTED = "use proj_size=0, and a linear layer behind it"


def _cell(kind: str, name: str, gates: Mapping[str, Gate]) -> Cell:
    if kind == "gru":
        return gru(name, gates)
    if kind == "lstm":
        return lstm(name, gates)
    return simple_rnn(name, gates["h"], TANH if kind == "rnn_tanh" else RELU)


def _layer(kind: str) -> Function:
    return lambda o: _recurrent(o, kind)


def _recurrent(o: CallImporter, kind: str) -> list[Value]:
    """The steps of the last layer, then the states at the end of all layers: (layers * directions, 1, units)."""
    if "batch_sizes" in o.args:
        raise ChipfitError("O002", "packed sequences cannot be compiled", "give the model sequences of one length")
    layers, ways = int(o.args["num_layers"]), 2 if o.flag("bidirectional") else 1
    if o.flag("train") and o.get("dropout", 0.0) and layers > 1:
        raise ChipfitError("O002", "it drops numbers at random", "export the model in evaluation mode: module.eval()")
    builder, names = o.program.builder, "hc" if kind == "lstm" else "h"
    weights = _weights(o, layers * ways)
    units = weights[0][1].shape[1]
    x = sequence_of(builder, o.real, o.flag("batch_first"), o.base)
    given = o.args["hx"] if kind == "lstm" else [o.args["hx"]]
    first = [
        starts(builder, f"{o.base}/{n}", o.tensor(v), layers * ways, units) for n, v in zip(names, given, strict=True)
    ]
    ends: list[list[Value]] = []
    for layer in range(layers):
        name = f"{o.base}/{layer}" if layers > 1 else o.base
        directions: list[Direction] = []
        for way, part in zip(range(ways), ("forward", "backward"), strict=False):
            index = layer * ways + way
            title = f"{name}/{part}" if ways > 1 else name
            cell = _cell(kind, title, split_gates(_GATES[kind], *weights[index]))
            directions.append(Direction(title, cell, [states[index] for states in first], way == 1))
        x, found = run(builder, name, x, directions, names)
        ends += found
    shapes = [tuple(int(size) for size in result.shape) for result in o.results]
    states = [
        joined(builder, f"{o.base}/{n}_end", [found[i] for found in ends], shapes[1 + i]) for i, n in enumerate(names)
    ]
    return [o.reshape(x, shapes[0]), *states]


def _weights(o: CallImporter, count: int) -> list[tuple[Array, Array, Array | None, Array | None]]:
    """Kernel, recurrent kernel and both biases of each layer and direction."""
    items: list[Any] = o.args["params"]
    each = 4 if o.flag("has_biases") else 2
    if len(items) != count * each:
        raise ChipfitError("O002", f"it has {len(items)} weights instead of {count * each}", _PROJECTED)
    arrays = [_array(o, item) for item in items]
    rows = [arrays[i : i + each] for i in range(0, len(arrays), each)]
    return [(row[0], row[1], row[2] if each == 4 else None, row[3] if each == 4 else None) for row in rows]


def _array(o: CallImporter, item: Any) -> Array:
    value = o.tensor(item)
    if not value.is_const:
        raise ChipfitError("O002", f"its weights '{value.name}' are computed", "use parameters")
    return value.array


RECURRENT: dict[str, Function] = {kind: _layer(kind) for kind in _GATES}
