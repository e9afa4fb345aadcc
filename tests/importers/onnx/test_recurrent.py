"""RNN, GRU and LSTM against onnxruntime: directions, states, activations, the last step; and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph
from chipfit.importers import load_graph
from chipfit.passes import PIPELINE
from chipfit.recurrent import deploy
from importers.onnx.nets import check, close, feeds, integers, model, node, outputs_of, random, runtime_or_skip, wanted
from recurrent.nets import scans_of

runtime_or_skip()

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
STEPS, WIDTH, UNITS = 5, 3, 4
TOLERANCE = 1e-5


def constants_of(op: str, directions: int = 1, width: int = WIDTH, name: str = "") -> dict[str, Array]:
    rows = GATES[op] * UNITS
    shapes = {"W": (directions, rows, width), "R": (directions, rows, UNITS), "B": (directions, 2 * rows)}
    return {f"{name}{key}": random(*shape, seed=i) for i, (key, shape) in enumerate(shapes.items())}


def layer(op: str, direction: str = "forward", states: str = "", more: str = "", **attributes: Any) -> Any:
    """A model of one layer, with all outputs. ``states``: ``inputs`` or ``constants`` that it begins with."""
    directions = 2 if direction == "bidirectional" else 1
    constants, names = constants_of(op, directions), "hc" if op == "LSTM" else "h"
    inputs = {"x": (STEPS, 1, WIDTH)}
    for n in names if states == "inputs" else "":
        inputs[f"start_{n}"] = (directions, 1, UNITS)
    for i, n in enumerate(names if states == "constants" else ""):
        constants[f"start_{n}"] = random(directions, 1, UNITS, seed=7 + i)
    begin = " - " + " ".join(f"start_{n}" for n in names) if states else ""
    outputs = " ".join(["Y", *(f"Y_{n}" for n in names)])
    made = node(op, f"x W R B{begin}{more}", outputs, hidden_size=UNITS, direction=direction, **attributes)
    return model([made], inputs, constants, outputs.split())


CASES: dict[str, Any] = {
    **{op.lower(): layer(op) for op in GATES},
    **{f"{op.lower()}_reverse": layer(op, "reverse", "constants") for op in GATES},
    **{f"{op.lower()}_both": layer(op, "bidirectional", "inputs") for op in GATES},
    "gru_reset_after": layer("GRU", "bidirectional", "constants", linear_before_reset=1),
    "lstm_states": layer("LSTM", states="inputs"),
    "rnn_relu": layer("RNN", activations=["Relu"]),
    "rnn_both": layer("RNN", "bidirectional", activations=["LeakyRelu", "Elu"], activation_alpha=[0.2, 1.0]),
    "gru_hard": layer("GRU", activations=["hardsigmoid", "Softsign"], activation_alpha=[0.3], activation_beta=[0.4]),
    "lstm_mixed": layer(
        "LSTM",
        "bidirectional",
        activations=["HardSigmoid", "Relu", "Softplus", "Sigmoid", "LeakyRelu", "Tanh"],
        activation_alpha=[0.3, 0.1],
        activation_beta=[0.4],
    ),
    "lstm_peepholes_of_zeros": layer("LSTM", states="constants", more=" P"),
}
CASES["lstm_peepholes_of_zeros"].graph.initializer.extend(
    model([], {}, {"P": np.zeros((1, 3 * UNITS), np.float32)}, []).graph.initializer
)


@pytest.mark.parametrize("name", CASES)
def test_layer(name: str) -> None:
    graph = check(CASES[name], tolerance=TOLERANCE)
    assert [v.name for v in graph.outputs] == [o.name for o in CASES[name].graph.output]
    assert len(scans_of(graph)) == (2 if "both" in name or name in ("gru_reset_after", "lstm_mixed") else 1)


@pytest.mark.parametrize("op", GATES)
def test_batch_first(op: str) -> None:
    """onnxruntime does not have layout 1: what it says of layout 0, with the batch moved."""
    proto = layer(op, "bidirectional", "inputs")
    given = feeds(proto)
    expected = wanted(proto, given)
    for info in proto.graph.input:
        dims = info.type.tensor_type.shape.dim
        first, second = dims[0].dim_value, dims[1].dim_value
        dims[0].dim_value, dims[1].dim_value = second, first
    attribute = proto.graph.node[0].attribute.add()
    attribute.name, attribute.type, attribute.i = "layout", 2, 1
    graph = load_graph(proto)
    assert graph.inputs[0].shape == (1, STEPS, WIDTH)
    moved = {name: np.swapaxes(x, 0, 1) for name, x in given.items()}
    y, *states = expected
    assert graph.outputs[0].shape == (1, STEPS, 2, UNITS)
    close(outputs_of(graph, moved), [y.transpose(2, 0, 1, 3), *(np.swapaxes(s, 0, 1) for s in states)], TOLERANCE)


def net(op: str, pick: str, layers: int = 2) -> Any:
    """As frameworks export it: layers behind each other, batch first outside, the last step to a dense layer."""
    nodes = [node("Transpose", "x", "t0", perm=[1, 0, 2])]
    constants: dict[str, Array] = {"axis1": integers(1), "D": random(UNITS, 2), "E": random(2)}
    for i in range(layers):
        constants |= constants_of(op, 1, WIDTH if i == 0 else UNITS, f"l{i}")
        names = f"t{i} l{i}W l{i}R l{i}B"
        nodes += [node(op, names, f"Y{i} H{i}", hidden_size=UNITS), node("Squeeze", f"Y{i} axis1", f"t{i + 1}")]
    last = f"t{layers}"
    if pick == "gather":
        constants["index"] = np.array(-1, np.int64)
        nodes += [node("Transpose", last, "b", perm=[1, 0, 2]), node("Gather", "b index", "row", axis=1)]
    elif pick == "slice":
        constants |= {"from": integers(-1), "to": integers(np.iinfo(np.int64).max), "axis0": integers(0)}
        nodes += [node("Slice", f"{last} from to axis0", "s"), node("Squeeze", "s axis0", "row")]
    else:
        nodes += [node("Squeeze", f"H{layers - 1} axis1", "row")]
    return model([*nodes, node("Gemm", "row D E", "y")], {"x": (1, STEPS, WIDTH)}, constants, ["y"])


@pytest.mark.parametrize("pick", ["gather", "slice", "state"])
@pytest.mark.parametrize("op", ["GRU", "LSTM"])
def test_the_last_step_is_the_state_at_the_end(op: str, pick: str) -> None:
    graph = check(net(op, pick), tolerance=TOLERANCE)
    first, second = scans_of(graph)
    assert (first.emitted, second.emitted) == ((0,), ())
    assert not [n for n in graph.nodes if n.op.name in ("transpose", "gather", "slice", "strided_slice")]


def test_outputs_that_nobody_reads_are_not_made() -> None:
    constants = constants_of("LSTM")
    made = node("LSTM", "x W R B", "Y", hidden_size=UNITS)
    made.output[:] = ["", "", "c"]
    graph = check(model([made], {"x": (STEPS, 1, WIDTH)}, constants, ["c"]), tolerance=TOLERANCE)
    assert [op.emitted for op in scans_of(graph)] == [()]


def test_one_step_for_each_call_gives_the_same() -> None:
    proto = net("GRU", "state")
    given = feeds(proto)
    graph: Graph = load_graph(proto)
    PIPELINE.run(graph)
    step = deploy(graph, "step", "io")
    states = [np.zeros(v.shape, np.float32) for v in step.inputs[1:]]
    assert len(states) == 2
    y = states[0]
    for i in range(STEPS):
        names = [v.name for v in step.inputs]
        y, *states = outputs_of(step, dict(zip(names, [given["x"][:, i : i + 1], *states], strict=True)))
    close([y], wanted(proto, given), TOLERANCE)


# ---------------------------------------------------------------------------------------------- refusals


def refused(proto: Any) -> tuple[str, str]:
    with pytest.raises(ChipfitError) as caught:
        load_graph(proto)
    return caught.value.code, caught.value.message


def with_constant(proto: Any, name: str, data: Array) -> Any:
    proto.graph.initializer.extend(model([], {}, {name: data}, []).graph.initializer)
    return proto


def test_options_that_are_refused() -> None:
    peepholes = with_constant(layer("LSTM", states="constants", more=" P"), "P", np.ones((1, 3 * UNITS), np.float32))
    assert "peepholes" in refused(peepholes)[1]
    assert "input_forget=1" in refused(layer("LSTM", input_forget=1))[1]
    assert "clip=3.0" in refused(layer("GRU", clip=3.0))[1]
    assert "activation Affine cannot be compiled" in refused(layer("RNN", activations=["Affine"]))[1]
    assert refused(layer("GRU", activations=["Tanh"])) == (
        "F003",
        "GRU 'GRU_Y' (no tensors): it has 1 activations, 2 are needed",
    )
    direction = layer("GRU")
    next(a for a in direction.graph.node[0].attribute if a.name == "direction").s = b"sideways"
    assert "direction='sideways'" in refused(direction)[1]
    batch = layer("GRU")
    batch.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2
    assert "its sequences have the shape [5, 2, 3]" in refused(batch)[1]


@pytest.mark.parametrize("lengths", [[STEPS], [STEPS - 1], None])
def test_lengths_of_sequences(lengths: list[int] | None) -> None:
    """All steps are what there is; fewer, or a number that is computed, are refused."""
    proto = layer("GRU")
    proto.graph.node[0].input.append("lengths")
    if lengths is None:
        proto.graph.input.append(model([], {"lengths": (1,)}, {}, [], types={"lengths": np.int32}).graph.input[0])
    else:
        with_constant(proto, "lengths", np.array(lengths, np.int32))
    if lengths == [STEPS]:
        check(proto, tolerance=TOLERANCE)
    else:
        assert "its sequences may be shorter than 5 steps" in refused(proto)[1]


def test_weights_of_fewer_directions_are_found() -> None:
    proto = layer("GRU")
    next(a for a in proto.graph.node[0].attribute if a.name == "direction").s = b"bidirectional"
    code, message = refused(proto)
    assert code == "F003"
    assert "not those of 2 directions" in message
