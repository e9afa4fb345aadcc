"""Kernels for ``--optimize size``: where they are taken, and the reason where not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chipfit.graph import DType, Node, Quant, Shape, TensorType
from chipfit.ops import make_node, op_of
from chipfit.ops._base import int8_type
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.softmax import Softmax

FEATURES = frozenset({"dsp", "mulh", "unaligned", "fpu"})
OUTPUT = (DType.INT8, Quant.per_tensor(0.1, 3))
CONV, DEPTHWISE = Conv2D(), DepthwiseConv2D()


def layer(op: Conv2D | DepthwiseConv2D | FullyConnected, x_shape: Shape, w_shape: Shape) -> Node:
    rng = np.random.default_rng(0)
    w = rng.integers(-127, 128, w_shape, dtype=np.int8)
    weights = (TensorType(w_shape, DType.INT8, Quant.per_tensor(0.01, 0)), w)
    return make_node(op, {"x": int8_type(rng, *x_shape, scale=0.05), "w": weights, "b": None}, OUTPUT)


def softmax(scale: float) -> Node:
    x = int8_type(np.random.default_rng(0), 1, 10, scale=scale)
    return make_node(Softmax(), {"x": x}, (DType.INT8, Quant.per_tensor(1 / 256, -128)))


@pytest.mark.parametrize(
    ("node", "kernel"),
    [
        (layer(CONV, (1, 5, 6, 3), (7, 3, 3, 3)), "cf_conv2d_s8_dsp_small"),
        (layer(FullyConnected(), (1, 31), (33, 31)), "cf_conv2d_s8_dsp_small"),
        (layer(DEPTHWISE, (1, 5, 6, 5), (1, 3, 3, 5)), "cf_depthwise_conv2d_s8_dsp_small"),
        (softmax(0.05), "cf_softmax_s8_small"),
    ],
)
def test_taken_for_size_only(node: Node, kernel: str) -> None:
    assert op_of(node).choose(node, FEATURES, shared=True).kernel.name == kernel
    other = op_of(node).choose(node, FEATURES)
    assert other.kernel.name != kernel
    assert dict(other.rejected)[kernel] == "it trades speed for little code"


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (layer(CONV, (1, 5, 6, 4), (8, 3, 3, 2)), "it has groups"),
        (layer(CONV, (1, 1, 1 << 15, 1), (1, 1, 1, 1)), "in_w is 32,768, its field holds up to 32,767"),
        (
            layer(replace(CONV, pad=(256, 0, 0, 0)), (1, 4, 4, 1), (1, 2, 2, 1)),
            "pad_top is 256, its field holds up to 255",
        ),
        (layer(CONV, (1, 300, 1, 1), (1, 256, 1, 1)), "kernel_h is 256, its field holds up to 255"),
        (layer(DEPTHWISE, (1, 5, 6, 4), (1, 3, 3, 8)), "an input channel has several output channels"),
        (layer(DEPTHWISE, (1, 5, 6, 3), (1, 3, 3, 3)), "it has fewer than four channels"),
        (layer(FullyConnected(), (1, 32), (32, 32)), "a layer of 1,024 weights or more is worth a faster one"),
        (softmax(3.0), "its table is smaller than the code that would compute it"),
    ],
)
def test_not_taken_with_a_reason(node: Node, reason: str) -> None:
    choice = op_of(node).choose(node, FEATURES, shared=True)
    assert reason in [text for _, text in choice.rejected]


def test_weights_at_run_time_are_left_to_others() -> None:
    rng = np.random.default_rng(0)
    w = TensorType((8, 16), DType.INT8, Quant.per_tensor(0.01, 0))
    node = make_node(FullyConnected(), {"x": int8_type(rng, 1, 16, scale=0.05), "w": w, "b": None}, OUTPUT)
    assert op_of(node).choose(node, FEATURES, shared=True).kernel.name == "cf_fully_connected_s8"
