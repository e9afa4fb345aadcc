"""What cannot be followed exactly is refused: all layers at once, each with its reason, and what can be done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import chipfit
from chipfit.graph import Graph, Value
from chipfit.model import Model
from chipfit.ops.add import Add
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.mul import Mul
from chipfit.ops.pad import Pad
from chipfit.ops.reshape import Reshape
from chipfit.ops.resize_nearest import ResizeNearest
from chipfit.ops.softmax import Softmax
from chipfit.ops.split import Split
from chipfit.ops.strided_slice import StridedSlice
from chipfit.ops.transpose import Transpose
from streaming.random_windows import SOFTMAX
from streaming.windows import Net, small_net


def refused(graph: Graph, code: str = "S001", *, step: int | None = None, axis: int | None = 1) -> chipfit.ChipfitError:
    with pytest.raises(chipfit.ChipfitError) as caught:
        chipfit.stream(Model(graph), step=step, axis=axis)
    assert caught.value.code == code
    return caught.value


def _first(net: Net, width: int = 1) -> Value:
    """Behind a convolution, so that there is something to save: 10 frames."""
    return net.convolve(net.input(1, 12, width, 4), 3, 4)


def _position(net: Net, x: Value) -> Value:
    return net.add(Add(), x, net.constant(1, 10, 1, 4))


def _softmax(net: Net, x: Value) -> Value:
    return net.add(Softmax(), net.add(Transpose((0, 3, 2, 1)), x), type=SOFTMAX)


def _speeds(net: Net, x: Value) -> Value:
    """Every other frame times the first five."""
    first = net.add(StridedSlice((0,) * 4, (1, 5, 1, 4), (1,) * 4), x)
    return net.add(Mul(), net.most(x, 1, stride=2), first)


LAYERS: dict[str, tuple[Callable[[Net, Value], Value], str]] = {
    "same": (lambda net, x: net.convolve(x, 3, pad=(1, 0, 1, 0)), "conv2d 't1' pads time by 1 before and 1 behind"),
    "causal": (lambda net, x: net.depthwise(x, 3, pad=(2, 0, 0, 0)), "pads time by 2 before and 0 behind"),
    "pool": (lambda net, x: net.average(x, 3, pad=(1, 0, 1, 0)), "average_pool2d 't1' pads time by 1 before"),
    "pad": (lambda net, x: net.add(Pad(((0, 0), (0, 2), (0, 0), (0, 0))), x), "pad 't1' pads time by 0 before and 2"),
    "positions": (_position, "constants ('const4') that differ from frame to frame"),
    "together": (lambda net, x: net.add(Concatenation(1), x, x), "puts frames behind each other along time"),
    "pieces": (lambda net, x: net.add(Split(1, (5, 5)), x), "cuts time into pieces"),
    "resize": (lambda net, x: net.add(ResizeNearest((20, 1)), x), "resize_nearest 't1' mixes time in a way"),
    "softmax": (_softmax, "softmax 't2' normalises over time"),
    "reversed": (
        lambda net, x: net.add(StridedSlice((0, 9, 0, 0), (1, -1, 1, 4), (1, -1, 1, 1)), x),
        "strided_slice 't1' reverses time",
    ),
    "channels": (
        lambda net, x: net.convolve(net.add(Transpose((0, 2, 3, 1)), x), 1),
        "conv2d 't2' has time as its channels",
    ),
    "speeds": (_speeds, "joins tensors that move differently"),
}


@pytest.mark.parametrize("name", list(LAYERS))
def test_a_layer_that_cannot_follow(name: str) -> None:
    layer, reason = LAYERS[name]
    net = Net()
    error = refused(net.done(layer(net, _first(net))))
    assert error.message.startswith("1 layer cannot follow axis 1 of the input 'in0' (12 long, ")
    assert reason in error.message
    assert error.hint


def test_weights_that_are_computed() -> None:
    net = Net(is_float=True)
    x = net.add(Reshape((10, 4)), _first(net))
    error = refused(net.done(net.add(FullyConnected(), net.constant(1, 4), x)))
    assert "fully_connected 't2' has weights that are computed from the input" in error.message


def test_merged_with_an_axis_before_it() -> None:
    """Rows by columns, time the columns: neither can be told apart afterwards. A flatten is another matter."""
    net = Net()
    x = net.convolve(net.input(1, 3, 12, 4), 1, 4)
    error = refused(net.done(net.add(Reshape((1, 36, 1, 4)), x)), axis=2)
    assert "reshape 't1' merges time with the axes before it ([1,3,12,4] to [1,36,1,4])" in error.message


def test_all_at_once() -> None:
    """Layers behind a refused one are looked at, too, where it is known how their inputs move."""
    net = Net()
    x = net.convolve(net.input(1, 16, 1, 4), 3, pad=(1, 0, 1, 0))
    x = net.depthwise(x, 3, stride=2, pad=(1, 0, 1, 0))
    error = refused(net.done(net.add(Softmax(), net.convolve(x, 3, pad=(1, 0, 1, 0)), type=SOFTMAX)))
    lines = error.message.splitlines()
    assert lines[0] == "3 layers cannot follow axis 1 of the input 'in0' (16 long, 2 new in each call):"
    assert [line.split()[:2] for line in lines[1:]] == [
        ["conv2d", "'t0'"],
        ["depthwise_conv2d", "'t1'"],
        ["conv2d", "'t2'"],
    ]
    assert "(stride 2)" in lines[2]
    assert "padding 'valid'" in error.hint


@pytest.mark.parametrize("step", [1, 3])
def test_a_step_that_is_no_multiple_of_the_stride(step: int) -> None:
    error = refused(small_net(stride=2), step=step)
    assert f"depthwise_conv2d 't0' has stride 2 along time, and its input moves by {step}" in error.message
    assert error.hint == "--step 2, or a multiple of it, fits all strides"


def test_nothing_to_save() -> None:
    net = Net()
    error = refused(net.done(net.dense(net.input(1, 40), 3)), "S002", axis=None)
    assert error.message.startswith("fully_connected 't0' computes all of its output anew, along axis 1 of the input")
    assert error.hint == "keep the last frames in the application"
    assert refused(small_net(), "S002", step=13).hint.startswith("take a shorter --step")


def test_which_axis() -> None:
    net = Net()
    image = net.done(net.convolve(net.input(1, 9, 9, 2), 3))
    error = refused(image, "U001", axis=None)
    assert error.message == "the axes 1 and 2 of the input [1, 9, 9, 2] can both be time"
    assert error.hint == "name it: --axis 1"
    assert "has no axis 0 to stream along" in refused(image, "U001", axis=0).message
    assert "has no axis 7 to stream along" in refused(image, "U001", axis=7).message
    assert "is not less than the window of 9" in refused(image, "U001", step=9).message


def test_models_without_one_window() -> None:
    net = Net()
    two = net.done(net.add(Add(), net.input(1, 9), net.input(1, 9)))
    assert "has 2 inputs: 'in0', 'in1'" in refused(two, axis=None).message
    one = Net()
    assert "is one frame" in refused(one.done(one.convolve(one.input(1, 1, 1, 1), 1)), axis=None).message
    streamed = chipfit.stream(Model(small_net())).model.graph
    assert "stateful already: 'in0/state'" in refused(streamed, axis=None).message


@pytest.mark.parametrize(
    ("name", "layers"),
    [("tflm_micro_speech_int8", 1), ("mlperf_kws_dscnn_int8", 5), ("arduino_magic_wand_int8", 3)],
)
def test_real_models_with_padding_in_time(name: str, layers: int, models_dir: Path) -> None:
    with pytest.raises(chipfit.ChipfitError) as caught:
        chipfit.stream(chipfit.load(models_dir / f"{name}.tflite"))
    assert caught.value.code == "S001"
    assert caught.value.message.count(" pads time by ") == layers


def test_real_models_that_are_stateful_already(models_dir: Path) -> None:
    with pytest.raises(chipfit.ChipfitError, match="stateful already"):
        chipfit.stream(chipfit.load(models_dir / "esphome_vad_v2_stream.tflite"))
