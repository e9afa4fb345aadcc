"""Recurrent layers and cells against torch: layers, directions, states, the last step; and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Graph
from chipfit.importers import load_graph
from chipfit.interpret import evaluate
from chipfit.passes import PIPELINE
from chipfit.recurrent import deploy
from importers.torch import nets
from importers.torch.nets import check, inputs_for, ops_of, outputs_of, randomise, torch_or_skip
from recurrent.nets import scans_of

torch = torch_or_skip()
nn: Any = torch.nn

STEPS, WIDTH, UNITS = 5, 3, 4
FIRST, SECOND = (STEPS, 1, WIDTH), (1, STEPS, WIDTH)
"""Steps first, as torch has it, and ``batch_first``."""


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nets, "TOLERANCE", 1e-5)


class Around(nn.Module):
    """A function of a layer and its inputs, as a module."""

    def __init__(self, layer: Any, function: Callable[..., Any]) -> None:
        super().__init__()
        self.layer, self.function = layer, function

    def forward(self, *inputs: Any) -> Any:
        return self.function(self.layer, *inputs)


def everything(layer: Any, x: Any, *states: Any) -> Any:
    """The steps and all states at the end."""
    given = (tuple(states) if isinstance(layer, nn.LSTM) else states[0]) if states else None
    y, last = layer(x, given)
    return (y, *last) if isinstance(last, tuple) else (y, last)


def around(layer: Any, function: Callable[..., Any] = everything) -> Any:
    return randomise(torch, Around(layer, function), 2)


def states_of(count: int, kind: Any) -> list[tuple[int, ...]]:
    return [(count, 1, UNITS)] * (2 if kind is nn.LSTM else 1)


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_one_layer(kind: Any) -> None:
    graph = check(torch, around(kind(WIDTH, UNITS)), *inputs_for(torch, FIRST))
    assert [op.backward for op in scans_of(graph)] == [False]
    assert not set(ops_of(graph)) - {"scan", "reshape"}


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_two_layers_of_both_directions_with_states(kind: Any) -> None:
    layer = kind(WIDTH, UNITS, 2, bidirectional=True, batch_first=True)
    graph = check(torch, around(layer), *inputs_for(torch, SECOND, *states_of(4, kind)))
    assert [op.backward for op in scans_of(graph)] == [False, True, False, True]


def test_options() -> None:
    check(torch, around(nn.RNN(WIDTH, UNITS, nonlinearity="relu")), *inputs_for(torch, FIRST, (1, 1, UNITS)))
    layers = nn.GRU(WIDTH, UNITS, 3, bias=False, dropout=0.5, batch_first=True)
    check(torch, around(layers), *inputs_for(torch, SECOND, (3, 1, UNITS)))
    check(torch, around(nn.LSTM(WIDTH, UNITS)), *inputs_for(torch, (STEPS, WIDTH)))


def test_a_state_that_is_a_buffer() -> None:
    class Begun(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.GRU(WIDTH, UNITS, bidirectional=True)
            self.register_buffer("start", torch.linspace(-1, 1, 2 * UNITS).reshape(2, 1, UNITS))

        def forward(self, x: Any) -> Any:
            return self.layer(x, self.start)[0]

    graph = check(torch, randomise(torch, Begun(), 1), *inputs_for(torch, FIRST))
    assert len(graph.inputs) == 1


LAST: dict[str, tuple[Callable[[], Any], Callable[..., Any], tuple[int, ...]]] = {
    "batch_first": (lambda: nn.GRU(WIDTH, UNITS, batch_first=True), lambda r, x: r(x)[0][:, -1], SECOND),
    "steps_first": (lambda: nn.LSTM(WIDTH, UNITS), lambda r, x: r(x)[0][-1], FIRST),
    "slice": (lambda: nn.GRU(WIDTH, UNITS, batch_first=True), lambda r, x: r(x)[0][:, -1:, :], SECOND),
    "index": (lambda: nn.RNN(WIDTH, UNITS, 2, batch_first=True), lambda r, x: r(x)[0][:, STEPS - 1, :], SECOND),
    "state": (lambda: nn.LSTM(WIDTH, UNITS, batch_first=True), lambda r, x: r(x)[1][0][-1], SECOND),
}


@pytest.mark.parametrize("name", LAST)
def test_the_last_step_is_the_state_at_the_end(name: str) -> None:
    make, function, shape = LAST[name]
    graph = check(torch, around(make(), function), *inputs_for(torch, shape))
    assert scans_of(graph)[-1].emitted == ()
    assert not {"strided_slice", "slice", "gather", "transpose"} & set(ops_of(graph))


def test_names() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.LSTM(WIDTH, UNITS, 2), nn.Linear(UNITS, 2)

        def forward(self, x: Any) -> Any:
            return self.head(self.rnn(x)[0][-1])

    graph = check(torch, randomise(torch, Net(), 1), *inputs_for(torch, FIRST))
    assert [[v.name for v in op.body.inputs[1:]] for op in scans_of(graph)] == [
        ["rnn/lstm/0/h", "rnn/lstm/0/c"],
        ["rnn/lstm/1/h", "rnn/lstm/1/c"],
    ]


# ---------------------------------------------------------------------------------------------- cells


class Step(nn.Module):
    """A model of one step, written by hand: what comes in and the states before, the states after."""

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Any, *states: Any) -> Any:
        return self.cell(x, states if isinstance(self.cell, nn.LSTMCell) else states[0])


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.GRUCell, nn.LSTMCell])
def test_cells(kind: Any) -> None:
    states = [(1, UNITS)] * (2 if kind is nn.LSTMCell else 1)
    graph = check(torch, randomise(torch, Step(kind(WIDTH, UNITS)), 3), *inputs_for(torch, (1, WIDTH), *states))
    assert not scans_of(graph)
    assert len(graph.inputs) == 1 + len(graph.outputs) == 1 + len(states)


def test_step_by_step_as_cells_do() -> None:
    """A layer whose state is handed on gives what torch gives for the whole sequence."""
    module = around(nn.GRU(WIDTH, UNITS, 2), lambda r, x: r(x)[0])
    (x,) = inputs_for(torch, FIRST)
    graph: Graph = load_graph(module, example_inputs=(x,))
    PIPELINE.run(graph)
    step = deploy(graph, "step", "io")
    states = [np.zeros(v.shape, np.float32) for v in step.inputs[1:]]
    rows: list[Any] = []
    for i in range(STEPS):
        y, *states = evaluate(step, [x[i : i + 1].numpy(), *states])
        rows.append(y)
    np.testing.assert_allclose(np.concatenate(rows), outputs_of(torch, module, (x,))[0], rtol=0, atol=1e-5)


# ---------------------------------------------------------------------------------------------- refusals


def refused(module: Any, *shapes: tuple[int, ...]) -> str:
    with pytest.raises(ChipfitError) as caught:
        load_graph(module, example_inputs=inputs_for(torch, *shapes))
    assert caught.value.code == "O002"
    return caught.value.message


def test_what_is_refused() -> None:
    assert "it has 5 weights instead of 4" in refused(around(nn.LSTM(WIDTH, UNITS, proj_size=2)), FIRST)
    assert "its sequences have the shape [5, 2, 3]" in refused(around(nn.GRU(WIDTH, UNITS)), (STEPS, 2, WIDTH))
