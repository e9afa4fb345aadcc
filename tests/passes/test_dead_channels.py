"""dead_channels: constants go into the next bias, exactly, and each thing in the way has its reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chipfit.graph import DType, Graph, Quant, TensorType, Value
from chipfit.interpret import trace
from chipfit.ops import Op, op_of, random_input
from chipfit.ops.add import Add
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.max_pool2d import MaxPool2D
from chipfit.ops.mean import Mean
from chipfit.ops.mul import Mul
from chipfit.ops.quantize import Quantize
from chipfit.ops.relu import Relu
from chipfit.ops.reshape import Reshape
from chipfit.ops.softmax import Softmax
from chipfit.ops.squeeze import Squeeze
from chipfit.passes import DEAD_CHANNELS, PIPELINE, dead_channels
from chipfit.passes._layers import layers_of
from chipfit.passes._ranges import range_of, ranges_of
from passes.chains import inputs_for, interface, outputs_of
from passes.layers import Layers, constant_of, random_net

ALL = dead_channels(1)


def names(graph: Graph) -> set[str]:
    return {v.name for v in graph.values()}


def shrink(graph: Graph, multiple: int = 1) -> list[str]:
    """Run the pass, hold it against the graph as it was, and return the reasons for what stays."""
    inputs, seen = inputs_for(graph, 7), interface(graph)
    before = outputs_of(graph, inputs)
    report = dead_channels(multiple).run(graph)
    graph.verify()
    assert outputs_of(graph, inputs) == before
    assert interface(graph) == seen
    return [m.reason for m in report.missed]


def channels(graph: Graph) -> list[int]:
    """Of the nodes' outputs in order."""
    return [node["y"].shape[-1] for node in graph.nodes]


@given(seed=st.integers(0, 1 << 32), multiple=st.sampled_from([1, 2, 4]))
@settings(max_examples=300, deadline=None)
def test_no_output_byte_changes(seed: int, multiple: int) -> None:
    graph = random_net(seed)
    macs, nodes, known = _macs(graph), len(graph.nodes), names(graph)
    sizes = channels(graph)
    shrink(graph, multiple)
    assert _macs(graph) <= macs
    assert len(graph.nodes) == nodes
    assert {n for n in names(graph) - known if not n.endswith("/bias")} == set()
    for before, after in zip(sizes, channels(graph), strict=True):
        assert 1 <= after <= before
        assert before % multiple or after % multiple == 0
    shrink(graph, multiple)


@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=100, deadline=None)
def test_the_pipeline_changes_no_output_byte(seed: int) -> None:
    graph = random_net(seed)
    inputs, seen = inputs_for(graph, seed), interface(graph)
    before = outputs_of(graph, inputs)
    PIPELINE.run(graph)
    assert outputs_of(graph, inputs) == before
    assert interface(graph) == seen


@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=100, deadline=None)
def test_ranges_hold_what_occurs(seed: int) -> None:
    graph = random_net(seed)
    ranges = ranges_of(graph, layers_of(graph))
    rng = np.random.default_rng(seed)
    extremes = [[np.full(v.shape, n, np.int8) for v in graph.inputs] for n in (-128, 127)]
    for inputs in (*extremes, [random_input(rng, v.type) for v in graph.inputs]):
        for value, elements in trace(graph, inputs).items():
            found, rows = range_of(value, ranges), elements.reshape(-1, elements.shape[-1])
            assert (found.low <= rows).all(), value
            assert (rows <= found.high).all(), value


def _macs(graph: Graph) -> int:
    return sum(op_of(node).macs(node) for node in graph.nodes)


# ---------------------------------------------------------------------------------------------- what goes


