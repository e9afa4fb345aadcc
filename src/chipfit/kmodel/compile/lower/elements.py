"""What the CPU computes element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Node, Value
from chipfit.kmodel.compile.functions import Function, function_of, is_function
from chipfit.kmodel.compile.lower.nnil import program
from chipfit.kmodel.compile.lower.results import MANY, clamp, multiplier, plain, result
from chipfit.kmodel.compile.lower.state import Block, Shape4, State, channels_first, four, shape4
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.codec import DataType
from chipfit.kmodel.format.nodes import NO_MAX, NO_MIN, BinaryOp
from chipfit.ops.add import Add
from chipfit.ops.div import Div
from chipfit.ops.maximum import Maximum
from chipfit.ops.minimum import Minimum
from chipfit.ops.mul import Mul
from chipfit.ops.sub import Sub

BINARY: dict[type[Any], BinaryOp] = {
    Add: BinaryOp.ADD,
    Sub: BinaryOp.SUB,
    Mul: BinaryOp.MUL,
    Div: BinaryOp.DIV,
    Minimum: BinaryOp.MIN,
    Maximum: BinaryOp.MAX,
}


def binary(state: State, node: Node) -> list[Node]:
    a, b = node.operands
    y = node.outputs[0]
    op = next(code for kind, code in BINARY.items() if isinstance(node.op, kind))
    computed = not a.is_const and not b.is_const
    if computed and y.type.size >= MANY and op in (BinaryOp.ADD, BinaryOp.MUL) and plain(state, a, b, y):
        return _quantized_binary(state, node, op)
    if is_function(node) and not computed:
        return function(state, node)
    low, high, done, last = clamp(state, y)
    first, second, out = state.floats(a), state.floats(b), result(state, last)
    shapes = _broadcast(a, y), _broadcast(b, y), shape4(y)
    state.add([first, second], out, lambda at: v4.Binary(at(first), at(second), at(out), op, *shapes, low, high))
    return done


def _broadcast(value: Value, y: Value) -> Shape4:
    """The shape of an operand beside a result, in the result's order of axes."""
    return four((1,) * (len(y.shape) - len(value.shape)) + value.shape)


def _quantized_binary(state: State, node: Node, op: BinaryOp) -> list[Node]:
    a, b = node.operands
    _, _, done, y = clamp(state, node.outputs[0])
    (sa, za), (sb, zb), (sy, zy) = state.grid(a).plain, state.grid(b).plain, state.grid(y).plain
    first, second = state.bytes_(a), state.bytes_(b)
    out = result(state, y, DataType.UINT8)
    if op is BinaryOp.ADD:
        # sums in steps of the result's, 2**14 times finer
        fine = 14
        ma, mb, shift, last = round(sa / sy * 2**fine), round(sb / sy * 2**fine), 0, (1, fine)
    else:
        mul, last_shift = multiplier(sa * sb / sy)
        ma, mb, shift, last = 1, 1, 0, (mul, last_shift)
    shapes = _broadcast(a, y), _broadcast(b, y), shape4(y)
    state.add(
        [first, second],
        out,
        lambda at: v4.QuantizedBinary(
            at(first), at(second), at(out), op, *shapes, -za, ma, shift, -zb, mb, shift, zy, *last
        ),
    )
    return done


def function(state: State, node: Node) -> list[Node]:
    """A function of one number: the table of a byte, or a small program on floats."""
    x = next(v for v in node.operands if not v.is_const)
    function = function_of(state.graph, x, state.consumers)
    if node not in function.nodes:
        y = node.outputs[0]
        if any(v is not x and not v.is_const for v in node.operands):
            raise ChipfitError("O002", f"{node.op.name} '{node.name}' has no opcode in a kmodel")
        function = Function(x, y, (node,))
    forms = state.forms_of(x)
    code = program(function)
    if code is not None and forms.floats is not None and x.type.size < MANY:
        source, out = forms.floats, result(state, function.y)
        state.add([source], out, lambda at: v4.NnilUnaryMethod(at(source), at(out), code))
        return list(function.nodes)
    codes = np.arange(256, dtype=np.uint8)
    table = state.grid(function.y).codes(function(state.grid(x).reals(codes)))
    source, lookup = state.bytes_(x), state.constant(table, f"{function.y.name}/table")
    out = result(state, function.y, DataType.UINT8)
    state.add([source, lookup], out, lambda at: v4.TableLookup1D(at(source), at(lookup), at(out)))
    return list(function.nodes)


def prelu(state: State, node: Node) -> list[Node]:
    """PReLU by parts: max(x, 0) + slope * min(x, 0)."""
    if is_function(node):
        return function(state, node)
    x, slope, y = *node.operands, node.outputs[0]
    zero = state.constant(np.zeros(1, np.float32), f"{y.name}/zero")
    values = state.constant(
        channels_first(slope.array.reshape((1,) * (4 - slope.array.ndim) + slope.shape)), slope.name
    )
    source, one = state.floats(x), (1, 1, 1, 1)
    high = state.main(f"{y.name}/above", x.type.size, DataType.FLOAT32)
    low = state.main(f"{y.name}/below", x.type.size, DataType.FLOAT32)
    scaled, out = state.main(f"{y.name}/scaled", x.type.size, DataType.FLOAT32), result(state, y)
    shape, slopes = shape4(y), _broadcast(slope, y)
    free = (NO_MIN, NO_MAX)

    def binary(a: Block, sa: Shape4, b: Block, sb: Shape4, to: Block, op: BinaryOp) -> None:
        state.add([a, b], to, lambda at: v4.Binary(at(a), at(b), at(to), op, sa, sb, shape, *free))

    binary(source, shape, zero, one, high, BinaryOp.MAX)
    binary(source, shape, zero, one, low, BinaryOp.MIN)
    binary(low, shape, values, slopes, scaled, BinaryOp.MUL)
    binary(high, shape, scaled, shape, out, BinaryOp.ADD)
    return []
