"""What operators that move elements refuse, and corners that their samples don't show."""

from __future__ import annotations

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Node, Quant, TensorType
from chipfit.ops import Op, graph_of, make_node
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.expand_dims import ExpandDims
from chipfit.ops.gather import Gather
from chipfit.ops.pack import Pack
from chipfit.ops.pad import Pad
from chipfit.ops.reshape import Reshape
from chipfit.ops.slice import Slice
from chipfit.ops.split import Split
from chipfit.ops.squeeze import Squeeze
from chipfit.ops.strided_slice import StridedSlice
from chipfit.ops.transpose import Transpose

A, B = Quant.per_tensor(0.5, 1), Quant.per_tensor(0.25, 1)


def int8(*shape: int, quant: Quant = A) -> TensorType:
    return TensorType(shape, DType.INT8, quant)


@pytest.mark.parametrize(
    ("op", "shape"),
    [
        (Reshape((7,)), (2, 3)),
        (Reshape((-1, 6)), (2, 3)),
        (Squeeze((0,)), (2, 1)),
        (Squeeze((2,)), (2, 1)),
        (ExpandDims(3), (2, 1)),
        (ExpandDims(-1), (2, 1)),
        (Transpose((0, 0)), (2, 3)),
        (Transpose((0,)), (2, 3)),
        (Pad(((1, 1),)), (2, 3)),
        (Pad(((1, -1),)), (2,)),
        (Concatenation(1), (2,)),
        (Pack(2), (2,)),
        (Split(0, (1, 2)), (2,)),
        (Split(0, (3, -1)), (2,)),
        (Split(1, (2,)), (2,)),
        (Slice((1,), (2,)), (2,)),
        (Slice((-1,), (1,)), (2,)),
        (Slice((0,), (1,)), (2, 2)),
        (StridedSlice((0,), (3,), (1,)), (2,)),
        (StridedSlice((1,), (-2,), (-1,)), (2,)),
        (StridedSlice((0,), (2,), (0,)), (2,)),
        (StridedSlice((0,), (2,), (1,), (0,)), (2,)),
        (StridedSlice((0,), (-1,), (-1,), (0,)), (2,)),
        (StridedSlice((0,), (1,), (1,), (1,)), (2,)),
    ],
    ids=str,
)
def test_fields_that_do_not_fit_the_shape(op: Op, shape: tuple[int, ...]) -> None:
    with pytest.raises(ChipfitError) as caught:
        make_node(op, {"x": int8(*shape)}, (DType.INT8, A))
    assert caught.value.code == "G003"


@pytest.mark.parametrize("op", [Concatenation(0), Pack(0)], ids=lambda op: op.name)
def test_inputs_must_share_the_quantization_of_the_output(op: Op) -> None:
    node = make_node(op, [int8(2), int8(2, quant=B)], (DType.INT8, A))
    with pytest.raises(ChipfitError, match="different types or quantization") as caught:
        graph_of(node).verify()
    assert caught.value.code == "O002"
    assert "scale 0.25" in caught.value.message
    graph_of(make_node(op, [int8(2), int8(2)], (DType.INT8, A))).verify()


def test_a_fused_activation_is_refused() -> None:
    with pytest.raises(ChipfitError, match="fused activation relu"):
        graph_of(make_node(Concatenation(0, "relu"), [int8(2)], (DType.INT8, A))).verify()


def test_shapes_that_do_not_meet() -> None:
    with pytest.raises(ChipfitError, match="differ beside axis 0"):
        make_node(Concatenation(0), [int8(2, 2), int8(2, 3)], (DType.INT8, A))
    with pytest.raises(ChipfitError, match="differ in shape"):
        make_node(Pack(0), [int8(2), int8(3)], (DType.INT8, A))


def test_element_types_must_be_equal() -> None:
    with pytest.raises(ChipfitError) as caught:
        graph_of(make_node(Reshape((2, 1)), {"x": int8(2)}, (DType.INT16, None))).verify()
    assert caught.value.code == "O002"


def test_more_than_six_axes_are_refused() -> None:
    node = make_node(Transpose((6, 0, 1, 2, 3, 4, 5)), {"x": int8(2, 1, 1, 1, 1, 1, 2)}, (DType.INT8, A))
    with pytest.raises(ChipfitError, match="more than 6 axes"):
        graph_of(node).verify()


def gather(op: Gather, shape: tuple[int, ...], indices: Array | TensorType) -> Node:
    return make_node(op, {"x": int8(*shape), "indices": indices}, (DType.INT8, A))


def test_constant_indices_are_checked_and_others_clamped() -> None:
    for wrong in (-1, 5):
        with pytest.raises(ChipfitError, match=f"index {wrong} of 'indices' is outside of 'x'"):
            gather(Gather(), (5,), np.array([0, wrong], np.int32))
    node = gather(Gather(), (5,), TensorType((4,), DType.INT32))
    x, indices = np.arange(5, dtype=np.int8), np.array([-7, 0, 4, 99], np.int32)
    np.testing.assert_array_equal(Gather().eval_int(node, x, indices), [0, 0, 4, 4])


def test_indices_may_be_int64_only_as_constants() -> None:
    graph_of(gather(Gather(), (5,), np.array([4], np.int64))).verify()
    with pytest.raises(ChipfitError, match="are not int32"):
        graph_of(gather(Gather(), (5,), TensorType((1,), DType.INT64))).verify()


def test_batch_axes_must_be_shared() -> None:
    with pytest.raises(ChipfitError, match="do not share 1 batch axes"):
        gather(Gather(1, 1), (2, 5), TensorType((3, 4), DType.INT32))


def test_padding_is_the_zero_point_of_the_output() -> None:
    node = make_node(Pad(((1, 0),)), {"x": int8(1)}, (DType.INT8, Quant.per_tensor(0.5, -9)))
    np.testing.assert_array_equal(Pad(((1, 0),)).eval_int(node, np.array([3], np.int8)), [-9, 3])


def test_transposition_is_merged_to_as_few_axes_as_it_needs() -> None:
    op = Transpose((0, 3, 1, 2))
    call = op.call(make_node(op, {"x": int8(1, 5, 4, 3)}, (DType.INT8, A)))
    assert call.params == {"bytes": 1, "size": (1, 1, 1, 1, 3, 20), "stride": (0, 0, 0, 0, 1, 3)}
