"""fold_requantize: only what a table of all bytes proves."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chipfit.graph import DType, Graph, Quant, TensorType
from chipfit.ops import Op
from chipfit.ops.leaky_relu import LeakyRelu
from chipfit.ops.logistic import Logistic
from chipfit.ops.quantize import Quantize
from chipfit.ops.relu import Relu
from chipfit.ops.relu6 import Relu6
from chipfit.ops.reshape import Reshape
from chipfit.ops.tanh import Tanh
from chipfit.passes import FOLD_REQUANTIZE
from passes.chains import Builder, inputs_for, interface, ops_of, outputs_of


def q(scale: float, zero: int) -> TensorType:
    return TensorType((), DType.INT8, Quant.per_tensor(scale, zero))


def chain(*steps: tuple[Op, TensorType]) -> Graph:
    """Operators after each other on all 256 bytes; the input has scale 0.05 and zero point -7."""
    b = Builder()
    y = b.input(256)
    for op, kind in steps:
        y = b.add(op, y, type=kind)
    return b.done(y)


def run(graph: Graph) -> list[str]:
    inputs, seen = inputs_for(graph, 3), interface(graph)
    before = outputs_of(graph, inputs)
    report = FOLD_REQUANTIZE.run(graph)
    graph.verify()
    assert outputs_of(graph, inputs) == before
    assert interface(graph) == seen
    return [m.reason for m in report.missed]


def test_a_new_scale_that_moves_no_byte_is_a_view() -> None:
    graph = chain((Quantize(), q(0.05001, -7)), (Relu(), q(0.05001, -7)))
    assert run(graph) == []
    assert [n.op for n in graph.nodes] == [Reshape((256,)), Relu()]


def test_a_new_scale_that_moves_one_byte_stays() -> None:
    graph = chain((Quantize(), q(0.0503, -7)))
    assert run(graph) == []
    assert ops_of(graph) == ["quantize"]


@pytest.mark.parametrize("first", [True, False])
def test_a_shift_of_the_zero_point_goes_into_its_neighbour(first: bool) -> None:
    """Nothing saturates in between: relu has taken the lower half, or leaves it to be cut."""
    steps = ((Relu(), q(0.05, -7)), (Quantize(), q(0.05, -128))) if first else ((Quantize(), q(0.05, -100)),)
    graph = chain(*steps, *(() if first else ((Relu(), q(0.05, -100)),)))
    reasons = run(graph)
    assert ops_of(graph) == ["relu"]
    assert reasons == []


def test_two_roundings_that_one_would_not_give_stay() -> None:
    graph = chain((Quantize(), q(0.13, 0)), (Quantize(), q(0.05, -7)))
    assert run(graph) == ["together with 't0' gives other bytes than quantize alone would"]
    assert ops_of(graph) == ["quantize", "quantize"]


def test_operators_with_fixed_quantizations_take_no_other() -> None:
    graph = chain((Logistic(), q(1 / 256, -128)), (Quantize(), q(1 / 128, 0)))
    assert run(graph) == ["together with 't0' gives other bytes than logistic alone would"]


def test_something_else_that_reads_the_middle_is_a_reason() -> None:
    b = Builder()
    y = b.add(Relu(), b.input(256))
    graph = b.done(y, b.add(Quantize(), y, type=q(0.05, -128)))
    assert run(graph) == ["comes after 't0', which something else needs too"]


def test_two_operators_of_which_none_is_a_quantization_stay() -> None:
    graph = chain((Relu(), q(0.05, -7)), (Relu6(), q(0.05, -7)))
    assert run(graph) == []
    assert ops_of(graph) == ["relu", "relu6"]


OPS: list[Op] = [Quantize(), Quantize(), Relu(), Relu6(), LeakyRelu(0.1), Logistic(), Tanh()]


@given(
    picks=st.lists(
        st.tuples(st.sampled_from(OPS), st.sampled_from([0.05, 0.0500001, 0.1, 0.02]), st.integers(-128, 127)),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=200, deadline=None)
def test_any_chain_stays_exact(picks: list[tuple[Op, float, int]]) -> None:
    fixed = {"logistic": q(1 / 256, -128), "tanh": q(1 / 128, 0)}
    run(chain(*((op, fixed.get(op.name, q(scale, zero))) for op, scale, zero in picks)))
