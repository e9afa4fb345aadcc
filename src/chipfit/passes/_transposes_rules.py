"""Which operators work as well on tensors whose axes are stored in another order, and what they become then.

RULES is the table. Operators that are not in it (convolutions, pools, resizes ...) keep the order they have.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from chipfit.errors import ChipfitError
from chipfit.graph import Node, OpBase, TensorType, Value
from chipfit.graph.rewrite import Uses
from chipfit.ops._arg_extremum import ArgExtremum
from chipfit.ops._broadcast import Binary
from chipfit.ops._move import MAX_RANK
from chipfit.ops._reduce import Reduce, ReduceSum
from chipfit.ops._unary import Unary
from chipfit.ops.broadcast_to import BroadcastTo
from chipfit.ops.cast import Cast
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.cumsum import Cumsum
from chipfit.ops.dequantize import Dequantize
from chipfit.ops.gather import Gather
from chipfit.ops.log_softmax import LogSoftmax
from chipfit.ops.logical_not import LogicalNot
from chipfit.ops.mirror_pad import MirrorPad
from chipfit.ops.pack import Pack
from chipfit.ops.pad import Pad
from chipfit.ops.prelu import PRelu
from chipfit.ops.quantize import Quantize
from chipfit.ops.reduce_prod import ReduceProd
from chipfit.ops.reverse_v2 import ReverseV2
from chipfit.ops.select_v2 import SelectV2
from chipfit.ops.slice import Slice
from chipfit.ops.softmax import Softmax
from chipfit.ops.split import Split
from chipfit.ops.strided_slice import StridedSlice
from chipfit.ops.tile import Tile
from chipfit.ops.unpack import Unpack
from chipfit.passes._transposes_orders import Order, identity, inverse, moved, stored_shape, stored_type

Edit = Callable[[Value], Value]
"""Another constant for one that the new order asks for."""


@dataclass(frozen=True)
class Carried:
    """A node in another order: its operator, the orders of its tensors, and what becomes of constants.

    ``orders`` has all variable operands and outputs. ``edits``: by node and input, also of other nodes. ``private``:
    values whose elements are in other places afterwards though their shape is the same; only nodes with edits see them.
    """

    op: OpBase
    orders: Mapping[Value, Order]
    edits: Mapping[tuple[Node, int], Edit] = field(default_factory=dict[tuple[Node, int], Edit])
    private: tuple[Value, ...] = ()


Rule = Callable[[Node, Mapping[Value, Order], Uses], Carried | None]
"""What a node becomes, given the orders of some of its tensors; None if it cannot follow."""

Axes = list[tuple[int, ...]]
"""For each axis of an operand, the axes of the output that it becomes."""


def rearranged(value: Value, rank: int, order: Order) -> Value:
    """A constant that is broadcast to ``rank`` axes, in another order; axes of size 1 in front are left out."""
    padded = (1,) * (rank - len(value.shape)) + value.shape
    type_ = stored_type(TensorType(padded, value.dtype, value.type.quant), order)
    data = value.array.reshape(padded).transpose(order)
    short = type_.shape
    while len(short) > len(value.shape) and short[0] == 1:
        short = short[1:]
    return Value(value.name, TensorType(short, value.dtype, type_.quant), data.reshape(short).copy())


# ---------------------------------------------------------------------------------------------- element by element

ELEMENTWISE = (Unary, Binary, PRelu, SelectV2, LogicalNot, Quantize, Dequantize, Cast)


def elementwise(node: Node, known: Mapping[Value, Order], uses: Uses) -> Carried | None:
    """All tensors in one order; operands of fewer axes are counted from the last axis."""
    y = node.outputs[0]
    rank = len(y.shape)
    if rank > MAX_RANK:
        return None
    value, order = next(iter(known.items()))
    lead = rank - len(value.shape)
    order = (*range(lead), *(lead + axis for axis in order))
    orders, edits = {y: order}, dict[tuple[Node, int], Edit]()
    for i, x in enumerate(node.inputs):
        if x is None or (x.type.size == 1 and len(x.shape) < rank):
            continue
        lead = rank - len(x.shape)
        if x.is_const:
            if x.type.quant is not None and x.type.quant.axis is not None:
                return None
            edits[node, i] = partial(rearranged, rank=rank, order=order)
        elif order[:lead] != identity(lead):
            return None
        else:
            orders[x] = tuple(axis - lead for axis in order[lead:])
    return Carried(node.op, orders, edits)


def _broadcast_to(node: Node, known: Mapping[Value, Order], uses: Uses) -> Carried | None:
    op, carried = node.op, elementwise(node, known, uses)
    assert isinstance(op, BroadcastTo)
    if carried is None:
        return None
    shape = stored_shape(op.shape, carried.orders[node["y"]])
    return dataclasses.replace(carried, op=dataclasses.replace(op, shape=shape))


def _concatenation(node: Node, known: Mapping[Value, Order], uses: Uses) -> Carried | None:
    op, order = node.op, next(iter(known.values()))
    assert isinstance(op, Concatenation)
    orders = {v: order for v in (*node.operands, *node.outputs) if not v.is_const}
    edit = partial(rearranged, rank=len(order), order=order)
    edits = {(node, i): edit for i, x in enumerate(node.operands) if x.is_const}
    return Carried(dataclasses.replace(op, axis=order.index(op.axis)), orders, edits)


def _pack(node: Node, known: Mapping[Value, Order], uses: Uses) -> Carried | None:
    """The new axis stays where it is, unless the order of y is given."""
    op, y = node.op, node["y"]
    assert isinstance(op, Pack)
    if y in known:
        of_y = known[y]
    else:
        shifted = tuple(axis + (axis >= op.axis) for axis in next(iter(known.values())))
        of_y = (*shifted[: op.axis], op.axis, *shifted[op.axis :])
    of_x = tuple(axis - (axis > op.axis) for axis in of_y if axis != op.axis)
    orders = {v: of_x for v in node.operands if not v.is_const} | {y: of_y}
    edit = partial(rearranged, rank=len(of_x), order=of_x)
    edits = {(node, i): edit for i, x in enumerate(node.operands) if x.is_const}
    return Carried(dataclasses.replace(op, axis=of_y.index(op.axis)), orders, edits)


# ---------------------------------------------------------------------------------------------- one operand with axes


def _follows(axes_of: Callable[[Node], Axes], changed: Callable[[Node, Order], OpBase | None]) -> Rule:
    """A rule for operators on x with attributes for its axes.

    ``changed``: the operator on x in another order, None if there is none. From the order of the output follows that
    of x only where the axes are the same ones.
    """

    def rule(node: Node, known: Mapping[Value, Order], uses: Uses) -> Carried | None:
        x, axes = node["x"], axes_of(node)
        if x in known:
            order = known[x]
        elif all(len(axis) == 1 for axis in axes) and node.outputs[0] in known:
            back = inverse(tuple(axis[0] for axis in axes))
            order = tuple(back[axis] for axis in known[node.outputs[0]])
        else:
            return None
        op = changed(node, order)
        others = {v: identity(len(v.shape)) for v in node.operands[1:] if not v.is_const}
        of_y = tuple(axis for place in order for axis in axes[place])
        carried = {**others, x: order, **dict.fromkeys(node.outputs, of_y)}
        return None if op is None or x in others or not _works(op, node, carried) else Carried(op, carried)

    return rule


def _works(op: OpBase, node: Node, orders: Mapping[Value, Order]) -> bool:
    """Whether there is a definition in this order, too: kernels have so many loops."""

    def stored(value: Value | None) -> Value | None:
        order = None if value is None else orders.get(value)
        return value if value is None or order is None else Value(value.name, stored_type(value.type, order))

    outputs = [y for y in map(stored, node.outputs) if y is not None]
    try:
        op.check(Node(op, [stored(x) for x in node.inputs], outputs))
    except ChipfitError:
        return False
    return True


def _same_axes(node: Node) -> Axes:
    return [(axis,) for axis in range(len(node["x"].shape))]


def _without(rank: int, gone: tuple[int, ...]) -> Axes:
    kept = [axis for axis in range(rank) if axis not in gone]
    return [(kept.index(axis),) if axis in kept else () for axis in range(rank)]


def _axes_left(node: Node) -> Axes:
    """Of operators that remove axes."""
    op, rank = node.op, len(node["x"].shape)
    if isinstance(op, StridedSlice):
        return _without(rank, op.shrink_axes)
    if isinstance(op, Reduce):
        return _without(rank, () if op.keep_dims else op.axes)
    return _without(rank, (op.attributes()["axis"],))


def _axes_of_gather(node: Node) -> Axes:
    op, rank, more = node.op, len(node["x"].shape), len(node["indices"].shape)
    assert isinstance(op, Gather)
    axes: Axes = [(axis + (more - 1) * (axis > op.axis),) for axis in range(rank)]
    axes[op.axis] = tuple(range(op.axis, op.axis + more))
    return axes


def _with_axis(node: Node, order: Order) -> OpBase:
    return dataclasses.replace(node.op, axis=order.index(node.op.attributes()["axis"]))


def _with_fields(*names: str) -> Callable[[Node, Order], OpBase]:
    """For attributes that have an entry for each axis."""

    def changed(node: Node, order: Order) -> OpBase:
        attributes = node.op.attributes()
        fields = {name: tuple(attributes[name][axis] for axis in order) for name in names}
        return dataclasses.replace(node.op, **fields)

    return changed


def _strided_slice(node: Node, order: Order) -> OpBase:
    op = _with_fields("begin", "end", "strides")(node, order)
    assert isinstance(op, StridedSlice)
    return dataclasses.replace(op, shrink_axes=_places(op.shrink_axes, order))


def _with_places(node: Node, order: Order) -> OpBase:
    return dataclasses.replace(node.op, axes=_places(node.op.attributes()["axes"], order))


def _places(axes: tuple[int, ...], order: Order) -> tuple[int, ...]:
    return tuple(sorted(order.index(axis) for axis in axes))


def _gather(node: Node, order: Order) -> OpBase | None:
    return None if node.op.attributes()["batch_dims"] else _with_axis(node, order)


def _on_rows(node: Node, order: Order) -> OpBase | None:
    """Operators along the last axis alone."""
    return node.op if order[-1] == len(order) - 1 else None


def _reduce(node: Node, order: Order) -> OpBase | None:
    """Sums of real numbers depend on their order: the reduced axes must stay in theirs. Products have none to keep."""
    op, x = node.op, node["x"]
    assert isinstance(op, Reduce)
    reduced = [axis for axis in moved(x.shape, order) if axis in op.axes]
    if isinstance(op, ReduceProd):
        return None
    if isinstance(op, ReduceSum) and x.dtype.is_float and reduced != sorted(reduced):
        return None
    return _with_places(node, order)


# ---------------------------------------------------------------------------------------------- the table

RULES: dict[type[OpBase], Rule] = {
    **dict.fromkeys(ELEMENTWISE, elementwise),
    BroadcastTo: _broadcast_to,
    Concatenation: _concatenation,
    Pack: _pack,
    Split: _follows(_same_axes, _with_axis),
    Unpack: _follows(_axes_left, _with_axis),
    Slice: _follows(_same_axes, _with_fields("begin", "size")),
    StridedSlice: _follows(_axes_left, _strided_slice),
    Pad: _follows(_same_axes, _with_fields("pads")),
    MirrorPad: _follows(_same_axes, _with_fields("pads")),
    Tile: _follows(_same_axes, _with_fields("multiples")),
    ReverseV2: _follows(_same_axes, _with_places),
    Cumsum: _follows(_same_axes, _with_axis),
    Gather: _follows(_axes_of_gather, _gather),
    Reduce: _follows(_axes_left, _reduce),
    ArgExtremum: _follows(_axes_left, _with_axis),
    Softmax: _follows(_same_axes, _on_rows),
    LogSoftmax: _follows(_same_axes, _on_rows),
}
"""By class, also for the classes derived from it."""


def rule_in(table: Mapping[type[OpBase], Rule], op: OpBase) -> Rule | None:
    return next((table[base] for base in type(op).__mro__ if base in table), None)
