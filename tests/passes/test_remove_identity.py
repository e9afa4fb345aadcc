"""remove_identity: operators that hand on their input go; views of views become one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chipfit.graph import DType, Quant, TensorType
from chipfit.ops import Op
from chipfit.ops._reduce import Reduce
from chipfit.ops.batch_to_space_nd import BatchToSpaceNd
from chipfit.ops.broadcast_to import BroadcastTo
from chipfit.ops.cast import Cast
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.depth_to_space import DepthToSpace
from chipfit.ops.expand_dims import ExpandDims
from chipfit.ops.mean import Mean
from chipfit.ops.mirror_pad import MirrorPad
from chipfit.ops.pad import Pad
from chipfit.ops.quantize import Quantize
from chipfit.ops.reduce_max import ReduceMax
from chipfit.ops.relu import Relu
from chipfit.ops.reshape import Reshape
from chipfit.ops.reverse_v2 import ReverseV2
from chipfit.ops.slice import Slice
from chipfit.ops.space_to_batch_nd import SpaceToBatchNd
from chipfit.ops.space_to_depth import SpaceToDepth
from chipfit.ops.split import Split
from chipfit.ops.squeeze import Squeeze
from chipfit.ops.strided_slice import StridedSlice
from chipfit.ops.sum import Sum
from chipfit.ops.tile import Tile
from chipfit.ops.transpose import Transpose
from chipfit.passes import REMOVE_IDENTITY
from passes.chains import Builder, inputs_for, ops_of, outputs_of

SHAPE = (1, 3, 5, 2)
WHOLE = ((0,) * 4, SHAPE, (1,) * 4)

IDENTITIES: list[Op] = [
    Reshape(SHAPE),
    Cast(),
    Quantize(),
    Pad(((0, 0),) * 4),
    Slice((0,) * 4, SHAPE),
    StridedSlice(*WHOLE),
    Transpose((0, 1, 2, 3)),
    Concatenation(2),
    Split(1, (3,)),
    MirrorPad(((0, 0),) * 4),
    Tile((1, 1, 1, 1)),
    BroadcastTo(SHAPE),
    DepthToSpace(1),
    SpaceToDepth(1),
    SpaceToBatchNd(),
    BatchToSpaceNd(),
    ReverseV2((0,)),
]

WORKERS: list[Op] = [
    Relu(),
    StridedSlice((0, 0, 4, 0), (1, 3, -1, 2), (1, 1, -1, 1)),
    Concatenation(0),
    ReverseV2((1,)),
]


@pytest.mark.parametrize("op", IDENTITIES, ids=lambda op: op.name)
def test_an_identity_inside_of_the_graph_goes(op: Op) -> None:
    b = Builder()
    x = b.input(*SHAPE)
    y = b.add(Relu(), b.add(op, x))
    graph = b.done(y)
    assert REMOVE_IDENTITY.run(graph).changes == [f"removed {op.name} 't0'"]
    assert graph.nodes[0].inputs == [x]
    assert ops_of(graph) == ["relu"]


@pytest.mark.parametrize("op", IDENTITIES, ids=lambda op: op.name)
def test_an_identity_that_makes_the_output_goes_and_the_name_stays(op: Op) -> None:
    b = Builder()
    inner = b.add(Relu(), b.input(*SHAPE))
    side = b.add(Transpose((3, 2, 1, 0)), inner)
    graph = b.done(b.add(op, inner), side)
    REMOVE_IDENTITY.run(graph)
    graph.verify()
    assert ops_of(graph) == ["relu", "transpose"]
    assert [v.name for v in graph.outputs] == ["t2", "t1"]


@pytest.mark.parametrize("op", WORKERS, ids=lambda op: op.name)
def test_what_does_something_stays(op: Op) -> None:
    b = Builder()
    x = b.input(*SHAPE)
    y = b.add(op, x, x) if isinstance(op, Concatenation) else b.add(op, x)
    graph = b.done(b.add(Relu(), y))
    assert REMOVE_IDENTITY.run(graph).changes == []
    assert len(graph.nodes) == 2


def test_a_square_transposition_stays_and_one_of_single_axes_goes() -> None:
    b = Builder()
    x = b.input(1, 1, 4, 4)
    y = b.add(Transpose((1, 0, 2, 3)), b.add(Transpose((0, 1, 3, 2)), x))
    graph = b.done(b.add(Relu(), y))
    REMOVE_IDENTITY.run(graph)
    assert ops_of(graph) == ["transpose", "relu"]
    assert graph.nodes[0].op == Transpose((0, 1, 3, 2))


def test_another_quantization_is_a_reason_to_stay() -> None:
    b = Builder()
    other = TensorType((), DType.INT8, Quant.per_tensor(0.5, 3))
    graph = b.done(b.add(Relu(), b.add(Reshape(SHAPE), b.input(*SHAPE), type=other)))
    report = REMOVE_IDENTITY.run(graph)
    assert ops_of(graph) == ["reshape", "relu"]
    assert [m.reason for m in report.missed] == ["gives its elements another quantization than 'in0' has"]


def test_from_input_to_output_something_must_stay() -> None:
    b = Builder()
    graph = b.done(b.add(Reshape(SHAPE), b.input(*SHAPE)))
    report = REMOVE_IDENTITY.run(graph)
    assert ops_of(graph) == ["reshape"]
    assert "which is an input" in report.missed[0].reason


def test_views_of_views_become_one_reshape() -> None:
    b = Builder()
    x = b.input(*SHAPE)
    y = b.add(ExpandDims(0), b.add(Squeeze(), b.add(Reshape((15, 2)), x)))
    graph = b.done(b.add(Relu(), y))
    REMOVE_IDENTITY.run(graph)
    assert [node.op for node in graph.nodes] == [Reshape((1, 15, 2)), Relu()]
    assert graph.nodes[0].inputs == [x]


def test_views_that_cancel_go() -> None:
    b = Builder()
    x = b.input(*SHAPE)
    graph = b.done(b.add(Relu(), b.add(Reshape(SHAPE), b.add(Reshape((30,)), x))))
    REMOVE_IDENTITY.run(graph)
    assert ops_of(graph) == ["relu"]


def test_a_view_that_others_read_stays() -> None:
    b = Builder()
    flat = b.add(Reshape((30,)), b.input(*SHAPE))
    graph = b.done(b.add(Relu(), flat), b.add(Relu(), b.add(Reshape((2, 15)), flat)))
    report = REMOVE_IDENTITY.run(graph)
    assert report.changes == []
    assert [m.reason for m in report.missed] == ["is a view of 't0', which something else needs too"]


@pytest.mark.parametrize("op", [Mean((1, 2)), Sum((1, 2)), ReduceMax((2,))], ids=lambda op: op.name)
@pytest.mark.parametrize("keep_dims", [False, True])
def test_a_reduction_gives_the_shape_that_a_view_makes_of_it(op: Reduce, keep_dims: bool) -> None:
    b = Builder()
    first, other = (replace(op, keep_dims=keep) for keep in (keep_dims, not keep_dims))
    x = b.input(*SHAPE)
    y = b.add(first, x)
    shape = b.add(other, x).shape
    b.graph.nodes.pop()
    graph = b.done(b.add(Reshape(shape), y))
    inputs = inputs_for(graph)
    expected = outputs_of(graph, inputs)
    assert REMOVE_IDENTITY.run(graph).changes == [f"merged reshape 't1' into {op.name} 't0'"]
    graph.verify()
    assert [node.op for node in graph.nodes] == [other]
    assert graph.outputs[0].name == "t1"
    assert outputs_of(graph, inputs) == expected


def test_a_reduction_keeps_its_shape_where_another_is_asked_for_or_something_else_reads_it() -> None:
    b = Builder()
    x = b.input(1, 4, 3, 2)
    apart, read = b.add(Mean((1, 2), keep_dims=True), x), b.add(Mean((2,), keep_dims=True), x)
    graph = b.done(b.add(Reshape((1, 1, 2)), apart), read, b.add(Reshape((1, 4, 2)), read))
    report = REMOVE_IDENTITY.run(graph)
    assert ops_of(graph) == ["mean", "mean", "reshape", "reshape"]
    assert [m.reason for m in report.missed] == ["is a view of 't1', which something else needs too"]
