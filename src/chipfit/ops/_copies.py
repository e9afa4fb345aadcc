"""What a call of a copying kernel does: which bytes of a tensor or variable become which bytes of another.

Read from the call itself, so that the planner and the C code cannot disagree. Operators that move elements describe
themselves by such calls: see :mod:`chipfit.ops._move`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, cast

from chipfit.graph import Node, Value
from chipfit.ops._base import Arg, Call, Port, State, op_of

COPIES = frozenset({"cf_copy", "cf_copy_rows", "cf_copy_strided"})
"""Kernels that move bytes and look at none: they take any address, aligned or not."""


@dataclass(frozen=True)
class Place:
    """The bytes of a value, or of a variable's storage (its name), from ``offset`` on."""

    of: Value | str
    offset: int


@dataclass(frozen=True)
class Copy:
    """``nbytes`` from ``source`` on become those from ``target`` on."""

    source: Place
    target: Place
    nbytes: int


def only_copies(node: Node) -> bool:
    """Whether all that the node's kernels do is to move bytes."""
    kernels = op_of(node).kernels
    return bool(kernels) and all(kernel.name in COPIES for kernel in kernels)


def copy_calls(node: Node) -> list[Call]:
    """The calls of a node that only copies, in order; none for any other node."""
    if not only_copies(node):
        return []
    calls = op_of(node).call(node)
    return calls if isinstance(calls, list) else [calls]


def one_piece(node: Node, call: Call) -> Copy | None:
    """What a copying call does where its bytes are one piece in the source and in the target; None where not."""
    source, target = (_place(node, arg) for arg in call.args)
    nbytes = _bytes_in_one_piece(call)
    return None if source is None or target is None or nbytes is None else Copy(source, target, nbytes)


def _bytes_in_one_piece(call: Call) -> int | None:
    p = cast("Mapping[str, Any]", call.params)
    if "rows" in p:  # cf_copy_rows
        return p["rows"] * p["bytes"] if p["rows"] <= 1 or p["x_stride"] == p["bytes"] == p["y_stride"] else None
    runs = prod(p.get("size", ()))  # cf_copy_strided
    return runs * p["bytes"] if runs <= 1 else None


def _place(node: Node, arg: Arg) -> Place | None:
    if isinstance(arg, State):
        return Place(arg.variable, 0)
    value = port_value(node, arg) if isinstance(arg, Port) else None
    return Place(value, arg.offset) if isinstance(arg, Port) and value is not None else None


def port_value(node: Node, port: Port) -> Value | None:
    """The value that an argument points at. None where an optional input is absent."""
    ports: tuple[tuple[tuple[str, ...], Sequence[Value | None]], ...] = (
        (node.op.inputs, node.inputs),
        (node.op.outputs, node.outputs),
    )
    for names, values in ports:
        for i, name in enumerate(names):
            if name == f"*{port.name}":
                return values[i + port.index]
    return node.get(port.name)
