"""Whole small models: compiled, written, read, simulated, and held against the float model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Graph, Value
from chipfit.kmodel.compile.compiled import Compiled, compile_graph
from chipfit.kmodel.compile.grid import Grid
from chipfit.kmodel.compile.report import layers_of, noise_of
from chipfit.kmodel.compile.to_v3 import to_v3
from chipfit.kmodel.format.v3 import read_v3, write_v3
from chipfit.kmodel.format.v4 import read_v4, write_v4
from chipfit.kmodel.format.validate import validate
from chipfit.ops.add import Add
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.gelu import Gelu
from chipfit.ops.hard_swish import HardSwish
from chipfit.ops.leaky_relu import LeakyRelu
from chipfit.ops.logistic import Logistic
from chipfit.ops.max_pool2d import MaxPool2D
from chipfit.ops.mean import Mean
from chipfit.ops.mul import Mul
from chipfit.ops.prelu import PRelu
from chipfit.ops.relu import Relu
from chipfit.ops.relu6 import Relu6
from chipfit.ops.reshape import Reshape
from chipfit.ops.resize_nearest import ResizeNearest
from chipfit.ops.softmax import Softmax
from chipfit.ops.tanh import Tanh
from chipfit.ops.transpose_conv import TransposeConv
from chipfit.quantize import Samples
from kmodel.graphs import Net

Build = Callable[[Net], Value]


def samples_for(graph: Graph, count: int = 3, seed: int = 0) -> Samples:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (count, *graph.inputs[0].shape))
    return Samples(((codes / 255.0).astype(np.float32),), (None,))


def compiled(graph: Graph, *, image: bool = True) -> tuple[Compiled, float | None]:
    """And the signal to noise of its outputs, dB. The file is written, read and checked."""
    samples = samples_for(graph)
    grids = {"x": Grid(np.array([1 / 255]), np.array([0.0]))} if image else {}
    made = compile_graph(graph, samples, grids)
    again = read_v4(write_v4(made.model))
    assert not validate(again)
    return made, noise_of(made, samples)[""]


def kinds(made: Compiled) -> list[str]:
    return [type(node).__name__.replace("Conv2D", "") for node in made.model.nodes]


def swish(net: Net, x: Value) -> Value:
    return net.add(Mul(), x, net.add(Logistic(), x))


KPU, DEQUANTIZE = "Kpu", "Dequantize"
CASES: list[tuple[str, tuple[int, ...], Build, list[str], float]] = [
    ("same", (1, 12, 10, 8), lambda n: n.conv(n.x, 6), [KPU], 40),
    ("1x1 stride 2", (1, 12, 10, 8), lambda n: n.conv(n.x, 6, 1, stride=(2, 2)), [KPU], 40),
    ("symmetric stride 2", (1, 12, 10, 8), lambda n: n.conv(n.x, 6, stride=(2, 2)), [KPU], 40),
    ("stride 4", (1, 16, 16, 4), lambda n: n.conv(n.x, 6, stride=(4, 4)), [KPU], 38),
    ("odd stride 2", (1, 13, 11, 8), lambda n: n.conv(n.x, 6, stride=(2, 2)), [KPU, "StridedSlice"], 40),
    (
        "same of an even size",
        (1, 12, 10, 8),
        lambda n: n.conv(n.x, 6, stride=(2, 2), pad=(0, 0, 1, 1)),
        [KPU, "StridedSlice"],
        40,
    ),
    ("odd width, stride 2", (1, 12, 11, 8), lambda n: n.conv(n.x, 6, stride=(2, 2)), [KPU, "StridedSlice"], 40),
    (
        "zeros around what is cut out",
        (1, 12, 10, 8),
        lambda n: n.conv(n.conv(n.x, 8, pad=(0, 0, 0, 0)), 6),
        [KPU, "Pad", "KpuUpload", KPU],
        35,
    ),
    (
        "zeros above what is cut out",
        (1, 12, 10, 8),
        lambda n: n.conv(n.conv(n.x, 8, pad=(0, 0, 1, 1)), 6),
        [KPU, "Pad", "KpuUpload", KPU],
        35,
    ),
    (
        "zeros below what is cut out",
        (1, 12, 10, 8),
        lambda n: n.conv(n.conv(n.x, 8, pad=(1, 1, 0, 0)), 6),
        [KPU, "Pad", "KpuUpload", KPU],
        35,
    ),
    ("stride 3", (1, 12, 12, 8), lambda n: n.conv(n.x, 6, stride=(3, 3), pad=(0, 0, 0, 0)), [KPU, "StridedSlice"], 40),
    ("valid", (1, 12, 10, 8), lambda n: n.conv(n.x, 6, pad=(0, 0, 0, 0)), [KPU, "Pad"], 40),
    (
        "valid, stride 2, and again",
        (1, 20, 20, 8),
        lambda n: n.conv(n.conv(n.x, 8, stride=(2, 2), pad=(0, 0, 0, 0)), 6, stride=(2, 2), pad=(0, 0, 0, 0)),
        [KPU, KPU, KPU, "Pad"],
        35,
    ),
    ("depthwise", (1, 12, 10, 8), lambda n: n.depthwise(n.x, act="relu6"), [KPU], 38),
    (
        "depthwise stride 2 and 1x1",
        (1, 12, 12, 8),
        lambda n: n.conv(n.depthwise(n.x, stride=(2, 2), act="relu"), 6, 1),
        [KPU, KPU],
        35,
    ),
    (
        "depthwise stride 2, same, and 1x1",
        (1, 12, 12, 8),
        lambda n: n.conv(n.depthwise(n.x, stride=(2, 2), pad=(0, 0, 1, 1), act="relu"), 6, 1),
        [KPU, KPU, KPU],
        35,
    ),
    (
        "same of an even size before a depthwise",
        (1, 12, 12, 8),
        lambda n: n.depthwise(n.conv(n.x, 8, stride=(2, 2), pad=(0, 0, 1, 1), act="relu")),
        [KPU, KPU, KPU],
        35,
    ),
    (
        "odd rows, cut off before the stride",
        (1, 15, 10, 8),
        lambda n: n.conv(n.part(n.depthwise(n.x, act="relu"), (0, 0), (14, 10)), 6, 1, stride=(2, 2)),
        [KPU, KPU],
        35,
    ),
    (
        "a part in the middle",
        (1, 16, 14, 8),
        lambda n: n.conv(n.part(n.conv(n.x, 8, act="relu"), (3, 2), (8, 6)), 6, 1),
        [KPU, KPU, "Pad"],
        35,
    ),
    (
        "a part with zeros around it",
        (1, 16, 14, 8),
        lambda n: n.conv(n.part(n.conv(n.x, 8, act="relu"), (3, 2), (8, 6)), 6),
        [KPU, "Pad", "KpuUpload", KPU],
        35,
    ),
    (
        "a part that the CPU reads",
        (1, 16, 14, 8),
        lambda n: n.part(n.conv(n.x, 8, act="relu"), (3, 2), (8, 6)),
        [KPU, "StridedSlice"],
        40,
    ),
    ("max 2", (1, 12, 10, 8), lambda n: n.add(MaxPool2D(), n.conv(n.x, 6)), [KPU], 40),
    ("mean 2", (1, 12, 10, 8), lambda n: n.add(AveragePool2D(), n.conv(n.x, 6, act="relu")), [KPU], 40),
    (
        "max 4",
        (1, 16, 16, 8),
        lambda n: n.add(MaxPool2D(kernel=(4, 4), stride=(4, 4)), n.conv(n.x, 6)),
        [KPU],
        40,
    ),
    (
        "max 2 stride 1",
        (1, 12, 10, 8),
        lambda n: n.add(MaxPool2D(stride=(1, 1), pad=(0, 0, 1, 1)), n.conv(n.x, 6)),
        [KPU],
        40,
    ),
    (
        "max 3",
        (1, 12, 10, 8),
        lambda n: n.add(MaxPool2D(kernel=(3, 3)), n.conv(n.x, 6)),
        [KPU, DEQUANTIZE, "ReduceWindow2D"],
        40,
    ),
    ("5x5", (1, 12, 10, 8), lambda n: n.conv(n.x, 8, 5, pad=(2, 2, 2, 2), act="relu"), ["Quantized"], 40),
    ("few channels 5x5", (1, 8, 8, 2), lambda n: n.conv(n.x, 3, 5, pad=(2, 2, 2, 2)), [DEQUANTIZE, ""], 100),
    ("small map", (1, 2, 3, 8), lambda n: n.conv(n.x, 6), ["Pad", "KpuUpload", KPU, "Pad"], 40),
    (
        "down to a small map",
        (1, 4, 4, 8),
        lambda n: n.depthwise(n.conv(n.x, 8, stride=(2, 2)), act="relu"),
        [KPU, "Pad", "KpuUpload", KPU, "Pad"],
        35,
    ),
    ("tanh", (1, 12, 10, 8), lambda n: n.add(Tanh(), n.conv(n.x, 6)), [KPU], 40),
    ("leaky", (1, 12, 10, 8), lambda n: n.add(LeakyRelu(0.1), n.conv(n.x, 6)), [KPU], 40),
    ("swish", (1, 12, 10, 8), lambda n: swish(n, n.conv(n.x, 6)), [KPU], 38),
    ("hard swish", (1, 12, 10, 8), lambda n: n.add(HardSwish(), n.conv(n.x, 6)), [KPU], 38),
    ("gelu", (1, 12, 10, 8), lambda n: n.add(Gelu(), n.conv(n.x, 6)), [KPU], 38),
    (
        "prelu",
        (1, 12, 10, 8),
        lambda n: n.add(PRelu(), n.conv(n.x, 6), n.constant(np.linspace(-0.3, 0.5, 6))),
        [KPU, KPU],
        38,
    ),
    (
        "concatenation in the KPU",
        (1, 12, 20, 8),
        lambda n: n.conv(n.add(Relu(), n.add(Concatenation(3), n.conv(n.x, 4), n.conv(n.x, 3, 1))), 6, 1),
        [KPU, KPU, KPU],
        36,
    ),
    (
        "upsampling",
        (1, 8, 8, 8),
        lambda n: n.conv(n.add(ResizeNearest((16, 16)), n.conv(n.x, 8, act="relu")), 6),
        [KPU, "ResizeImage", "KpuUpload", KPU],
        36,
    ),
    (
        "residual",
        (1, 16, 16, 8),
        lambda n: n.add(Add(), n.conv(n.x, 8), n.conv(n.x, 8, 1)),
        [KPU, KPU, "QuantizedBinary"],
        36,
    ),
    (
        "classifier",
        (1, 12, 12, 8),
        lambda n: n.add(Softmax(), n.dense(n.add(Mean((1, 2)), n.conv(n.x, 16, act="relu")), 4)),
        [KPU, DEQUANTIZE, "Reduce", "MatMul", "Softmax"],
        40,
    ),
    (
        "dense layers in the KPU",
        (1, 12, 12, 8),
        lambda n: n.dense(n.dense(n.add(Mean((1, 2)), n.conv(n.x, 32, act="relu")), 40, act="relu"), 32),
        [KPU, DEQUANTIZE, "Reduce", "Quantize", "Pad", "KpuUpload", KPU, KPU, "Pad"],
        30,
    ),
    (
        "flat image",
        (1, 8, 8, 4),
        lambda n: n.dense(n.add(Reshape((1, 128)), n.conv(n.x, 2, act="relu")), 5),
        [KPU, DEQUANTIZE, "MatMul"],
        38,
    ),
    (
        "flat output",
        (1, 8, 8, 4),
        lambda n: n.add(Reshape((1, 64, 3)), n.conv(n.x, 3)),
        [KPU, "Transpose"],
        38,
    ),
    (
        "transposed convolution",
        (1, 6, 6, 4),
        lambda n: n.add(TransposeConv(stride=(2, 2), pad=(0, 0, 1, 1)), n.x, n.weights(3, 3, 3, 4), n.weights(3)),
        [DEQUANTIZE, "Conv2DTranspose".replace("Conv2D", ""), "Binary"],
        100,
    ),
]


@pytest.mark.parametrize(("shape", "build", "nodes", "least"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_layers(shape: tuple[int, ...], build: Build, nodes: list[str], least: float) -> None:
    net = Net(*shape, seed=3)
    made, noise = compiled(net.done(build(net)))
    got = kinds(made)
    if got[-1] == DEQUANTIZE and nodes[-1] != DEQUANTIZE:
        got = got[:-1]
    assert got == nodes
    assert noise is not None
    assert noise > least


def test_floats_in_floats_out() -> None:
    net = Net(1, 4)
    graph = net.done(net.dense(net.add(Relu(), net.dense(net.x, 10)), 3))
    made, noise = compiled(graph, image=False)
    assert kinds(made) == ["MatMul", "MatMul"]
    assert noise is None or noise > 100


def test_per_channel_pixels_are_part_of_the_first_layer() -> None:
    net = Net(1, 12, 12, 3)
    graph = net.done(net.conv(net.x, 6, pad=(0, 0, 0, 0)))
    step, zero = np.array([0.01, 0.02, 0.03]), np.array([100.5, 127.5, 10.25])
    codes = np.random.default_rng(0).integers(0, 256, (2, 1, 12, 12, 3))
    samples = Samples(((step * (codes - zero)).astype(np.float32),), (None,))
    made = compile_graph(graph, samples, {"x": Grid(step, zero)})
    noise = noise_of(made, samples)[""]
    assert noise is not None
    assert noise > 40


def test_version_3_gives_the_same() -> None:
    net = Net(1, 12, 12, 8)
    x = net.conv(net.x, 32, act="relu", stride=(2, 2))
    graph = net.done(net.add(Softmax(), net.dense(net.add(Mean((1, 2)), x), 36)))
    made, noise = compiled(graph)
    older = to_v3(made)
    again = read_v3(write_v3(older))
    assert not validate(again)
    found = noise_of(made, samples_for(graph), again)[""]
    assert found is not None
    assert noise is not None
    assert abs(found - noise) < 3
    assert "K210AddPadding" in [type(layer).__name__ for layer in again.layers]


def test_version_3_tells_bytes_as_version_4_does() -> None:
    net = Net(1, 12, 12, 8)
    graph = net.done(net.conv(net.x, 6))
    made, noise = compiled(graph)
    found = noise_of(made, samples_for(graph), read_v3(write_v3(to_v3(made))))[""]
    assert found is not None
    assert noise is not None
    assert abs(found - noise) < 1


def test_what_version_3_lacks_is_named() -> None:
    net = Net(1, 12, 12, 8)
    y = net.conv(net.x, 6, pad=(0, 0, 0, 0))
    made, _ = compiled(net.done(y))
    with pytest.raises(ChipfitError, match="'t0_0' needs Pad") as caught:
        to_v3(made)
    assert caught.value.code == "O002"


@pytest.mark.parametrize(("rows", "columns", "good"), [(256, 256, True), (256, 260, False)])
def test_version_3_sends_no_more_than_its_counter_holds(rows: int, columns: int, good: bool) -> None:
    net = Net(1, rows, columns, 1)
    made = compile_graph(net.done(net.conv(net.x, 1)), None, {"x": Grid(np.ones(1), np.zeros(1))})
    if good:
        to_v3(made)
        return
    with pytest.raises(ChipfitError, match="'t0_0' sends maps of 260x256 pixels") as caught:
        to_v3(made)
    assert caught.value.code == "O002"
    assert "--kmodel 4" in caught.value.hint


def test_version_3_keeps_large_maps_in_the_kpu() -> None:
    net = Net(1, 256, 260, 1)
    x = net.add(MaxPool2D(kernel=(2, 2), stride=(2, 2)), net.conv(net.conv(net.x, 1, act="relu"), 1, act="relu"))
    to_v3(compile_graph(net.done(x), None, {"x": Grid(np.ones(1), np.zeros(1))}))


def test_what_no_opcode_computes_is_named() -> None:
    net = Net(1, 8, 8, 4)
    graph = net.done(net.add(Softmax(), net.conv(net.x, 3)))
    with pytest.raises(ChipfitError, match="softmax 't1_0'") as caught:
        compile_graph(graph, None, {})
    assert caught.value.code == "O002"


def test_a_layer_of_the_cpu_reads_an_image_whose_channels_have_ranges_of_their_own() -> None:
    net = Net(1, 8, 8, 3)
    graph = net.done(net.conv(net.x, 4, 5, pad=(2, 2, 2, 2)))
    grid = Grid(np.array([1.0, 2.0, 4.0]) / 255, np.array([10.0, 100.0, 20.0]))
    codes = np.random.default_rng(0).integers(0, 256, (3, *net.x.shape))
    samples = Samples((grid.reals(codes).astype(np.float32),), (None,))
    made = compile_graph(graph, samples, {"x": grid})
    found = noise_of(made, samples)[""]
    assert found is None or found > 100


def test_too_large_for_the_kpu() -> None:
    net = Net(1, 240, 320, 3)
    x = net.conv(net.x, 12, act="relu")
    late = net.conv(net.conv(x, 12, act="relu"), 6, act="relu")
    graph = net.done(net.conv(net.add(Concatenation(3), x, late), 4, 1))
    with pytest.raises(ChipfitError, match="2,097,152") as caught:
        compile_graph(graph, None, {"x": Grid(np.ones(1), np.zeros(1))})
    assert caught.value.code == "M001"


def test_a_map_that_is_too_large_without_pooling_is_padded_by_the_cpu() -> None:
    net = Net(1, 224, 224, 3)
    y = net.conv(net.x, 48, stride=(2, 2), pad=(0, 0, 1, 1), act="relu")
    made = compile_graph(net.done(net.conv(y, 4, 1)), None, {"x": Grid(np.ones(1), np.zeros(1))})
    assert kinds(made)[:3] == ["Pad", "KpuUpload", KPU]


def test_layers_say_what_became_of_them() -> None:
    net = Net(1, 12, 12, 8)
    x = net.add(Relu6(), net.conv(net.x, 6))
    x = net.conv(x, 6, stride=(2, 2), pad=(0, 0, 1, 1))
    graph = net.done(net.conv(x, 8, 5, pad=(2, 2, 2, 2)))
    made = compile_graph(graph, None, {"x": Grid(np.ones(1), np.zeros(1))})
    first, second, third = layers_of(made)
    assert (first.status, first.ops, first.why) == ("kpu", ("conv2d", "relu6"), ())
    assert (second.status, second.nodes) == ("helped", ("KpuConv2D", "StridedSlice"))
    assert "rows 0, 2, 4" in second.why[0]
    assert "ZeroPadding2D(1)" in second.fix[0]
    assert (third.status, third.why) == ("cpu", ("The KPU has filters of 1x1 and of 3x3.",))
    assert "two convolutions 3x3" in third.fix[0]


def test_quantized_models_are_refused() -> None:
    net = Net(1, 8, 8, 4)
    graph = net.done(net.conv(net.x, 4))
    node = graph.nodes[0]
    assert isinstance(node.op, Conv2D)
    graph.variables["s"] = None  # pyright: ignore[reportArgumentType]
    with pytest.raises(ChipfitError, match="keeps state"):
        compile_graph(graph, None, {})
