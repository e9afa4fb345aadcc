"""Integer functions of one byte become a table of 256 bytes, made at compile time from ``eval_int``."""

from __future__ import annotations

import numpy as np

from chipfit.graph import Array, DType, Node, Value
from chipfit.ops._base import Call, Const, Kernel, Op, Port, for_types, op_of
from chipfit.ops._steps import elements_in_order

BYTES = (DType.INT8, DType.UINT8)


def elements(value: Value) -> int:
    return value.type.size


def every_byte(dtype: DType) -> Array:
    """All elements of a type of one byte, in the order of their bits: 0, 1, ..., 127, -128, ..., -1 for int8."""
    return np.arange(256, dtype=np.uint8).view(dtype.numpy)


def lookup_table(node: Node) -> Array:
    """(256,): what becomes of each byte, in the order of their bits, of the only operand that is not constant."""
    inputs = [v.array.reshape(-1) if v.is_const else every_byte(v.dtype) for v in node.operands]
    return np.asarray(op_of(node).eval_int(node, *inputs)).astype(node["y"].dtype.numpy)


def lookup_call(node: Node) -> Call:
    """The call of ``cf_lookup_s8`` for the only operand that is not constant."""
    op: Op = op_of(node)
    port = next(p for p in op.inputs if not node[p].is_const)
    return Call([Port(port), Const("table", lookup_table(node)), Port("y")], {"n": elements(node["y"])})


def lookup_kernel(*types: str) -> Kernel:
    """For operators with one operand."""
    return Kernel("cf_lookup_s8", for_types(*(types or ("int8",))), call=lookup_call, traversal=elements_in_order)


def scalar_lookup_reason(node: Node) -> bool | str:
    constants = [v for v in node.operands if v.is_const]
    if len(constants) != 1 or constants[0].type.size != 1:
        return "neither operand is one constant number"
    return True


def scalar_lookup_kernel() -> Kernel:
    """For operators with two operands, one of them a constant number: the other is all that the result depends on."""
    return Kernel(
        "cf_lookup_s8", for_types("int8"), when=scalar_lookup_reason, call=lookup_call, traversal=elements_in_order
    )
