"""fold_pad: the pad before convolutions becomes their own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chipfit.graph import DType, Graph, Quant, TensorType, Value
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.pad import Pad
from chipfit.ops.relu import Relu
from chipfit.passes import FOLD_PAD
from passes.chains import Builder, inputs_for, ops_of, outputs_of

ROWS_AND_COLUMNS = ((0, 0), (1, 2), (0, 3), (0, 0))


@given(
    pads=st.tuples(*[st.integers(0, 4)] * 4),
    own=st.tuples(*[st.integers(0, 2)] * 4),
    is_float=st.booleans(),
    depthwise=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=100, deadline=None)
def test_any_padding_is_added_exactly(
    pads: tuple[int, int, int, int], own: tuple[int, int, int, int], is_float: bool, depthwise: bool, seed: int
) -> None:
    b = Builder(is_float=is_float, seed=seed)
    op = Pad(((0, 0), (pads[0], pads[1]), (pads[2], pads[3]), (0, 0)))
    graph = b.done(b.conv(b.add(op, b.input(2, 3, 4, 2)), own, depthwise=depthwise))
    inputs = inputs_for(graph, seed)
    before = outputs_of(graph, inputs)
    FOLD_PAD.run(graph)
    graph.verify()
    (conv,) = (node.op for node in graph.nodes)
    assert isinstance(conv, Conv2D | DepthwiseConv2D)
    assert conv.pad == (own[0] + pads[0], own[1] + pads[2], own[2] + pads[1], own[3] + pads[3])
    assert outputs_of(graph, inputs) == before


def test_one_pad_before_several_convolutions() -> None:
    b = Builder()
    y = b.add(Pad(ROWS_AND_COLUMNS), b.input(1, 3, 4, 2))
    graph = b.done(b.conv(y), b.conv(y, depthwise=True))
    assert FOLD_PAD.run(graph).changes == ["moved pad 't0' into 't1', 't2'"]
    assert ops_of(graph) == ["conv2d", "depthwise_conv2d"]


def test_the_zero_point_as_a_value_is_the_real_zero() -> None:
    b = Builder()
    graph = b.done(b.conv(b.add(Pad(ROWS_AND_COLUMNS, -7), b.input(1, 3, 4, 2))))
    FOLD_PAD.run(graph)
    assert ops_of(graph) == ["conv2d"]


def stays(graph: Graph) -> str:
    """The reason why the pad stays."""
    report = FOLD_PAD.run(graph)
    assert report.changes == []
    (missed,) = report.missed
    return missed.reason


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        (Pad(((0, 0), (1, 1), (1, 1), (0, 1))), "pads other axes than rows and columns"),
        (Pad(((1, 0), (1, 1), (1, 1), (0, 0))), "pads other axes than rows and columns"),
        (Pad(ROWS_AND_COLUMNS, 3), "pads with another value than the real number 0"),
    ],
)
def test_paddings_that_a_convolution_does_not_have(op: Pad, reason: str) -> None:
    b = Builder()
    assert stays(b.done(b.conv(b.add(op, b.input(1, 3, 4, 2))))) == reason


def test_another_quantization_stays() -> None:
    b = Builder()
    other = TensorType((), DType.INT8, Quant.per_tensor(0.5, 3))
    graph = b.done(b.conv(b.add(Pad(ROWS_AND_COLUMNS), b.input(1, 3, 4, 2), type=other)))
    assert stays(graph) == "gives its elements another quantization than 'in0' has"


def test_a_pad_that_others_read_stays() -> None:
    b = Builder()
    y = b.add(Pad(ROWS_AND_COLUMNS), b.input(1, 3, 4, 2))
    graph = b.done(b.conv(y), b.add(Relu(), y))
    assert stays(graph) == "is read by relu 't2', which has no padding of its own with that meaning"


def test_a_pad_that_is_an_output_stays() -> None:
    b = Builder()
    y = b.add(Pad(ROWS_AND_COLUMNS), b.input(1, 3, 4, 2))
    assert stays(b.done(b.conv(y), y)) == "is an output of the graph, or nothing reads it"


def test_padded_weights_stay() -> None:
    b = Builder(is_float=True)
    weights: Value = b.add(Pad(((0, 0), (1, 0), (0, 1), (0, 0))), b.input(2, 1, 1, 2))
    graph = b.done(b.add(Conv2D(), b.input(1, 3, 4, 2), weights))
    assert stays(graph) == "is read by conv2d 't1' as weights"
