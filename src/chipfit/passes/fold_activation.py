"""Let operators that end in a clamp do the activation, or the shift of the zero point, that comes after them."""

from __future__ import annotations

import dataclasses
from typing import get_args

import numpy as np

from chipfit.graph import Array, DType, Graph, Node, Value
from chipfit.graph.rewrite import Changed, Missed, Uses, pass_of_rules
from chipfit.ops import op_of
from chipfit.ops._activation import Activation, activation_range, activation_range_float
from chipfit.ops._pool import Pool
from chipfit.ops.add import Add
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.mul import Mul
from chipfit.ops.quantize import Quantize
from chipfit.ops.relu import Relu
from chipfit.ops.relu6 import Relu6
from chipfit.ops.relu_n1_to_1 import ReluN1To1
from chipfit.ops.sub import Sub
from chipfit.ops.transpose_conv import TransposeConv
from chipfit.passes._ranges import byte_table

_CLAMPING = (Conv2D, DepthwiseConv2D, TransposeConv, FullyConnected, Add, Sub, Mul, Pool)
_ACTIVATIONS: dict[type, Activation] = {Relu: "relu", Relu6: "relu6", ReluN1To1: "relu_n1_to_1"}

_WIDE = np.arange(-1024, 1024)
"""Results before the zero point is added and they are clamped. Beyond, nothing changes any more."""


def fold_activation(graph: Graph, node: Node, uses: Uses) -> Changed | str | None:
    """Let the producer of a node's input give the node's output."""
    if type(node.op) not in _ACTIVATIONS and not isinstance(node.op, Quantize):
        return None
    x, y = node["x"], node["y"]
    head = uses.producer(x)
    if head is None or not isinstance(head.op, _CLAMPING) or x.dtype is not y.dtype:
        return None
    if uses.only_reader(x) is not node:
        return f"comes after '{x.name}', which something else needs too"
    act = _float_act(head, node) if x.dtype.is_float else _int8_act(head, node)
    if isinstance(act, Missed):
        return act.reason
    head.op = dataclasses.replace(head.op, act=act)
    uses.remove(node)
    uses.set_outputs(head, [y])
    return Changed(f"moved {node.op.name} '{y.name}' into {head.op.name}")


def _float_act(head: Node, tail: Node) -> Activation | Missed:
    """The activation that is both in one, or the reason why there is none.

    Equal as numbers: a sum that is -0 may come out as 0.
    """
    first, second = activation_range_float(_act(head)), activation_range_float(_ACTIVATIONS[type(tail.op)])
    both = tuple(float(np.clip(bound, *second)) for bound in first)
    for act in get_args(Activation):
        if activation_range_float(act) == both:
            return act
    return Missed(tail.name, f"together with the {_act(head)} of '{head.name}' is no activation that exists")


def _int8_act(head: Node, tail: Node) -> Activation | Missed:
    """The same, proven on every integer that can come out of the head before it is clamped."""
    x, y = tail["x"], tail["y"]
    if x.dtype is not DType.INT8:
        return Missed(tail.name, f"comes after '{x.name}', which is {x.dtype.value}")
    if x.q.s != y.q.s:
        return Missed(tail.name, f"gives another scale than '{x.name}' has: two roundings are not one")
    if isinstance(head.op, Pool) and x.q.zp != y.q.zp:
        return Missed(tail.name, f"gives another zero point than '{x.name}' has, which a pool does not")
    two = byte_table(tail)[_clamped(x, _act(head)) + 128]
    for act in get_args(Activation):
        if np.array_equal(two, _clamped(y, act)):
            return act
    return Missed(tail.name, f"clamps what '{head.name}' gives as no activation of it would")


def _clamped(value: Value, act: Activation) -> Array:
    return np.clip(_WIDE + value.q.zp, *activation_range(act, DType.INT8, value.q))


def _act(node: Node) -> Activation:
    return op_of(node).attributes()["act"]


FOLD_ACTIVATION = pass_of_rules(
    "fold_activation",
    "An activation, or a quantization that only moves the zero point, becomes part of the operator before it.",
    [fold_activation],
)
