"""RNN, GRU and LSTM: a SCAN for each direction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Value
from chipfit.importers._build import GraphBuilder
from chipfit.importers._directions import Direction, joined, run, sequence_of, starts
from chipfit.importers._recurrent import Activation, Cell, Gate, gru, lstm, simple_rnn, split_gates
from chipfit.importers.onnx.activations import ACTIVATIONS
from chipfit.importers.onnx.node import Function, NodeImporter

_Make = Callable[[NodeImporter, str, Mapping[str, Gate], list[Activation]], Cell]


@dataclass(frozen=True)
class _Kind:
    """``gates``: in the order of their rows. ``states``: names; ``given``: the first of their operands."""

    gates: str
    states: str
    activations: tuple[str, ...]
    make: _Make


_FULL = "leave sequence_lens out, and give the model sequences of one length"
_PARAMETERS = {"alpha": "activation_alpha", "beta": "activation_beta"}

# which parameters an activation of recurrent layers can have. Source: ONNX, the operators RNN, GRU and LSTM
_TAKES: dict[str, tuple[str, ...]] = {
    "Sigmoid": (),
    "Tanh": (),
    "Relu": (),
    "Softplus": (),
    "Softsign": (),
    "Elu": ("alpha",),
    "LeakyRelu": ("alpha",),
    "ThresholdedRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
}


def _rnn(o: NodeImporter, name: str, gates: Mapping[str, Gate], activations: list[Activation]) -> Cell:
    return simple_rnn(name, gates["h"], activations[0])


def _gru(o: NodeImporter, name: str, gates: Mapping[str, Gate], activations: list[Activation]) -> Cell:
    return gru(name, gates, activations[1], activations[0], reset_after=bool(o.attribute("linear_before_reset", 0)))


def _lstm(o: NodeImporter, name: str, gates: Mapping[str, Gate], activations: list[Activation]) -> Cell:
    if o.attribute("input_forget", 0):
        raise o.refuse("input_forget", "use an LSTM with a forget gate of its own", 0)
    if o.has(7) and np.any(o.array(7, "P")):
        raise ChipfitError("O002", "its gates look at the cell state (peepholes, P)", "use an LSTM without peepholes")
    return lstm(name, gates, activations[1], activations[0], activations[2])


_RNN = _Kind("h", "h", ("Tanh",), _rnn)
_GRU = _Kind("zrn", "h", ("Sigmoid", "Tanh"), _gru)
_LSTM = _Kind("iofg", "hc", ("Sigmoid", "Tanh", "Tanh"), _lstm)


def _layer(kind: _Kind) -> Function:
    return lambda o: _recurrent(o, kind)


def _recurrent(o: NodeImporter, kind: _Kind) -> list[Value]:
    """Outputs: Y (steps, directions, 1, units), then the states at the end (directions, 1, units); with layout 1 the
    batch comes first."""
    builder, batch_first = o.model.builder, bool(o.attribute("layout", 0))
    if o.attribute("clip") is not None:
        raise o.refuse("clip", "export the model without it")
    x = sequence_of(builder, o.x, batch_first, o.base)
    _require_full(o, x.shape[1])
    ways = _ways(o)
    kernel, recurrent = o.array(1, "W"), o.array(2, "R")
    bias = o.array(3, "B") if o.has(3) else None
    count, units = len(ways), recurrent.shape[-1]
    if {len(kernel), len(recurrent), len(recurrent if bias is None else bias)} != {count}:
        raise ChipfitError("F003", f"its weights are not those of {count} directions", "export the model again")
    given = [o.value(5 + i) if o.has(5 + i) else None for i in range(len(kind.states))]
    first = [starts(builder, f"{o.base}/{n}", v, count, units) for n, v in zip(kind.states, given, strict=True)]
    activations = _activations(o, kind, count)
    directions: list[Direction] = []
    for i, (part, backward) in enumerate(ways):
        name = f"{o.base}/{part}" if count > 1 else o.base
        biases = (None, None) if bias is None else np.split(bias[i], 2)
        gates = split_gates(kind.gates, kernel[i], recurrent[i], *biases)
        cell = kind.make(o, name, gates, activations[i])
        directions.append(Direction(name, cell, [states[i] for states in first], backward))
    y, ends = run(builder, o.base, x, directions, kind.states)
    steps = x.shape[1]
    shape = (1, steps, count, units) if batch_first else (steps, count, 1, units)
    last = (1, count, units) if batch_first else (count, 1, units)
    states = [
        joined(builder, o.model.output_name(o.node, 1 + i), [found[i] for found in ends], last)
        for i in range(len(kind.states))
    ]
    return [builder.reshape(y, shape, f"{o.base}/Y"), *states]


def _require_full(o: NodeImporter, steps: int) -> None:
    """Raise ChipfitError O002 where sequences may end early."""
    if o.has(4) and not (o.is_const(4) and np.all(o.array(4, "sequence_lens") == steps)):
        raise ChipfitError("O002", f"its sequences may be shorter than {steps} steps (sequence_lens)", _FULL)


def _ways(o: NodeImporter) -> list[tuple[str, bool]]:
    """Name of each direction, and whether it begins with the last step."""
    direction = o.attribute("direction", "forward")
    ahead, back = ("forward", False), ("backward", True)
    found = {"forward": [ahead], "reverse": [back], "bidirectional": [ahead, back]}.get(direction)
    if found is None:
        raise o.refuse("direction", "use forward, reverse or bidirectional")
    return found


def _activations(o: NodeImporter, kind: _Kind, count: int) -> list[list[Activation]]:
    """The activations of each direction. Their parameters lie in lists, in the order of those that have some."""
    default = kind.activations * count
    names: list[str] = [
        n.decode() if isinstance(n, bytes) else str(n) for n in o.attribute("activations", ()) or default
    ]
    if len(names) != len(default):
        raise ChipfitError("F003", f"it has {len(names)} activations, {len(default)} are needed", "export it again")
    left = {name: list(o.attribute(attribute, ())) for name, attribute in _PARAMETERS.items()}
    made = [_activation(o, name, left) for name in names]
    each = len(kind.activations)
    return [made[i : i + each] for i in range(0, len(made), each)]


def _activation(o: NodeImporter, wanted: str, left: dict[str, list[Any]]) -> Activation:
    """The operator of that name, whatever its case, as an activation. It takes its parameters from ``left``."""
    op = next((name for name in _TAKES if name.lower() == wanted.lower()), None)
    if op is None:
        raise ChipfitError("O002", f"activation {wanted} cannot be compiled", f"use one of {', '.join(sorted(_TAKES))}")
    attributes = {name: left[name].pop(0) for name in _TAKES[op] if left[name]}
    node = o.model.onnx.helper.make_node(op, [wanted], [wanted], **attributes)

    def apply(builder: GraphBuilder, x: Value, name: str) -> Value:
        with o.model.building(builder):
            y = ACTIVATIONS[op](NodeImporter(o.model, node, [x], name))
        assert isinstance(y, Value)
        builder.rename(y, builder.reserve(name))
        return y

    return apply


RECURRENT: dict[str, Function] = {"RNN": _layer(_RNN), "GRU": _layer(_GRU), "LSTM": _layer(_LSTM)}