def test_a_constant_goes_into_the_bias_of_a_pointwise_convolution() -> None:
    net, x = Layers.start(1, 1, 4, 5, 3)
    graph = net.done(net.conv(net.conv(x, 8, [2, 5]), 6))
    first, second = graph.nodes
    constant = outputs_of(graph, inputs_for(graph))
    weights, bias = second["w"].array.astype(np.int64), second["b"].array.astype(np.int64)
    values = trace(graph, inputs_for(graph))[first["y"]][0, 0, 0].astype(np.int64)
    report = ALL.run(graph)
    assert report.changes == ["removed 2 of 8 channels of 't0'"]
    assert report.headline == "removed 2 of 14 channels: 1,440 -> 1,080 MACs"
    assert [first["w"].shape, second["w"].shape] == [(6, 1, 1, 3), (6, 1, 1, 6)]
    expected = bias + sum(weights[:, 0, 0, c] * (values[c] - first["y"].q.zp) for c in (2, 5))
    assert second["b"].array.tolist() == expected.tolist()
    assert first["w"].q.axis == 0
    assert len(first["w"].q.scale) == len(first["b"].q.scale) == 6
    assert [v.name for v in graph.values()] == ["x", "w0", "b0", "t0", "w1", "b1", "t1"]
    assert outputs_of(graph, inputs_for(graph)) == constant


def test_a_layer_without_bias_gets_one() -> None:
    net, x = Layers.start(2, 1, 4, 5, 3)
    y = net.layer(Conv2D(), net.conv(x, 8, [2, 5]), (6, 1, 1, 8), bias=[])
    graph = net.done(net.conv(y, 2))
    assert shrink(graph) == []
    assert [v.name if v else None for v in graph.nodes[1].inputs] == ["t0", "w1", "t1/bias"]
    assert graph.nodes[1]["b"].q.scale == tuple(
        float(np.float32(graph.nodes[1]["x"].q.s * s)) for s in graph.nodes[1]["w"].q.scale
    )


def test_a_chain_goes_where_nothing_is_padded() -> None:
    net, x = Layers.start(3, 1, 8, 8, 3)
    y = net.depthwise(net.conv(x, 8, [0, 1, 6]), pad=(0, 0, 0, 0))
    graph = net.done(net.conv(y, 4, kernel=3))
    assert shrink(graph) == []
    assert channels(graph) == [5, 5, 4]


@pytest.mark.parametrize(("bias", "kept"), [(0, 3), (30000, 4)])
def test_a_padded_chain_goes_where_the_constant_is_the_zero_point(bias: int, kept: int) -> None:
    net, x = Layers.start(4, 1, 6, 6, 3)
    zero = Quant.per_tensor(0.05, 10)
    y = net.layer(Conv2D(), x, (4, 1, 1, 3), [1], bias=[100, bias, 100, 100], quant=zero)
    graph = net.done(net.conv(net.depthwise(y), 4))
    reasons = shrink(graph)
    assert channels(graph) == [kept, kept, 4]
    assert reasons == ([] if kept == 3 else ["has 1 constant channels that stay: goes into 't1'"])


def test_a_padded_convolution_shows_the_border() -> None:
    net, x = Layers.start(5, 1, 6, 6, 3)
    y = net.layer(Conv2D(), x, (4, 1, 1, 3), [1], bias=[9, 9000, 9, 9], quant=Quant.per_tensor(0.05, -3))
    graph = net.done(net.conv(y, 4, kernel=3, op=Conv2D(pad=(1, 1, 1, 1))))
    assert shrink(graph) == [
        "has 1 constant channels that stay: is read by conv2d 't1', whose padding would show at the border"
    ]


def test_a_border_that_the_activation_hides_is_no_border() -> None:
    """The depthwise channel differs at the border, but is clamped to one integer everywhere."""
    net, x = Layers.start(6, 1, 6, 6, 3)
    y = net.layer(Conv2D(), x, (4, 1, 1, 3), [1], bias=[9, 3000, 9, 9], quant=Quant.per_tensor(0.05, -3))
    y = net.layer(
        DepthwiseConv2D(pad=(1, 1, 1, 1), act="relu"), y, (1, 3, 3, 4), bias=[0, -900000, 0, 0], quant=y.type.quant
    )
    graph = net.done(net.conv(y, 4))
    assert shrink(graph) == []
    assert channels(graph) == [3, 3, 4]


def test_border_taps_of_weight_zero_see_no_border() -> None:
    net, x = Layers.start(7, 1, 6, 6, 3)
    y = net.layer(Conv2D(), x, (4, 1, 1, 3), [1], bias=[9, 9000, 9, 9], quant=Quant.per_tensor(0.05, -3))
    graph = net.done(net.conv(y, 4, kernel=3, op=Conv2D(pad=(1, 1, 1, 1))))
    w = graph.nodes[1]["w"].array
    w[:, [0, 2], :, 1] = 0
    w[:, :, [0, 2], 1] = 0
    assert shrink(graph) == []
    assert channels(graph) == [3, 4]


