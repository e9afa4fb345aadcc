"""Remove operators that hand on their input, and merge views into what makes or views their input."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from chipfit.graph import Graph, Node
from chipfit.graph.rewrite import Changed, Uses, pass_of_rules
from chipfit.ops import op_of
from chipfit.ops._reduce import Reduce
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.pad import Pad
from chipfit.ops.reshape import Reshape
from chipfit.ops.split import Split
from chipfit.ops.strided_slice import StridedSlice
from chipfit.ops.transpose import Transpose


def _keeps_order(node: Node) -> bool:
    """A transposition that only moves axes of size 1 moves no element."""
    op, shape = node.op, node["x"].shape
    if not isinstance(op, Transpose):
        return False
    moved = [axis for axis in op.perm if shape[axis] != 1]
    return moved == sorted(moved)


def _keeps_all(node: Node) -> bool:
    """A strided slice that takes every element forward."""
    return isinstance(node.op, StridedSlice) and all(
        r == range(size) for r, size in zip(node.op.ranges(), node["x"].shape, strict=True)
    )


def _always(node: Node) -> bool:
    """Operators of which equal types of input and output say that nothing changes."""
    return True


_CHANGES_NOTHING: dict[str, Callable[[Node], bool]] = {
    "reshape": _always,
    "squeeze": _always,
    "expand_dims": _always,
    "cast": _always,
    "quantize": _always,
    "slice": _always,
    "strided_slice": _keeps_all,
    "transpose": _keeps_order,
    "mirror_pad": _always,
    "tile": _always,
    "broadcast_to": _always,
    "depth_to_space": _always,
    "space_to_depth": _always,
    "space_to_batch_nd": _always,
    "batch_to_space_nd": _always,
    "reverse_v2": lambda node: all(node["x"].shape[axis] == 1 for axis in node.op.attributes()["axes"]),
    "pad": lambda node: isinstance(node.op, Pad) and not any(map(any, node.op.pads)),
    "concatenation": lambda node: isinstance(node.op, Concatenation) and len(node.inputs) == 1,
    "split": lambda node: isinstance(node.op, Split) and len(node.outputs) == 1,
}
"""By operator: whether it changes nothing, given that input and output have one shape and element type."""


def drop(graph: Graph, node: Node, uses: Uses) -> Changed | str | None:
    """Let the readers of a node that changes nothing read its input."""
    test = _CHANGES_NOTHING.get(node.op.name)
    if test is None:
        return None
    x, y = node.operands[0], node.outputs[0]
    if (x.shape, x.dtype) != (y.shape, y.dtype) or not test(node):
        return None
    if x.type.quant != y.type.quant:
        return f"gives its elements another quantization than '{x.name}' has"
    if y not in uses.outputs:
        uses.replace(y, x)
    else:
        producer = uses.producer(x)
        if producer is None or x in uses.outputs:
            return f"makes a graph output from '{x.name}', which is an input, a constant or an output itself"
        uses.set_outputs(producer, [y if v is x else v for v in producer.outputs])
        uses.replace(x, y)
    uses.remove(node)
    return Changed(f"removed {node.op.name} '{y.name}'")


def merge_views(graph: Graph, node: Node, uses: Uses) -> Changed | str | None:
    """Let a view of a view look at what that one looks at."""
    if not op_of(node).is_view:
        return None
    inner = uses.producer(node["x"])
    if inner is None or not op_of(inner).is_view:
        return None
    if uses.only_reader(node["x"]) is not node:
        return f"is a view of '{inner.name}', which something else needs too"
    inputs = list(inner.inputs)
    uses.remove(inner)
    uses.set_inputs(node, inputs)
    node.op = Reshape(node["y"].shape)
    return Changed(f"merged {inner.op.name} '{inner.name}' into '{node.name}'")


def merge_into_reduction(graph: Graph, node: Node, uses: Uses) -> Changed | str | None:
    """Let a reduction give the shape that a view makes of it, by keeping its axes with size 1 or not."""
    if not op_of(node).is_view:
        return None
    x, y = node["x"], node["y"]
    reduction = uses.producer(x)
    if reduction is None or not isinstance(reduction.op, Reduce):
        return None
    other = dataclasses.replace(reduction.op, keep_dims=not reduction.op.keep_dims)
    if other.infer(reduction) != [y.shape]:
        return None
    if uses.only_reader(x) is not node:
        return f"is a view of '{x.name}', which something else needs too"
    if x.type.quant != y.type.quant:
        return f"gives its elements another quantization than '{x.name}' has"
    reduction.op = other
    uses.remove(node)
    uses.set_outputs(reduction, [y])
    return Changed(f"merged {node.op.name} '{y.name}' into {reduction.op.name} '{x.name}'")


REMOVE_IDENTITY = pass_of_rules(
    "remove_identity",
    "Operators that hand on their input as it is are removed; a view of a view becomes one reshape, a view of a "
    "reduction that its axes of size 1 make or leave out a part of it.",
    [drop, merge_views, merge_into_reduction],
)
