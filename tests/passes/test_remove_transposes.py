"""remove_transposes: what lies between transpositions works on the axes in another order, and gives the same bytes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chipfit.graph import DType, Graph, Quant, TensorType, Value
from chipfit.importers import load_graph
from chipfit.interpret import evaluate
from chipfit.ops.add import Add
from chipfit.ops.arg_max import ArgMax
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.gather import Gather
from chipfit.ops.logistic import Logistic
from chipfit.ops.mul import Mul
from chipfit.ops.pad import Pad
from chipfit.ops.prelu import PRelu
from chipfit.ops.quantize import Quantize
from chipfit.ops.reshape import Reshape
from chipfit.ops.slice import Slice
from chipfit.ops.softmax import Softmax
from chipfit.ops.split import Split
from chipfit.ops.transpose import Transpose
from chipfit.passes import PIPELINE, REMOVE_TRANSPOSES
from passes.chains import inputs_for, interface, ops_of, outputs_of
from passes.channels_first import SOFTMAX, TO_FIRST, TO_LAST, Net, moved_bytes, random_net, transposes


def removed(graph: Graph) -> int:
    """Runs the pass and then the pipeline, both without a change of output bytes; how many transpositions are left."""
    inputs, seen = inputs_for(graph), interface(graph)
    before, moved = outputs_of(graph, inputs), moved_bytes(graph)
    REMOVE_TRANSPOSES.run(graph)
    graph.verify()
    assert outputs_of(graph, inputs) == before
    assert moved_bytes(graph) <= moved
    left = len(transposes(graph))
    PIPELINE.run(graph)
    assert outputs_of(graph, inputs) == before
    assert interface(graph) == seen
    assert len(transposes(graph)) <= left  # constants and what nobody reads go later
    return left


@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=150, deadline=None)
def test_no_output_byte_changes(seed: int) -> None:
    removed(random_net(seed))


@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=40, deadline=None)
def test_a_second_run_finds_nothing(seed: int) -> None:
    graph = random_net(seed)
    REMOVE_TRANSPOSES.run(graph)
    assert REMOVE_TRANSPOSES.run(graph).changes == []


def test_random_nets_lose_most_of_what_they_move() -> None:
    graphs = [random_net(seed) for seed in range(60)]
    before = sum(map(moved_bytes, graphs))
    for graph in graphs:
        REMOVE_TRANSPOSES.run(graph)
    assert sum(map(moved_bytes, graphs)) < 0.6 * before


# ------------------------------------------------------------------------------------------ architectures

BOTH = pytest.mark.parametrize("is_float", [False, True])


@BOTH
def test_residual_blocks(is_float: bool) -> None:
    net, x = Net.start(1, 1, 8, 8, is_float=is_float)
    y = net.relu(net.conv(x, 4))
    for out, stride in ((4, 1), (4, 1), (6, 2)):
        inner = net.conv(net.relu(net.conv(y, out, stride=stride)), out)
        skip = y if stride == 1 else net.conv(y, out, 1, stride)
        y = net.relu(net.compute(Add(), inner, skip))
    assert removed(net.done(net.dense(net.flat(net.global_pool(y)), 3))) == 0


@BOTH
def test_a_residual_of_the_input_leaves_one_at_the_input(is_float: bool) -> None:
    net, x = Net.start(1, 3, 8, 8, is_float=is_float)
    y = net.relu(net.compute(Add(), net.conv(x, 3), x))
    assert removed(net.done(net.flat(net.global_pool(net.conv(y, 5))))) == 1


@BOTH
def test_inception_concatenations(is_float: bool) -> None:
    net, x = Net.start(1, 1, 8, 8, is_float=is_float)
    y = net.conv(x, 4)
    for _ in range(2):
        branches = [net.conv(y, 2, 1), net.conv(net.relu(net.conv(y, 2, 1)), 3), net.depthwise(y)]
        branches = [net.add(Quantize(), b, quant=SOFTMAX) if not is_float else net.relu(b) for b in branches]
        y = net.add(Concatenation(1), *branches)
    assert removed(net.done(net.flat(net.global_pool(y)))) == 0


@BOTH
@pytest.mark.parametrize("dense", [False, True])
def test_squeeze_and_excitation(dense: bool, is_float: bool) -> None:
    net, x = Net.start(1, 1, 8, 8, is_float=is_float)
    y = net.conv(x, 4)
    for _ in range(2):
        pooled = net.global_pool(y, keep_dims=not dense)
        if dense:
            scale = net.dense(net.relu(net.dense(pooled, 2)), 4)
            scale = net.add(Reshape((1, 4, 1, 1)), scale)
        else:
            scale = net.conv(net.relu(net.conv(pooled, 2, 1)), 4, 1)
        scale = net.add(Logistic(), scale, quant=None if is_float else SOFTMAX)
        y = net.conv(net.compute(Mul(), y, scale), 4)
    assert removed(net.done(net.flat(net.global_pool(y)))) == 0


@BOTH
def test_depthwise_separable(is_float: bool) -> None:
    net, x = Net.start(1, 1, 8, 8, is_float=is_float)
    y = net.conv(x, 4, stride=2)
    for out in (6, 8):
        y = net.relu(net.conv(net.relu(net.depthwise(y)), out, 1))
    assert removed(net.done(net.dense(net.global_pool(y, keep_dims=False), 3))) == 0


@BOTH
@pytest.mark.parametrize(("classes", "left"), [(1, 0), (2, 1)])
def test_u_net_leaves_one_at_its_output(classes: int, left: int, is_float: bool) -> None:
    net, x = Net.start(1, 1, 8, 8, is_float=is_float)
    top = net.relu(net.conv(x, 3))
    down = net.relu(net.conv(net.pool(top), 4))
    up = net.upsample(net.relu(net.conv(down, 3, 1)))
    if not is_float:
        up = net.add(Quantize(), up, quant=top.type.quant)
    y = net.add(Concatenation(1), up, top)
    assert removed(net.done(net.conv(y, classes, 1))) == left


@BOTH
def test_a_channel_shuffle_moves_elements_once(is_float: bool) -> None:
    net, x = Net.start(1, 1, 4, 4, is_float=is_float)
    y = net.relu(net.conv(x, 6))
    for _ in range(2):
        left, right = net.adds(Split(1, (3, 3)), y)
        right = net.conv(net.depthwise(net.conv(right, 3, 1)), 3, 1)
        if not is_float:
            right = net.add(Quantize(), right, quant=left.type.quant)
        y = net.add(Concatenation(1), left, right)
        y = net.add(Reshape((1, 2, 3, 4, 4)), y)
        y = net.add(Reshape((1, 6, 4, 4)), net.add(Transpose((0, 2, 1, 3, 4)), y))
    graph = net.done(net.flat(net.global_pool(net.conv(y, 4))))
    assert removed(graph) == 2
    assert {node.op.attributes()["perm"] for node in transposes(graph)} <= {(0, 1, 2, 4, 3), (0, 1, 3, 2)}


@pytest.mark.parametrize("batch", [1, 2])
def test_a_flat_image_before_dense_layers(batch: int) -> None:
    net, x = Net.start(batch, 1, 6, 6)
    y = net.flat(net.relu(net.pool(net.conv(x, 4))))
    scaled = net.relu(net.compute(Mul(), y, net.constant(36)))
    assert removed(net.done(net.dense(scaled, 3), net.dense(y, 2))) == 0


def test_a_flat_image_before_a_float_dense_layer() -> None:
    net, x = Net.start(1, 1, 6, 6, is_float=True)
    graph = net.done(net.dense(net.flat(net.relu(net.conv(x, 4))), 3))
    inputs = inputs_for(graph)
    before = evaluate(graph, inputs)[0]
    REMOVE_TRANSPOSES.run(graph)
    graph.verify()
    assert transposes(graph) == []
    # the same products, added in another order
    np.testing.assert_allclose(evaluate(graph, inputs)[0], before, rtol=1e-5, atol=1e-5)


def test_an_image_made_of_a_dense_layer_permutes_its_rows_and_scales() -> None:
    net, x = Net.start(1, 5)
    y = net.relu(net.compute(Add(), net.dense(x, 24), net.constant(24)))
    y = net.conv(net.upsample(net.add(Reshape((1, 4, 2, 3)), y)), 1)
    graph = net.done(y)
    (dense,) = [node for node in graph.nodes if isinstance(node.op, FullyConnected)]
    old, scales = dense["w"].array, dense["w"].q.scale
    assert removed(graph) == 0
    index = np.arange(24).reshape(4, 6).T.reshape(-1)
    np.testing.assert_array_equal(dense["w"].array, old[index])
    assert dense["w"].q.scale == tuple(scales[i] for i in index)


@pytest.mark.parametrize("output", [False, True])
def test_a_dense_layer_that_something_else_reads_keeps_its_order(output: bool) -> None:
    net, x = Net.start(1, 5)
    y = net.dense(x, 24)
    image = net.conv(net.add(Reshape((1, 4, 2, 3)), net.relu(y)), 1)
    assert removed(net.done(image, y if output else net.add(Slice((0, 0), (1, 7)), y))) == 1


@BOTH
def test_a_detection_head(is_float: bool) -> None:
    """Boxes: NCHW -> NHWC -> rows, as exporters write it."""
    net, x = Net.start(1, 1, 8, 8, is_float=is_float)
    y = net.conv(x, 4)
    heads = [net.add(Reshape((1, 64, 4)), net.last(net.conv(y, 4)))]
    small = net.conv(net.pool(y), 8)
    heads.append(net.add(Reshape((1, 32, 4)), net.last(small)))
    if not is_float:
        heads = [net.add(Quantize(), head, quant=SOFTMAX) for head in heads]
    boxes = net.add(Concatenation(1), *heads)
    scores = net.add(Softmax(), boxes, quant=None if is_float else SOFTMAX)
    assert removed(net.done(boxes, scores)) == 0


@BOTH
def test_softmax_and_arg_max_over_channels(is_float: bool) -> None:
    net, x = Net.start(1, 1, 6, 6, is_float=is_float)
    y = net.conv(x, 3)
    scores = net.first(net.add(Softmax(), net.last(y), quant=None if is_float else SOFTMAX))
    best = net.add(ArgMax(1), scores, dtype=DType.INT32)
    graph = net.done(best)
    assert removed(graph) == 0
    assert graph.nodes[-1].op == ArgMax(3)


# ------------------------------------------------------------------------------------------ attributes and constants


def test_channels_first_attributes_become_those_of_channels_last() -> None:
    net, x = Net.start(1, 1, 6, 6)
    y = net.conv(x, 4)
    y = net.add(Pad(((0, 0), (0, 1), (2, 0), (0, 3))), y)
    y = net.add(Slice((0, 1, 0, 2), (1, 4, 7, 5)), y)
    y = net.compute(PRelu(), y, net.constant(4, 1, 1))
    y = net.compute(Add(), net.constant(1, 4, 1, 5), y)
    graph = net.done(net.flat(net.global_pool(net.conv(y, 2))))
    assert removed(graph) == 0
    by_name = {node.op.name: node for node in graph.nodes}
    assert by_name["pad"].op.attributes()["pads"] == ((0, 0), (2, 0), (0, 3), (0, 1))
    assert by_name["slice"].op.attributes()["begin"] == (0, 0, 2, 1)
    assert by_name["prelu"]["alpha"].shape == (1, 1, 4)
    assert by_name["add"]["a"].shape == (1, 1, 5, 4)


def test_a_constant_that_others_read_stays_as_it_is() -> None:
    net, x = Net.start(1, 4, 3, 3)
    shared = net.constant(4, 3, 3)
    y = net.conv(net.compute(Mul(), net.conv(x, 4), shared), 4)
    graph = net.done(net.compute(Add(), x, shared), net.flat(net.global_pool(y)))
    assert removed(graph) == 1
    (mul,), (add,) = ([n for n in graph.nodes if n.op.name == name] for name in ("mul", "add"))
    assert add["b"] is shared
    assert (mul["b"].shape, mul["b"].name) == ((3, 3, 4), f"{shared.name}_1")


def test_other_scales_behind_a_transposition_stay() -> None:
    net, x = Net.start(1, 4, 4, 1)
    y = net.layer(Conv2D(), x, (3, 1, 1, 1), 0)
    y = net.add(Transpose(TO_FIRST), y, quant=Quant.per_tensor(0.5, 3))
    y = net.add(Transpose(TO_LAST), net.relu(y), quant=Quant.per_tensor(0.25, 7))
    graph = net.done(net.layer(Conv2D(), y, (1, 1, 1, 3), 0))
    assert removed(graph) == 0
    assert ops_of(graph) == ["conv2d", "reshape", "relu", "reshape", "conv2d"]


# ------------------------------------------------------------------------------------------ where transpositions stay


def test_the_interface_keeps_its_shapes() -> None:
    net, x = Net.start(1, 3, 6, 6)
    graph = net.done(net.relu(net.conv(net.relu(net.conv(x, 4)), 4)))
    assert removed(graph) == 2
    assert ops_of(graph) == ["transpose", "conv2d", "conv2d", "transpose"]
    assert [v.name for v in graph.outputs] == ["relu7"]


def test_single_channel_input_and_output_are_views() -> None:
    net, x = Net.start(1, 1, 6, 6)
    graph = net.done(net.conv(net.relu(net.conv(x, 4)), 1))
    report = REMOVE_TRANSPOSES.run(graph)
    assert transposes(graph) == []
    assert "made transpose 'transpose0' a view" in report.changes


def test_transpositions_move_what_is_smaller() -> None:
    net, x = Net.start(1, 3, 6, 6)
    padded = net.add(Pad(((0, 0), (0, 0), (1, 1), (1, 1))), x)
    y = net.conv(padded, 4, 1)
    graph = net.done(net.add(Slice((0, 1, 0, 0), (1, 2, 8, 8)), y))
    assert removed(graph) == 2
    assert [node["x"].shape for node in transposes(graph)] == [(1, 3, 6, 6), (1, 8, 8, 2)]
    assert ops_of(graph) == ["transpose", "conv2d", "slice", "transpose"]  # fold_pad did its part


def test_a_quantized_input_is_transposed_as_bytes() -> None:
    x = Value("x", TensorType((1, 3, 4, 4), DType.FLOAT32))
    net, _ = Net.start(1)
    net.graph.inputs = [x]
    y = net.add(Quantize(), net.last(x), quant=SOFTMAX, dtype=DType.INT8)
    graph = net.done(net.layer(Conv2D(), y, (2, 1, 1, 3), 0))
    assert removed(graph) == 1
    assert ops_of(graph) == ["quantize", "transpose", "conv2d"]


def test_equal_transpositions_become_one() -> None:
    net, x = Net.start(1, 3, 4, 4)
    graph = net.done(*(net.layer(Conv2D(), net.last(x), (2, 1, 1, 3), 0) for _ in range(3)))
    assert removed(graph) == 1


def test_chains_of_transpositions_become_one() -> None:
    net, x = Net.start(2, 3, 4, 5)
    y = x
    for perm in ((3, 1, 0, 2), (2, 0, 1, 3), (0, 1, 3, 2)):
        y = net.add(Transpose(perm), y)
    assert removed(net.done(y)) == 1


@pytest.mark.parametrize("perm", [(0, 1, 3, 2), (0, 2, 3, 1), (0, 3, 1, 2)])
def test_a_tensor_and_its_own_transposition_meet(perm: tuple[int, ...]) -> None:
    """An order reaches both sides of a transposition: it does its work in any."""
    net, x = Net.start(1, 3, 3, 3)
    y = net.relu(net.conv(x, 3))
    y = net.compute(Add(), y, net.add(Transpose(perm), y))
    y = net.compute(Add(), y, net.add(Transpose(perm), net.relu(y)))
    assert removed(net.done(net.conv(y, 3))) <= 4


def test_a_gather_for_each_image_of_a_batch_keeps_its_order() -> None:
    net, x = Net.start(2, 1, 3, 4)
    index = Value("index", TensorType((2, 3), DType.INT32), np.array([[0, 2, 1], [1, 0, 0]], np.int32))
    assert removed(net.done(net.add(Gather(1, 1), net.conv(x, 3), index))) == 1


def test_many_outputs_of_one_layer_need_one_transposition() -> None:
    net, x = Net.start(1, 1, 4, 4)
    y = net.conv(x, 3)
    graph = net.done(*(net.compute(Add(), y, net.constant(3, 1, 1)) for _ in range(4)))
    assert removed(graph) == 1


@pytest.mark.parametrize("output", [False, True])
def test_a_flat_image_that_something_else_reads_keeps_its_order(output: bool) -> None:
    net, x = Net.start(1, 1, 4, 4)
    flat = net.flat(net.conv(x, 3))
    graph = net.done(net.dense(flat, 2), flat if output else net.add(Slice((0, 0), (1, 7)), flat))
    assert removed(graph) == 1


@pytest.mark.parametrize(("shape", "left"), [((4, 4), 2), ((1, 1), 0), ((1,), 0), ((3, 4, 4), 1)])
def test_an_operand_of_fewer_axes_is_counted_from_the_last(shape: tuple[int, ...], left: int) -> None:
    """Rows and columns alone cannot follow channels that move behind them; all three can, a scalar need not."""
    net, x = Net.start(1, 1, 4, 4)
    y = net.compute(Mul(), net.conv(x, 3), net.input(*shape))
    assert removed(net.done(net.flat(net.global_pool(net.conv(y, 2))))) == left
    net, x = Net.start(1, 1, 4, 4)
    y = net.compute(Mul(), net.add(Transpose((0, 1, 3, 2)), net.conv(x, 3)), net.input(4, 4))
    assert removed(net.done(net.global_pool(y))) == 1


def test_float_sums_keep_their_order() -> None:
    """A mean over rows and columns whose order would change is left alone."""
    net, x = Net.start(1, 1, 4, 5, is_float=True)
    y = net.add(Transpose((0, 1, 3, 2)), net.conv(x, 3))
    assert removed(net.done(net.global_pool(y))) == 1
    net, x = Net.start(1, 1, 4, 5)
    y = net.add(Transpose((0, 1, 3, 2)), net.conv(x, 3))
    assert removed(net.done(net.global_pool(y))) == 0


def test_what_is_left_has_a_reason() -> None:
    net, x = Net.start(1, 3, 6, 6)
    graph = net.done(net.conv(net.conv(x, 4), 4))
    report = REMOVE_TRANSPOSES.run(graph)
    assert report.headline == "4 -> 2 transpositions, 540 -> 252 bytes moved"
    assert [(m.node, m.reason) for m in report.missed] == [
        ("transpose0", "lies between 'x0' and conv2d 'conv2d1', which take their axes in different orders"),
        (
            "transpose5",
            "lies between conv2d 'conv2d4' and the outputs of the graph, which take their axes in different orders",
        ),
    ]


# ------------------------------------------------------------------------------------------ afterwards, and at scale


def test_other_passes_find_what_comes_together() -> None:
    net, x = Net.start(1, 1, 6, 6)
    y = net.relu(net.conv(x, 4))
    y = net.relu(net.conv(net.add(Pad(((0, 0), (0, 0), (1, 0), (1, 0))), y), 4, 1))
    graph = net.done(net.global_pool(y))
    assert removed(graph) == 0
    assert ops_of(graph) == ["reshape", "conv2d", "conv2d", "mean", "reshape"]


def test_models_of_channels_first_exporters(models_dir: Path) -> None:
    for name in ("tinyengine_mcunet_vww_int8", "tinyengine_mcunetv2_large_int8"):
        graph = load_graph(models_dir / f"{name}.tflite")
        inputs = inputs_for(graph)
        before = outputs_of(graph, inputs, 1)
        assert len(transposes(graph)) == 1
        PIPELINE.run(graph)
        assert transposes(graph) == []
        assert outputs_of(graph, inputs, 1) == before


def test_it_is_fast_on_long_networks() -> None:
    net, x = Net.start(1, 1, 2, 2)
    y = net.conv(x, 2, 1)
    for _ in range(400):
        y = net.compute(Add(), net.relu(net.conv(net.relu(y), 2, 1)), y)
    graph = net.done(net.global_pool(y))
    start = time.process_time()
    REMOVE_TRANSPOSES.run(graph)
    assert transposes(graph) == []
    # about a second; quadratic would be minutes
    assert time.process_time() - start < 10