def test_padding_that_is_never_read_is_none() -> None:
    net, x = Layers.start(8, 1, 6, 6, 3)
    y = net.layer(Conv2D(), x, (4, 1, 1, 3), [1], bias=[9, 9000, 9, 9], quant=Quant.per_tensor(0.05, -3))
    graph = net.done(net.conv(y, 4, kernel=2, op=Conv2D(stride=(2, 2), pad=(0, 0, 1, 1))))
    assert shrink(graph) == []
    assert channels(graph) == [3, 4]


def test_a_channel_that_is_always_clamped_is_a_constant() -> None:
    net, x = Layers.start(9, 1, 4, 4, 3)
    y = net.layer(Conv2D(act="relu"), x, (4, 1, 1, 3), bias=[0, -(10**7), 0, 10**7])
    graph = net.done(net.conv(y, 2))
    assert shrink(graph) == []
    assert channels(graph) == [2, 2]


def test_a_channel_that_nobody_reads_goes_though_it_is_no_constant() -> None:
    net, x = Layers.start(10, 1, 4, 4, 3)
    graph = net.done(net.conv(net.depthwise(net.conv(x, 4)), 2))
    graph.nodes[2]["w"].array[..., 3] = 0
    assert shrink(graph) == []
    assert channels(graph) == [3, 3, 2]


def test_depthwise_layers_that_repeat_channels_lose_all_repetitions_or_none() -> None:
    net, x = Layers.start(11, 1, 5, 5, 3)
    y = net.conv(x, 3, [1])
    y = net.layer(DepthwiseConv2D(), y, (1, 3, 3, 6), [0])
    graph = net.done(net.conv(y, 2))
    assert shrink(graph) == ["has 1 constant channels that stay: is made of 't0' by 't1'"]
    assert channels(graph) == [2, 4, 2]


def test_a_depthwise_layer_on_one_channel_loses_any() -> None:
    net, x = Layers.start(12, 1, 5, 5, 1)
    y = net.layer(DepthwiseConv2D(pad=(1, 1, 1, 1)), x, (1, 3, 3, 8), [0, 3, 5])
    graph = net.done(net.conv(y, 2))
    assert shrink(graph) == []
    assert channels(graph) == [5, 2]


BETWEEN: list[tuple[str, Op]] = [
    ("average", AveragePool2D((2, 2), (2, 2), (1, 1, 0, 0))),
    ("max", MaxPool2D((2, 2), (1, 1), (0, 0, 1, 1), "relu")),
    ("mean", Mean((1, 2))),
    ("mean_keep", Mean((1, 2), keep_dims=True)),
    ("relu", Relu()),
    ("quantize", Quantize()),
    ("flat", Reshape((1, 16 * 8))),
    ("rows", Reshape((16, 8))),
]


@pytest.mark.parametrize("op", [op for _, op in BETWEEN], ids=[name for name, _ in BETWEEN])
def test_constants_go_through_what_keeps_channels_apart(op: Op) -> None:
    net, x = Layers.start(13, 1, 4, 4, 3)
    y = net.conv(x, 8, [2, 3, 7])
    y = net.add(op, y, quant=y.type.quant)
    columns = y.type.size // y.shape[0]
    graph = net.done(net.dense(y, 5))
    assert shrink(graph) == []
    assert graph.nodes[0]["y"].shape == (1, 4, 4, 5)
    assert graph.nodes[2]["w"].shape[1] == columns * 5 // 8


def test_views_become_reshapes_of_the_new_shape() -> None:
    net, x = Layers.start(14, 1, 4, 4, 3)
    y = net.add(AveragePool2D((4, 4), (4, 4)), net.conv(x, 8, [2]))
    graph = net.done(net.dense(net.add(Squeeze((1, 2)), y), 5))
    assert shrink(graph) == []
    assert graph.nodes[2].op == Reshape((1, 7))


