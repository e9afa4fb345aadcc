"""A stateful model gives the window model's bytes: by its definition, in C, on a chip, on TFLite Micro."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit import oracle
from chipfit.graph import Graph, Value
from chipfit.graph.text import print_graph
from chipfit.interpret import evaluate
from chipfit.model import Model
from chipfit.ops.mean import Mean
from chipfit.ops.mul import Mul
from chipfit.ops.reshape import Reshape
from chipfit.ops.strided_slice import StridedSlice
from chipfit.streaming import Streamed
from oracles import needs_tflm
from streaming.random_windows import random_net
from streaming.windows import Net, bytes_of, frames_of, nodes_of, on_windows, small_net, stacked

AFTER = 5
"""Calls behind the warm-up."""
BOARD = "nucleo-l4r5zi"


def streamed_random(seed: int) -> tuple[Graph, Streamed]:
    graph, axis = random_net(seed)
    return graph, chipfit.stream(Model(graph), axis=axis)


@pytest.mark.parametrize("seed", range(80))
def test_random_models(seed: int) -> None:
    """From the first call on: what came before the first frame were zero points."""
    graph, streamed = streamed_random(seed)
    frames = frames_of(streamed.model, streamed.report.warm_up + AFTER, seed)
    expected = on_windows(graph, frames, streamed.report.axis)
    assert bytes_of(streamed.model.run_samples(frames)) == stacked(expected)
    assert streamed.report.macs < streamed.report.window_macs


@pytest.mark.parametrize("step", range(1, 13))
def test_steps(step: int) -> None:
    """Any number of new frames, whether or not it divides the window."""
    graph = small_net()
    streamed = chipfit.stream(Model(graph), step=step)
    assert streamed.model.graph.inputs[0].shape == (1, step, 1, 6)
    frames = frames_of(streamed.model, streamed.report.warm_up + AFTER)
    assert bytes_of(streamed.model.run_samples(frames)) == stacked(on_windows(graph, frames, 1))


def test_what_is_left_of_each_layer() -> None:
    report = chipfit.stream(Model(small_net())).report
    assert (report.axis, report.window, report.step, report.warm_up) == (1, 15, 1, 14)
    assert [(x.op, x.output, x.state_bytes) for x in report.layers] == [
        ("depthwise_conv2d", "int8[1,1,1,6]", 2 * 6),
        ("conv2d", "int8[1,1,1,4]", 0),
        ("conv2d", "int8[1,1,1,3]", 2 * 4),
        ("average_pool2d", "int8[1,1,1,3]", 10 * 3),
        ("reshape", "int8[1,3]", 0),
        ("fully_connected", "int8[1,3]", 0),
    ]
    assert [x.macs for x in report.layers] == [18, 24, 24, 0, 0, 9]
    assert [x.window_macs for x in report.layers] == [13 * 18, 13 * 24, 11 * 24, 0, 0, 9]
    assert (report.states, report.state_bytes) == (3, 50)


def test_warm_up_is_as_long_as_reported() -> None:
    """The call behind it depends on no frame from before the first; the call before does."""
    net = Net(seed=1)
    x = net.convolve(net.input(1, 7, 1, 2), 3)
    graph = net.done(net.add(Mean((1, 2)), x))
    streamed = chipfit.stream(Model(graph), step=2)
    assert streamed.report.warm_up == 3
    frames = [x for (x,) in frames_of(streamed.model, 4)]
    fed = np.concatenate(frames, 1)
    outputs = streamed.model.run_samples([(x,) for x in frames])[0]
    assert outputs[3].tobytes() == evaluate(graph, [fed[:, -7:]])[0].tobytes()
    loud = np.concatenate([np.full((1, 1, 1, 2), 127, np.int8), fed[:, :6]], 1)
    assert outputs[2].tobytes() != evaluate(graph, [loud])[0].tobytes()


def test_the_shift_register_pattern() -> None:
    """READ_VARIABLE, CONCATENATION, SLICE, ASSIGN_VARIABLE: what the planner makes a shift register of."""
    net = Net()
    x = net.input(1, 9, 1, 2)
    graph = chipfit.stream(Model(net.done(net.convolve(x, 4)))).model.graph
    names = [node.op.name for node in graph.nodes]
    state = ["read_variable", "concatenation", "slice", "assign_variable"]
    assert names == [*state, "conv2d", *state]
    read, joined, kept, assigned, conv = graph.nodes[:5]
    assert joined.operands == [read.outputs[0], graph.inputs[0]]
    assert kept["x"] is conv["x"] is joined["y"]
    assert kept.op.attributes() == {"begin": (0, 1, 0, 0), "size": (1, 3, 1, 2)}
    assert assigned["x"] is kept["y"]
    assert read.op.attributes() == assigned.op.attributes()


def test_readers_share_a_state() -> None:
    """The longest need is kept once; who needs less reads the end of it."""
    net = Net()
    x = net.input(1, 12, 1, 2)
    y = net.add(Mean((1, 2)), net.convolve(x, 5))
    z = net.add(Mean((1, 2)), net.convolve(x, 3))
    graph = chipfit.stream(Model(net.done(y, z))).model.graph
    assert graph.variables["in0/state"].type.shape == (1, 4, 1, 2)
    assert len(graph.variables) == 3
    assert [n.op.attributes()["begin"] for n in nodes_of(graph, "slice") if n["x"].name == "in0/window"] == [
        (0, 1, 0, 0),
        (0, 2, 0, 0),
    ]


def test_a_model_whose_output_moves() -> None:
    """The output keeps its name and shape; the frames from earlier calls are remembered."""
    net = Net()
    graph = net.done(net.convolve(net.input(1, 9, 1, 2), 3))
    streamed = chipfit.stream(Model(graph)).model
    assert [(v.name, v.type) for v in streamed.graph.outputs] == [(v.name, v.type) for v in graph.outputs]
    assert streamed.graph.variables[f"{graph.outputs[0].name}/state"].type.shape == (1, 6, 1, 3)


def test_strides_make_the_step() -> None:
    net = Net()
    x = net.convolve(net.convolve(net.input(1, 30, 1, 2), 3, stride=2), 3, stride=3)
    graph = net.done(net.add(Mean((1, 2)), x))
    streamed = chipfit.stream(Model(graph))
    assert streamed.report.step == 6
    frames = frames_of(streamed.model, 12)
    assert bytes_of(streamed.model.run_samples(frames)) == stacked(on_windows(graph, frames, 1))


def test_a_flat_input_moves_by_whole_frames() -> None:
    """A reshape tells how many elements a frame has: 10 frames of 6 elements."""
    net = Net()
    x = net.add(Reshape((1, 10, 6, 1)), net.input(1, 60))
    graph = net.done(net.add(Mean((1, 2)), net.convolve(x, 3)))
    streamed = chipfit.stream(Model(graph))
    assert (streamed.report.step, streamed.report.window) == (6, 60)
    frames = frames_of(streamed.model, 12)
    assert bytes_of(streamed.model.run_samples(frames)) == stacked(on_windows(graph, frames, 1))


def test_rows_of_a_frame() -> None:
    """A dense layer without an axis of time in its output: two rows a frame."""
    net = Net()
    x = net.dense(net.convolve(net.input(1, 12, 2, 3), 3, 4), 5, 4)
    graph = net.done(net.add(Mean((0,)), x))
    streamed = chipfit.stream(Model(graph), axis=1)
    assert streamed.report.layers[1].output == "int8[2,5]"
    frames = frames_of(streamed.model, 16)
    assert bytes_of(streamed.model.run_samples(frames)) == stacked(on_windows(graph, frames, 1))


def test_an_axis_before_time_goes_away() -> None:
    net = Net()
    net.across = True
    x = net.convolve(net.input(1, 2, 12, 3), 3, 4)
    x = net.add(StridedSlice((0, 1, 0, 0), (1, 2, 10, 4), (1,) * 4, (0, 1)), x)
    graph = net.done(net.add(Mean((0,)), x))
    streamed = chipfit.stream(Model(graph), axis=2)
    assert streamed.report.layers[1].output == "int8[1,4]"
    frames = frames_of(streamed.model, 16)
    assert bytes_of(streamed.model.run_samples(frames)) == stacked(on_windows(graph, frames, 2))


def test_equal_constants_are_cut() -> None:
    """A constant for each frame of the window, all alike, becomes one for each new frame."""
    net = Net()
    x = net.convolve(net.input(1, 9, 1, 2), 3)
    one = net.constant(1, 1, 1, 3)
    same = Value("same", net.type(1, 7, 1, 3), np.repeat(one.array, 7, 1))
    graph = net.done(net.add(Mean((1, 2)), net.add(Mul(), x, same)))
    streamed = chipfit.stream(Model(graph), axis=1).model
    assert nodes_of(streamed.graph, "mul")[0].operands[1].shape == (1, 1, 1, 3)
    frames = frames_of(streamed, 12)
    assert bytes_of(streamed.run_samples(frames)) == stacked(on_windows(graph, frames, 1))


def test_the_window_model_is_not_touched() -> None:
    model = Model(small_net())
    before = print_graph(model.graph, data=True)
    chipfit.stream(model)
    assert print_graph(model.graph, data=True) == before


# ---------------------------------------------------------------------------------------------- the file


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_the_file_holds_the_same_graph(seed: int) -> None:
    model = streamed_random(seed)[1].model
    assert model.source is not None
    again = chipfit.load(model.source, name=model.name)
    assert print_graph(again.graph, data=True) == print_graph(model.graph, data=True)


@needs_tflm
@pytest.mark.parametrize("seed", range(0, 40, 2))
def test_tflite_micro_gives_the_same_bytes(seed: int) -> None:
    graph, streamed = streamed_random(seed)
    frames = frames_of(streamed.model, streamed.report.warm_up + AFTER, seed)
    assert streamed.model.source is not None
    outputs = oracle.tflm_run(streamed.model.source, frames)
    assert stacked(outputs) == stacked(on_windows(graph, frames, streamed.report.axis))


def test_a_model_that_has_no_file() -> None:
    """An average over a border that is neither SAME nor VALID cannot be said in a file. The graph is there."""
    net = Net()
    x = net.convolve(net.input(1, 9, 5, 2), 3)
    x = net.average(x, 1, pad=(0, 0, 0, 0))
    net.across = True
    x = net.average(x, 4, pad=(0, 3, 0, 0))
    net.across = False
    graph = net.done(net.add(Mean((1, 2)), x))
    streamed = chipfit.stream(Model(graph), axis=1)
    assert streamed.model.source is None
    assert "average_pool2d" in (streamed.report.file_problem or "")
    with pytest.raises(chipfit.ChipfitError, match="neither SAME nor VALID"):
        streamed.tflite()


# ---------------------------------------------------------------------------------------------- in C


@pytest.mark.parametrize("seed", range(1, 21, 4))
def test_c_on_the_host(seed: int, tmp_path: Path) -> None:
    graph, streamed = streamed_random(seed)
    frames = frames_of(streamed.model, streamed.report.warm_up + AFTER, seed)
    outputs = streamed.model.compile("host", tmp_path / "out").run(frames).outputs
    assert bytes_of(outputs) == stacked(on_windows(graph, frames, streamed.report.axis))


@pytest.mark.parametrize("seed", [2, 3])
def test_c_on_a_chip(seed: int, tmp_path: Path) -> None:
    graph, streamed = streamed_random(seed)
    frames = frames_of(streamed.model, streamed.report.warm_up + AFTER, seed)
    outputs = streamed.model.compile(BOARD, tmp_path / "out").run(frames).outputs
    assert bytes_of(outputs) == stacked(on_windows(graph, frames, streamed.report.axis))


@pytest.mark.parametrize("seed", [3, 6, 11])
def test_float_models_give_the_same_sums(seed: int, tmp_path: Path) -> None:
    """In C, where the order of the sums does not depend on the number of frames, floats are equal to the bit."""
    graph, axis = random_net(seed, is_float=True)
    streamed = chipfit.stream(Model(graph), axis=axis)
    calls = streamed.report.warm_up + AFTER
    frames = frames_of(streamed.model, calls)
    window, step = streamed.report.window, streamed.report.step
    fed = np.concatenate([np.zeros(graph.inputs[0].shape, np.float32), *(x for (x,) in frames)], axis)
    windows = [(fed.take(range((k + 1) * step, (k + 1) * step + window), axis),) for k in range(calls)]
    expected = Model(graph).compile("host", tmp_path / "window").run(windows).outputs
    outputs = streamed.model.compile("host", tmp_path / "stream").run(frames).outputs
    assert [y.tobytes() for y in outputs] == [y.tobytes() for y in expected]
