"""Recurrent layers of Keras against Keras: their options, wrappers, stacked cells, states; and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Graph
from chipfit.importers import load_graph
from chipfit.recurrent import deploy
from importers import keras_nets
from importers.keras_nets import check, keras_or_skip, ops_of, randomise
from recurrent.nets import scans_of

keras = keras_or_skip()
L: Any = keras.layers

STEPS, WIDTH, UNITS = 5, 3, 4
ROW = (STEPS, WIDTH)


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_nets, "TOLERANCE", 1e-5)


def net(*layers: Any, shape: tuple[int, ...] = ROW) -> Any:
    return randomise(keras.Sequential([keras.Input(shape), *layers]), 1)


def functional(build: Callable[..., Any], *more: tuple[int, ...]) -> Any:
    """A model of all that ``build`` makes of its inputs."""
    inputs = [keras.Input(shape) for shape in (ROW, *more)]
    return randomise(keras.Model(inputs, build(*inputs)), 1)


def cells() -> Any:
    return L.StackedRNNCells([L.GRUCell(UNITS), L.LSTMCell(6), L.SimpleRNNCell(2)])


CASES: dict[str, Callable[[], Any]] = {
    "simple": lambda: net(L.SimpleRNN(UNITS)),
    "simple_relu_no_bias": lambda: net(L.SimpleRNN(UNITS, activation="relu", use_bias=False, return_sequences=True)),
    "gru": lambda: net(L.GRU(UNITS)),
    "gru_reset_before": lambda: net(L.GRU(UNITS, reset_after=False, return_sequences=True)),
    "gru_no_bias": lambda: net(L.GRU(UNITS, use_bias=False), L.Dense(2)),
    "gru_activations": lambda: net(L.GRU(UNITS, activation="elu", recurrent_activation="hard_sigmoid")),
    "lstm": lambda: net(L.LSTM(UNITS)),
    "lstm_options": lambda: net(L.LSTM(UNITS, use_bias=False, activation="softsign", unroll=True, dropout=0.3)),
    "layers": lambda: net(L.LSTM(UNITS, return_sequences=True), L.GRU(6, return_sequences=True), L.SimpleRNN(2)),
    "backwards": lambda: net(L.GRU(UNITS, go_backwards=True)),
    "backwards_sequence": lambda: net(L.LSTM(UNITS, go_backwards=True, return_sequences=True)),
    "rnn_of_a_cell": lambda: net(L.RNN(L.LSTMCell(UNITS), return_sequences=True)),
    "stacked": lambda: net(L.RNN(cells())),
    "stacked_sequence": lambda: net(L.RNN(cells(), return_sequences=True)),
    "stacked_states": lambda: functional(lambda x: L.RNN(cells(), return_state=True)(x)),
    "states": lambda: functional(lambda x: L.LSTM(UNITS, return_state=True)(x)),
    "states_and_sequence": lambda: functional(lambda x: L.GRU(UNITS, return_sequences=True, return_state=True)(x)),
    "initial_state": lambda: functional(
        lambda x, h, c: L.LSTM(UNITS, return_sequences=True)(x, initial_state=[h, c]), (UNITS,), (UNITS,)
    ),
    "states_of_another": lambda: functional(
        lambda x: L.GRU(UNITS)(x, initial_state=L.GRU(UNITS, return_state=True)(x)[1])
    ),
    "both_concat": lambda: net(L.Bidirectional(L.GRU(UNITS, return_sequences=True))),
    "both_last": lambda: net(L.Bidirectional(L.LSTM(UNITS), merge_mode="sum")),
    "both_ave": lambda: net(L.Bidirectional(L.SimpleRNN(UNITS, return_sequences=True), merge_mode="ave")),
    "both_mul": lambda: net(L.Bidirectional(L.GRU(UNITS), merge_mode="mul")),
    "both_apart": lambda: functional(
        lambda x: L.Bidirectional(L.GRU(UNITS, return_sequences=True), merge_mode=None)(x)
    ),
    "both_states": lambda: functional(lambda x: L.Bidirectional(L.LSTM(UNITS, return_state=True))(x)),
    "both_initial": lambda: functional(
        lambda x, h, g: L.Bidirectional(L.GRU(UNITS))(x, initial_state=[h, g]), (UNITS,), (UNITS,)
    ),
    "both_different": lambda: net(
        L.Bidirectional(L.GRU(UNITS), backward_layer=L.LSTM(6, go_backwards=True), merge_mode="concat")
    ),
    "each_dense": lambda: net(L.TimeDistributed(L.Dense(UNITS, activation="relu")), L.GRU(UNITS)),
    "each_conv": lambda: net(
        L.TimeDistributed(L.Conv2D(2, 3, activation="relu")), L.TimeDistributed(L.Flatten()), shape=(STEPS, 5, 6, 2)
    ),
    "each_model": lambda: net(
        L.TimeDistributed(keras.Sequential([keras.Input((WIDTH,)), L.Dense(6, "tanh"), L.Dense(2)])), L.LSTM(UNITS)
    ),
    "each_recurrent": lambda: net(L.TimeDistributed(L.GRU(UNITS)), L.LSTM(2), shape=(4, STEPS, WIDTH)),
    "last_of_a_sequence": lambda: functional(lambda x: L.GRU(UNITS, return_sequences=True)(x)[:, -1]),
    "one_layer_twice": lambda: functional(lambda x: (lambda layer: layer(x) + layer(2 * x))(L.GRU(UNITS))),
}


@pytest.mark.parametrize("name", CASES)
def test_layer(name: str) -> None:
    graph = check(keras, CASES[name]())
    assert scans_of(graph) or name.startswith("each")


def test_what_the_graphs_are() -> None:
    graph = check(keras, CASES["last_of_a_sequence"]())
    assert [op.emitted for op in scans_of(graph)] == [()]
    graph = check(keras, CASES["both_concat"]())
    assert sorted(ops_of(graph)) == ["concatenation", "scan", "scan"]
    assert [op.backward for op in scans_of(graph)] == [False, True]
    graph = check(keras, CASES["stacked"]())
    (op,) = scans_of(graph)
    assert [v.name.split("/", 1)[1] for v in op.body.inputs[1:]] == ["0/h", "1/h", "1/c", "2/h"]
    graph = check(keras, CASES["each_conv"]())
    assert [[n.op.name for n in op.body.nodes] for op in scans_of(graph)] == [["conv2d"], ["reshape"]]


def test_a_layer_that_is_called_twice_keeps_two_states() -> None:
    graph: Graph = check(keras, CASES["one_layer_twice"]())
    names = [v.name for op in scans_of(graph) for v in op.body.inputs[1:]]
    assert len(deploy(graph, state="kept").variables) == len(names) == 2


# ---------------------------------------------------------------------------------------------- refusals


def refused(model: Any) -> str:
    with pytest.raises(ChipfitError) as caught:
        load_graph(model)
    assert caught.value.code == "O002"
    return caught.value.message


def test_what_is_refused() -> None:
    stateful = keras.Sequential([keras.Input(ROW, batch_size=1), L.GRU(UNITS, stateful=True)])
    assert "stateful=True cannot be compiled" in refused(stateful)

    class Odd(L.GRUCell):
        """A cell of one's own."""

    assert "a cell of the class Odd cannot be compiled" in refused(net(L.RNN(Odd(UNITS))))
    assert "a cell of the class Odd cannot be compiled" in refused(net(L.RNN([L.GRUCell(UNITS), Odd(UNITS)])))