def test_a_flattening_fully_connected_layer_loses_the_channel_at_all_positions() -> None:
    net, x = Layers.start(15, 1, 4, 4, 3)
    graph = net.done(net.dense(net.conv(x, 8, [2, 3]), 5))
    assert shrink(graph) == []
    assert graph.nodes[1]["w"].shape == (5, 16 * 6)


def test_additions_lose_channels_that_are_constant_in_both_operands() -> None:
    net, x = Layers.start(16, 1, 4, 4, 3)
    y = net.add(Add("relu"), net.conv(x, 8, [1, 2]), net.conv(x, 8, [2, 3]), quant=net.quant())
    graph = net.done(net.conv(y, 4))
    reasons = shrink(graph)
    assert channels(graph) == [7, 7, 7, 4]
    assert reasons == ["has 1 constant channels that stay: goes into 't2'"] * 2


@pytest.mark.parametrize("op", [Add(), Mul("relu")], ids=["add", "mul"])
def test_constant_operands_lose_their_channels(op: Op) -> None:
    net, x = Layers.start(17, 1, 4, 4, 3)
    y = net.conv(x, 8, [1, 2])
    factor = constant_of(y, net.quant(), net.rng, "factor", 8)
    z = net.add(op, factor, y, quant=net.quant())
    other = net.add(op, net.conv(x, 8), factor, quant=net.quant())
    graph = net.done(net.conv(z, 4), other)
    assert shrink(graph) == []
    assert graph.nodes[1]["a"].array.tolist() == np.delete(factor.array, [1, 2]).tolist()
    # somebody else reads it as it was
    assert graph.nodes[1]["a"].name == "factor_1"
    assert graph.nodes[3]["b"] is factor


def test_shared_weights_are_not_changed_for_the_other() -> None:
    net, x = Layers.start(18, 1, 4, 4, 3)
    y = net.conv(x, 8, [1, 2])
    first = net.graph.nodes[0]
    twin = net.add(Conv2D(), x, first["w"], first["b"], quant=net.quant())
    graph = net.done(net.conv(y, 4), twin)
    assert shrink(graph) == ["has 2 constant channels that stay: is an output of the graph"]
    assert [graph.nodes[0]["w"].shape[0], graph.nodes[1]["w"].shape[0]] == [6, 8]
    assert [v.name for v in graph.nodes[0].operands] == ["x", "w0_1", "b0_1"]


# ---------------------------------------------------------------------------------------------- what stays


def test_one_channel_always_stays() -> None:
    net, x = Layers.start(19, 1, 4, 4, 3)
    graph = net.done(net.conv(net.conv(net.conv(x, 4, range(4)), 4, range(4)), 4, range(4)))
    reasons = shrink(graph)
    assert channels(graph) == [1, 1, 4]
    assert reasons == [
        "has 1 constant channels that stay: something must be left",
        "has 1 constant channels that stay: something must be left",
        "has 4 constant channels that stay: is an output of the graph",
    ]


@pytest.mark.parametrize(("multiple", "kept"), [(1, 11), (4, 12), (8, 16), (3, 11)])
def test_aligned_numbers_of_channels_stay_aligned(multiple: int, kept: int) -> None:
    net, x = Layers.start(20, 1, 6, 6, 3)
    y = net.layer(Conv2D(), x, (16, 1, 1, 3), [1, 2, 3, 14, 15])
    graph = net.done(net.conv(net.depthwise(y, pad=(0, 0, 0, 0)), 4))
    reasons = shrink(graph, multiple)
    assert channels(graph) == [kept, kept, 4]
    stay = kept - 11
    text = f"has {stay} constant channels that stay: keeps the number of channels a multiple of {multiple}"
    assert reasons == ([text, text] if stay else [])


def test_the_default_is_multiples_of_four() -> None:
    net, x = Layers.start(21, 1, 6, 6, 3)
    graph = net.done(net.conv(net.conv(x, 16, [0, 1, 2, 3, 4]), 4))
    DEAD_CHANNELS.run(graph)
    assert channels(graph) == [12, 4]


def test_outputs_of_the_graph_stay() -> None:
    net, x = Layers.start(22, 1, 4, 4, 3)
    y = net.conv(x, 8, [2])
    assert shrink(net.done(net.conv(y, 4), y)) == ["has 1 constant channels that stay: is an output of the graph"]


