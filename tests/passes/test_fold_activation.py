"""fold_activation: what only clamps, or moves the zero point, becomes part of the operator before it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chipfit.graph import DType, Graph, Quant, Value
from chipfit.interpret import evaluate
from chipfit.ops import Op
from chipfit.ops._activation import Activation
from chipfit.ops.add import Add
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.max_pool2d import MaxPool2D
from chipfit.ops.mul import Mul
from chipfit.ops.quantize import Quantize
from chipfit.ops.relu import Relu
from chipfit.ops.relu6 import Relu6
from chipfit.ops.relu_n1_to_1 import ReluN1To1
from chipfit.ops.reshape import Reshape
from chipfit.ops.sub import Sub
from chipfit.passes import FOLD_ACTIVATION
from passes.chains import Builder, inputs_for, interface, ops_of, outputs_of
from passes.layers import ACTIVATIONS, Layers

Q = Quant.per_tensor(0.05, -30)
TAILS: dict[Activation, Op] = {"relu": Relu(), "relu6": Relu6(), "relu_n1_to_1": ReluN1To1()}


def net_of(head: str, act: Activation, tail: Op, y: Quant, seed: int = 0) -> Graph:
    """A head of that kind that gives the quantization Q, and the operator after it."""
    net, x = Layers.start(seed, 1, 5, 4, 3)
    if head == "conv2d":
        v = net.layer(Conv2D(act=act), x, (6, 1, 1, 3), quant=Q)
    elif head == "depthwise_conv2d":
        v = net.layer(DepthwiseConv2D(act=act), x, (1, 2, 2, 3), quant=Q)
    elif head == "fully_connected":
        v = net.layer(FullyConnected(act=act), x, (6, 60), quant=Q)
    elif head in ("add", "sub", "mul"):
        op = {"add": Add(act), "sub": Sub(act), "mul": Mul(act)}[head]
        v = net.add(op, x, net.conv(x, 3), quant=Q)
    else:
        x.type = dataclasses.replace(x.type, quant=Q)
        v = net.add((AveragePool2D if head == "average_pool2d" else MaxPool2D)(act=act), x)
    return net.done(net.add(tail, v, quant=y))


HEADS = [
    "conv2d", "depthwise_conv2d", "fully_connected", "add", "sub", "mul", "average_pool2d", "max_pool2d",
]  # fmt: skip


def run(graph: Graph) -> list[str]:
    """Run the pass, hold it against the graph as it was, return its reasons."""
    inputs, seen = inputs_for(graph, 3), interface(graph)
    before = outputs_of(graph, inputs)
    report = FOLD_ACTIVATION.run(graph)
    graph.verify()
    assert outputs_of(graph, inputs) == before
    assert interface(graph) == seen
    return [m.reason for m in report.missed]


@pytest.mark.parametrize("act", list(TAILS))
@pytest.mark.parametrize("head", HEADS)
def test_activations_become_part_of_the_head(head: str, act: Activation) -> None:
    graph = net_of(head, "none", TAILS[act], Q)
    assert run(graph) == []
    assert graph.nodes[-1].op.name == head
    assert graph.nodes[-1].op.attributes()["act"] == act


@pytest.mark.parametrize("act", list(TAILS))
@pytest.mark.parametrize("head", HEADS)
def test_float_activations_too(head: str, act: Activation) -> None:
    b = Builder(is_float=True)
    x = b.input(1, 4, 4, 2)
    if head in ("conv2d", "depthwise_conv2d"):
        y = b.conv(x, depthwise=head != "conv2d")
    elif head == "fully_connected":
        y = b.add(FullyConnected(), x, b.constant(3, 32))
    elif head in ("add", "sub", "mul"):
        op = {"add": Add(), "sub": Sub(), "mul": Mul()}[head]
        y = b.add(op, x, b.constant(2))
    else:
        y = b.add((AveragePool2D if head == "average_pool2d" else MaxPool2D)(), x)
    graph = b.done(b.add(TAILS[act], y))
    inputs = inputs_for(graph)
    before = evaluate(graph, inputs)
    FOLD_ACTIVATION.run(graph)
    assert ops_of(graph) == [head]
    assert graph.nodes[0].op.attributes()["act"] == act
    # -0 and 0 are one number
    assert all(np.array_equal(p, q) for p, q in zip(before, evaluate(graph, inputs), strict=True))


@given(
    head=st.sampled_from(HEADS),
    act=st.sampled_from(ACTIVATIONS),
    tail=st.sampled_from([*TAILS.values(), Quantize()]),
    scale=st.sampled_from([0.05, 0.0500001, 0.02]),
    zero=st.integers(-128, 127),
    seed=st.integers(0, 1000),
)
@settings(max_examples=200, deadline=None)
def test_any_pair_stays_exact(head: str, act: Activation, tail: Op, scale: float, zero: int, seed: int) -> None:
    run(net_of(head, act, tail, Quant.per_tensor(scale, zero), seed))


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [("relu6", "relu", "relu6"), ("relu", "relu6", "relu6"), ("relu_n1_to_1", "relu_n1_to_1", "relu_n1_to_1")],
)
def test_two_activations_become_one(first: Activation, second: Activation, both: Activation) -> None:
    graph = net_of("conv2d", first, TAILS[second], Q)
    assert run(graph) == []
    assert [n.op.attributes()["act"] for n in graph.nodes] == [both]


def test_a_moved_zero_point_of_a_clamped_head_folds() -> None:
    """relu leaves nothing below the zero point, so that nothing saturates when that moves down to -128."""
    graph = net_of("conv2d", "relu6", Quantize(), Quant.per_tensor(0.05, -128))
    assert run(graph) == []
    assert [n.op for n in graph.nodes] == [Conv2D(act="relu6")]


@pytest.mark.parametrize(
    ("head", "act", "tail", "y", "reason"),
    [
        ("conv2d", "relu", ReluN1To1(), Q, "clamps what 't0' gives as no activation of it would"),
        ("conv2d", "none", Quantize(), Quant.per_tensor(0.05, 0), "clamps what 't0' gives as no activation of it"),
        ("conv2d", "none", Relu(), Quant.per_tensor(0.1, -30), "gives another scale than 't0' has: two roundings"),
        ("max_pool2d", "relu", Quantize(), Quant.per_tensor(0.05, -128), "gives another zero point than 't0' has"),
    ],
)
def test_reasons(head: str, act: Activation, tail: Op, y: Quant, reason: str) -> None:
    (found,) = run(net_of(head, act, tail, y))
    assert found.startswith(reason)


def test_a_head_that_others_read_stays() -> None:
    net, x = Layers.start(0, 1, 5, 4, 3)
    v = net.conv(x, 4)
    y = net.add(Relu(), v)
    assert run(net.done(y, net.add(Reshape((80,)), v))) == ["comes after 't0', which something else needs too"]
    net, x = Layers.start(0, 1, 5, 4, 3)
    v = net.conv(x, 4)
    assert run(net.done(net.add(Relu(), v), v)) == ["comes after 't0', which something else needs too"]


def test_float_activations_without_a_common_one_stay() -> None:
    b = Builder(is_float=True)
    graph = b.done(b.add(ReluN1To1(), b.add(Add("relu"), b.input(3), b.constant(3))))
    (missed,) = FOLD_ACTIVATION.run(graph).missed
    assert missed.reason == "together with the relu of 't0' is no activation that exists"


def test_what_has_no_clamp_is_no_head() -> None:
    b = Builder()
    graph = b.done(b.add(Relu(), b.add(Reshape((6,)), b.input(2, 3))))
    assert run(graph) == []
    assert ops_of(graph) == ["reshape", "relu"]


def test_quantizing_floats_is_no_tail() -> None:
    b = Builder(is_float=True)
    x = b.input(3)
    kind = dataclasses.replace(x.type, dtype=DType.INT8, quant=Q)
    y: Value = b.add(Quantize(), b.add(Add(), x, b.constant(3)), type=kind)
    graph = b.done(y)
    assert run(graph) == []
    assert ops_of(graph) == ["add", "quantize"]
