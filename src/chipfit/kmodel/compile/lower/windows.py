"""Pooling, reductions and softmax of the CPU."""

from __future__ import annotations

from typing import Any

from chipfit.errors import ChipfitError
from chipfit.graph import Node
from chipfit.kmodel.compile.lower.results import clamp, pair, result
from chipfit.kmodel.compile.lower.state import State, four, shape4
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.nodes import NO_MAX, NO_MIN, ReduceOp
from chipfit.ops.max_pool2d import MaxPool2D
from chipfit.ops.mean import Mean
from chipfit.ops.reduce_max import ReduceMax
from chipfit.ops.reduce_min import ReduceMin
from chipfit.ops.sum import Sum

REDUCE: dict[type[Any], ReduceOp] = {
    Mean: ReduceOp.MEAN,
    Sum: ReduceOp.SUM,
    ReduceMax: ReduceOp.MAX,
    ReduceMin: ReduceOp.MIN,
}
_INIT = {ReduceOp.MEAN: 0.0, ReduceOp.SUM: 0.0, ReduceOp.MAX: NO_MIN, ReduceOp.MIN: NO_MAX}


def pool(state: State, node: Node) -> list[Node]:
    x, y = node["x"], node["y"]
    a = node.op.attributes()
    op = ReduceOp.MAX if isinstance(node.op, MaxPool2D) else ReduceOp.MEAN
    low, high, done, last = clamp(state, y)
    source, out = state.floats(x), result(state, last)
    top, left, bottom, right = a["pad"]
    state.add(
        [source],
        out,
        lambda at: v4.ReduceWindow2D(
            at(source),
            at(out),
            op,
            shape4(x),
            (top, bottom),
            (left, right),
            *pair(a["kernel"]),
            *pair(a["stride"]),
            1,
            1,
            _INIT[op],
            low,
            high,
        ),
    )
    return done


def reduce(state: State, node: Node) -> list[Node]:
    x = node.operands[0]
    a = node.op.attributes()
    op = next(code for kind, code in REDUCE.items() if isinstance(node.op, kind))
    axes = {axis % len(x.shape) for axis in a["axes"]}
    left = tuple(1 if i in axes else s for i, s in enumerate(x.shape))
    if len(x.shape) == 4 and not a["keep_dims"] and left[3] > 1 and left[1] * left[2] > 1:
        raise ChipfitError("O002", f"{node.op.name} '{node.name}' drops one axis of an image", "keep its dimensions")
    source, out = state.floats(x), result(state, node.outputs[0])
    state.add([source], out, lambda at: v4.Reduce(at(source), at(out), op, shape4(x), four(left), _INIT[op]))
    return []


def softmax(state: State, node: Node) -> list[Node]:
    x, y = node.operands[0], node.outputs[0]
    beta = float(node.op.attributes().get("beta", 1.0))
    inner = x.shape[-1]
    if len(x.shape) == 4 and x.shape[1] * x.shape[2] > 1:
        raise ChipfitError(
            "O002",
            f"softmax '{node.name}' over the channels of an image has no opcode",
            "reshape it to two axes before",
        )
    source, out = state.floats(x), result(state, y)
    state.add([source], out, lambda at: v4.Softmax(at(source), at(out), inner, x.type.size // inner, beta))
    return []