def test_what_mixes_channels_needs_all() -> None:
    net, x = Layers.start(23, 1, 4, 4, 3)
    y = net.conv(x, 8, [2])
    graph = net.done(net.conv(y, 4), net.add(Concatenation(3), y, y))
    assert shrink(graph) == ["has 1 constant channels that stay: is read by concatenation 't2'"]
    net, x = Layers.start(23, 1, 4, 4, 3)
    graph = net.done(net.add(Softmax(), net.conv(x, 8, [2]), quant=Quant.per_tensor(1 / 256, -128)))
    assert shrink(graph) == ["has 1 constant channels that stay: is read by softmax 't1'"]


def test_means_over_channels_need_all() -> None:
    net, x = Layers.start(24, 1, 4, 4, 3)
    graph = net.done(net.add(Mean((3,)), net.conv(x, 8, [2]), quant=net.quant()))
    assert shrink(graph) == ["has 1 constant channels that stay: is read by mean 't1'"]


def test_views_that_cut_channels_apart_need_all() -> None:
    net, x = Layers.start(25, 1, 4, 4, 3)
    graph = net.done(net.add(Reshape((1, 16, 2, 4)), net.conv(x, 8, [2])))
    assert shrink(graph) == ["has 1 constant channels that stay: is read by reshape 't1'"]


def test_convolutions_in_groups_need_all() -> None:
    net, x = Layers.start(26, 1, 4, 4, 3)
    graph = net.done(net.layer(Conv2D(), net.conv(x, 8, [2]), (4, 1, 1, 4)))
    assert shrink(graph) == [
        "has 1 constant channels that stay: is read by conv2d 't1', which is a convolution in groups"
    ]


def test_weights_that_are_computed_need_all() -> None:
    net, x = Layers.start(27, 1, 4)
    w = Value("w", TensorType((3, 8), DType.INT8, Quant.per_tensor(0.01)))
    net.graph.inputs.append(w)
    y = net.layer(FullyConnected(), x, (8, 4), [2])
    graph = net.done(net.add(FullyConnected(), y, w, quant=net.quant()))
    assert shrink(graph) == [
        "has 1 constant channels that stay: is read by fully_connected 't1', "
        "which has weights that are computed at run time"
    ]


def test_sums_that_could_leave_int32_take_nothing() -> None:
    net, x = Layers.start(28, 1, 4, 4, 3)
    y = net.layer(Conv2D(), x, (4, 1, 1, 3), [1], bias=[9, 3000, 9, 9])
    graph = net.done(net.layer(Conv2D(), y, (2, 1, 1, 4), bias=[(1 << 31) - 20000, 0]))
    assert shrink(graph) == ["has 1 constant channels that stay: is read by conv2d 't1', whose sums could leave int32"]


def test_float_layers_are_left_alone() -> None:
    w = np.zeros((4, 1, 1, 3), np.float32)
    x = Value("x", TensorType((1, 2, 2, 3), DType.FLOAT32))
    net = Layers(np.random.default_rng(0), Graph("net", [x]))
    y = net.add(Conv2D(), x, Value("w", TensorType(w.shape, DType.FLOAT32), w))
    y.type = TensorType(y.shape, DType.FLOAT32)
    report = ALL.run(net.done(y))
    assert report.changes == []
    assert report.missed == []


def test_sums_that_wrap_around_are_unknown() -> None:
    """A multiplier of 2**20 wraps sums around: both extremes give -128, but what lies between them does not."""
    net, x = Layers.start(29, 1, 16, 16, 1)
    x.type = TensorType(x.shape, DType.INT8, Quant.per_tensor(1.0, 0))
    w = Value("w", TensorType((4, 1, 1, 1), DType.INT8, Quant.per_tensor(2.0**19)), np.full((4, 1, 1, 1), 100, np.int8))
    b = Value("b", TensorType((4,), DType.INT32, Quant.per_tensor(2.0**19)), np.full(4, 14900, np.int32))
    y = net.add(Conv2D(), x, w, b, quant=Quant.per_tensor(1.0, 0))
    graph = net.done(net.conv(y, 2))
    elements = trace(graph, inputs_for(graph))[y]
    assert (elements.min(), elements.max()) == (-128, 127)
    assert shrink(graph) == []
    assert channels(graph) == [4, 2]
