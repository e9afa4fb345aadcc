"""Recurrent layers: SimpleRNN, GRU, LSTM, RNN of their cells, Bidirectional, TimeDistributed. All become SCANs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Value
from chipfit.importers._build import GraphBuilder
from chipfit.importers._recurrent import Activation, Cell, gru, lstm, scan, simple_rnn, split_gates, stacked, zeros
from chipfit.importers.keras.activations import activate
from chipfit.importers.keras.layer import Function, LayerImporter

_STATES = {"SimpleRNNCell": ("h",), "GRUCell": ("h",), "LSTMCell": ("h", "c")}


def _activation(o: LayerImporter, function: Any) -> Activation:
    def apply(builder: GraphBuilder, x: Value, name: str) -> Value:
        with o.model.building(builder):
            y = activate(o, x, function)
        if builder.producer(y) is not None and y is not x:
            builder.rename(y, builder.reserve(name))
        return y

    return apply


def _arrays(o: LayerImporter, cell: Any) -> tuple[Array, Array, Array | None]:
    """kernel (gates, in), recurrent kernel (gates, units), and the bias: (gates,), or (2, gates)."""
    if cell.kernel is None:
        raise ChipfitError("O002", f"its {type(cell).__name__} has no weights yet")
    kernel, recurrent = o.array(cell.kernel).T, o.array(cell.recurrent_kernel).T
    return kernel, recurrent, o.array(cell.bias) if cell.use_bias else None


def _simple_rnn(o: LayerImporter, cell: Any, name: str) -> Cell:
    kernel, recurrent, bias = _arrays(o, cell)
    gate = split_gates("h", kernel, recurrent, bias)["h"]
    return simple_rnn(name, gate, _activation(o, cell.activation))


def _gru(o: LayerImporter, cell: Any, name: str) -> Cell:
    kernel, recurrent, bias = _arrays(o, cell)
    both = (bias[0], bias[1]) if cell.reset_after and bias is not None else (bias, None)
    gates = split_gates("zrn", kernel, recurrent, *both)
    activations = _activation(o, cell.activation), _activation(o, cell.recurrent_activation)
    return gru(name, gates, *activations, reset_after=bool(cell.reset_after))


def _lstm(o: LayerImporter, cell: Any, name: str) -> Cell:
    kernel, recurrent, bias = _arrays(o, cell)
    gates = split_gates("ifgo", kernel, recurrent, bias)
    return lstm(name, gates, _activation(o, cell.activation), _activation(o, cell.recurrent_activation))


_CELLS: dict[str, Callable[[LayerImporter, Any, str], Cell]] = {
    "SimpleRNNCell": _simple_rnn,
    "GRUCell": _gru,
    "LSTMCell": _lstm,
}


def _cell_of(o: LayerImporter, cell: Any, name: str) -> tuple[Cell, list[tuple[str, int]]]:
    """The cell, and the names and sizes of its states."""
    kind = type(cell).__name__
    if kind == "StackedRNNCells" and type(cell).__module__.startswith("keras."):
        parts = [_cell_of(o, inner, f"{name}/{i}") for i, inner in enumerate(cell.cells)]
        states = [(f"{i}/{n}", size) for i, (_, found) in enumerate(parts) for n, size in found]
        return stacked([c for c, _ in parts], [len(found) for _, found in parts]), states
    if kind not in _CELLS or not type(cell).__module__.startswith("keras."):
        known = ", ".join(sorted(_CELLS))
        raise ChipfitError("O002", f"a cell of the class {kind} cannot be compiled", f"known cells: {known}")
    return _CELLS[kind](o, cell, name), [(n, int(cell.units)) for n in _STATES[kind]]


def recurrent(o: LayerImporter) -> list[Value]:
    """RNN and the layers that derive from it. Outputs: the sequence or its last step, then the states if asked."""
    x, given = _arguments(o)
    return _run(o, o.layer, o.real(x), given, o.base)


def _arguments(o: LayerImporter) -> tuple[Value, list[Value]]:
    """The sequence, and the states to begin with where the call gives some."""
    first = o.argument(0, "sequences") if o.args else o.kwargs.get("sequences", o.kwargs.get("inputs"))
    if isinstance(first, (list, tuple)):
        return o.tensor(first[0]), [o.tensor(v) for v in first[1:]]
    state = o.args[1] if len(o.args) > 1 else o.kwargs.get("initial_state")
    if o.kwargs.get("mask") is not None:
        raise ChipfitError("O002", "masks are not followed", "give the model sequences of one length")
    states = [] if state is None else list(state) if isinstance(state, (list, tuple)) else [state]
    return o.tensor(first), [o.real(o.tensor(v)) for v in states]


def _run(o: LayerImporter, layer: Any, x: Value, given: Sequence[Value], name: str) -> list[Value]:
    if getattr(layer, "stateful", False):
        hint = "make the layer with stateful=False, and ask chipfit to keep its state: state='kept'"
        raise ChipfitError("O002", "stateful=True cannot be compiled", hint)
    builder = o.model.builder
    cell, sizes = _cell_of(o, layer.cell, name)
    states = list(given) or [zeros(builder, f"{name}/{n}_start", size) for n, size in sizes]
    if len(states) != len(sizes):
        raise ChipfitError("O002", f"it has {len(sizes)} states, {len(states)} are given")
    emit = _output_state(layer.cell) if layer.return_sequences else None
    names = [n for n, _ in sizes]
    found = scan(builder, name, x, states, names, cell, emit=emit, backward=bool(layer.go_backwards))
    y = found.ends[_output_state(layer.cell)] if found.sequence is None else found.sequence
    if layer.go_backwards and layer.return_sequences:
        y = builder.node("reverse_v2", [y], f"{name}/reversed", axes=(1,))
    return [y, *found.ends] if layer.return_state else [y]


def _output_state(cell: Any) -> int:
    """Which of the states is what comes out: that of the last cell."""
    if type(cell).__name__ != "StackedRNNCells":
        return 0
    return sum(len(_STATES[type(inner).__name__]) for inner in cell.cells[:-1])


def bidirectional(o: LayerImporter) -> list[Value]:
    """Both directions over the same sequence; outputs merged, then the states of both if asked."""
    layer = o.layer
    x, given = _arguments(o)
    x, half = o.real(x), len(given) // 2
    ahead, back = layer.forward_layer, layer.backward_layer
    first = _run(o, ahead, x, given[:half], f"{o.base}/forward")
    second = _run_back(o, back, x, given[half:])
    y, z = first[0], second[0]
    if layer.merge_mode is None:
        merged = [y, z]
    elif layer.merge_mode == "concat":
        merged = [o.emit("concatenation", [y, z], axis=len(y.shape) - 1)]
    elif layer.merge_mode in ("sum", "ave", "mul"):
        merged = [o.emit("mul" if layer.merge_mode == "mul" else "add", [y, z])]
        if layer.merge_mode == "ave":
            merged = [o.emit("mul", [merged[0], o.number("half", 0.5)])]
    else:
        raise o.refuse("merge_mode")
    return [*merged, *first[1:], *second[1:]]


def _run_back(o: LayerImporter, layer: Any, x: Value, given: Sequence[Value]) -> list[Value]:
    """The layer that begins with the last step; Keras puts what it gives back into the order of its input."""
    name = f"{o.base}/backward"
    found = _run(o, layer, x, given, name)
    before = o.model.builder.producer(found[0])
    if layer.return_sequences and before is not None and before.op.name == "reverse_v2":
        found[0] = before["x"]
    return found


def time_distributed(o: LayerImporter) -> Value:
    """A layer for each step: as it is where it looks at the last axis alone, else as the body of a SCAN."""
    x = o.real(o.x)
    inner = o.layer.layer
    if type(inner).__name__ in _ALONG_LAST and type(inner).__module__.startswith("keras."):
        return o.apply(inner, x)

    def cell(builder: GraphBuilder, xs: list[Value], states: list[Value]) -> tuple[list[Value], list[Value]]:
        with o.model.building(builder):
            return [], [o.apply(inner, xs[0])]

    found = scan(o.model.builder, o.base, x, [], [], cell, emit=0)
    assert found.sequence is not None
    return found.sequence


_ALONG_LAST = ("Dense", "Activation", "ReLU", "LeakyReLU", "ELU", "Dropout", "Rescaling")

RECURRENT: dict[str, Function] = {
    **dict.fromkeys(("RNN", "SimpleRNN", "GRU", "LSTM"), recurrent),
    "Bidirectional": bidirectional,
    "TimeDistributed": time_distributed,
}
