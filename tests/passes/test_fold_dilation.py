"""fold_dilation: convolutions of blocks of pixels become dilated ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chipfit.graph import Graph, Quant, TensorType, Value
from chipfit.interpret import evaluate
from chipfit.ops.batch_to_space_nd import BatchToSpaceNd
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.expand_dims import ExpandDims
from chipfit.ops.reshape import Reshape
from chipfit.ops.space_to_batch_nd import SpaceToBatchNd
from chipfit.ops.squeeze import Squeeze
from chipfit.passes import FOLD_DILATION, PIPELINE
from passes.chains import Builder, inputs_for, ops_of, outputs_of

Pads = tuple[tuple[int, int], tuple[int, int]]


def dilated(b: Builder, size: tuple[int, int], block: tuple[int, int], pads: Pads, own: int, depthwise: bool) -> Graph:
    """As converters write it: what fills up the last blocks is cut off again."""
    rows, columns = (-(n + sum(pad)) % d for n, pad, d in zip(size, pads, block, strict=True))
    (top, below), (left, right) = pads
    before = SpaceToBatchNd(block, ((top, below + rows), (left, right + columns)))
    inside = b.conv(b.add(before, b.input(2, *size, 3)), (own, own, own, own), depthwise=depthwise)
    return b.done(b.add(BatchToSpaceNd(block, ((0, rows), (0, columns))), inside))


@given(
    size=st.tuples(st.integers(4, 9), st.integers(4, 9)),
    block=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    pads=st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2),
    own=st.integers(0, 1),
    is_float=st.booleans(),
    depthwise=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=100, deadline=None)
def test_any_blocks_and_padding(
    size: tuple[int, int],
    block: tuple[int, int],
    pads: Pads,
    own: int,
    is_float: bool,
    depthwise: bool,
    seed: int,
) -> None:
    if any(-(-(n + sum(pad)) // d) + 2 * own < 2 for n, pad, d in zip(size, pads, block, strict=True)):
        return  # the window is larger than a block's image
    graph = dilated(Builder(is_float=is_float, seed=seed), size, block, pads, own, depthwise)
    inputs = inputs_for(graph, seed)
    before = evaluate(graph, inputs)
    FOLD_DILATION.run(graph)
    graph.verify()
    (conv,) = (node.op for node in graph.nodes)
    assert isinstance(conv, Conv2D | DepthwiseConv2D)
    assert conv.dilation == block
    assert conv.pad[:2] == (pads[0][0] + own * block[0], pads[1][0] + own * block[1])
    for expected, actual in zip(before, evaluate(graph, inputs), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 if is_float else 0)


@pytest.mark.parametrize("views", ["expand_dims", "reshape"])
def test_blocks_of_one_axis(views: str) -> None:
    """A convolution over lines is one over images of one row, with views around it."""
    b = Builder(seed=4)
    blocks = b.add(SpaceToBatchNd((3,), ((2, 3),)), b.input(1, 10, 4))
    image = b.add(ExpandDims(1) if views == "expand_dims" else Reshape((3, 1, 5, 4)), blocks)
    conv = _row_conv(b, image)
    line = b.add(Squeeze((1,)) if views == "expand_dims" else Reshape((3, 4, 4)), conv)
    graph = b.done(b.add(BatchToSpaceNd((3,), ((0, 1),)), line))
    inputs = inputs_for(graph, 1)
    before = outputs_of(graph, inputs)
    PIPELINE.run(graph)
    assert ops_of(graph) == ["reshape", "conv2d", "reshape"]
    conv_op = graph.nodes[1].op
    assert isinstance(conv_op, Conv2D)
    assert (conv_op.dilation, conv_op.pad) == ((1, 3), (0, 2, 0, 2))
    assert outputs_of(graph, inputs) == before


def _row_conv(b: Builder, x: Value) -> Value:
    elements = b.rng.integers(-127, 128, (4, 1, 2, 4), dtype=np.int8)
    w = Value("rows", TensorType(elements.shape, b.dtype, Quant.per_tensor(0.01)), elements)
    return b.add(Conv2D(), x, w)


def stays(graph: Graph) -> str:
    """The reason why the blocks stay."""
    report = FOLD_DILATION.run(graph)
    assert report.changes == []
    (missed,) = report.missed
    return missed.reason


def plain(block: tuple[int, int] = (2, 2)) -> Graph:
    return dilated(Builder(), (8, 8), block, ((0, 0), (0, 0)), 0, False)


def test_what_something_else_reads_stays() -> None:
    graph = plain()
    graph.outputs.append(graph.nodes[1]["y"])
    assert "something else needs what lies between" in stays(graph)


def test_strides_stay() -> None:
    graph = plain()
    conv = graph.nodes[1]
    assert isinstance(conv.op, Conv2D)
    conv.op = dataclasses.replace(conv.op, dilation=(2, 1))
    assert "has strides or is dilated itself" in stays(graph)


def test_other_blocks_stay() -> None:
    graph = plain((2, 3))
    graph.nodes[2].op = BatchToSpaceNd((3, 2))
    assert "puts blocks of (3, 2) back" in stays(graph)


def test_another_quantization_stays() -> None:
    graph = plain()
    y = graph.outputs[0]
    y.type = dataclasses.replace(y.type, quant=Quant.per_tensor(0.07, 3))
    assert "another quantization" in stays(graph)


def test_more_crops_than_padding_stay() -> None:
    b = Builder()
    graph = b.done(
        b.add(BatchToSpaceNd((2, 2), ((1, 0), (0, 0))), b.conv(b.add(SpaceToBatchNd((2, 2)), b.input(1, 8, 8, 3))))
    )
    assert "cuts off more than is padded" in stays(graph)
