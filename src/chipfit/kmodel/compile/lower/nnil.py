"""Functions on floats as programs of the firmware's stack machine."""

from __future__ import annotations

import struct

from chipfit.graph import Node
from chipfit.kmodel.compile.functions import Function

_ARGUMENT, _RETURN, _DUP, _ZERO, _ONE, _NUMBER = b"\x03", b"\xa0", b"\x01", b"\x04", b"\x05", b"\x06"
_EXP, _NEG, _RSQRT, _SQUARE, _ABS = b"\x23", b"\x26", b"\x27", b"\x29", b"\x20"
_ADD, _SUB, _MUL, _DIV, _MAX, _CLAMP = b"\x40", b"\x41", b"\x42", b"\x43", b"\x45", b"\x80"


def _number(value: float) -> bytes:
    return _NUMBER + struct.pack("<f", value)


# there is no instruction that swaps: 1 / v is the square of 1 / sqrt(v)
_SIGMOID = _NEG + _EXP + _ONE + _ADD + _RSQRT + _SQUARE
_CODES: dict[str, bytes] = {
    "relu": _ZERO + _MAX,
    "relu6": _ZERO + _number(6.0) + _CLAMP,
    "relu_n1_to_1": _number(-1.0) + _ONE + _CLAMP,
    "logistic": _SIGMOID,
    "tanh": _DUP + _ADD + _SIGMOID + _DUP + _ADD + _ONE + _SUB,
    "hard_swish": _DUP + _number(3.0) + _ADD + _ZERO + _number(6.0) + _CLAMP + _number(6.0) + _DIV + _MUL,
    "exp": _EXP,
    "neg": _NEG,
    "abs": _ABS,
    "rsqrt": _RSQRT,
    "square": _SQUARE,
}
_WITH_CONSTANT = {"add": _ADD, "sub": _SUB, "mul": _MUL, "div": _DIV}


def program(function: Function) -> bytes | None:
    """The function as byte code; None: it has none."""
    parts = [_code(node) for node in function.nodes]
    if not parts or any(part is None for part in parts):
        return None
    return _ARGUMENT + b"".join(part for part in parts if part is not None) + _RETURN


def _code(node: Node) -> bytes | None:
    """What replaces the number on top of the stack by a function of it."""
    computed = [v for v in node.operands if not v.is_const]
    if len(computed) != 1:
        return None
    name = node.op.name
    if name == "leaky_relu":
        alpha = float(node.op.attributes()["alpha"])
        return _DUP + _number(alpha) + _MUL + _MAX if 0.0 <= alpha <= 1.0 else None
    if name in _WITH_CONSTANT and node.operands[0] is computed[0] and len(node.operands) == 2:
        return _number(float(node.operands[1].array.reshape(-1)[0])) + _WITH_CONSTANT[name]
    return _CODES.get(name)
