"""Which channels of which tensors can go without a change of any output byte.

A channel can go if all that read it do without it: a convolution or fully connected layer where its weights are zero,
or where it is a constant that adds the same to every output (that goes into the bias); a depthwise layer, a pool or an
element-wise operator if the channel that it makes of it can go, too. So the largest set is found by starting from all
channels of all tensors, and taking back what somebody needs until nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from chipfit.fixedpoint import Int
from chipfit.graph import Array, DType, Graph, Node, Value
from chipfit.ops import op_of
from chipfit.ops._pool import Pool
from chipfit.ops._unary import Unary
from chipfit.ops.add import Add
from chipfit.ops.mean import Mean
from chipfit.ops.mul import Mul
from chipfit.ops.quantize import Quantize
from chipfit.ops.sub import Sub
from chipfit.passes._layers import Layer, why_no_layer
from chipfit.passes._ranges import Range, range_of

_EVERY = np.ones(1, bool)

_ELEMENTWISE = (Pool, Unary, Quantize, Add, Sub, Mul)


@dataclass
class Removable:
    """``gone``: for each tensor that can lose channels, which; ``why``: for each that stays, who needs it."""

    layers: dict[Node, Layer]
    gone: dict[Value, Array] = field(default_factory=dict[Value, Array])
    why: dict[Value, Array] = field(default_factory=dict[Value, Array])

    def keep(self, value: Value, needed: Array, reason: str) -> bool:
        """Take back the channels that are needed; whether there were any."""
        mask = self.gone.get(value)
        if mask is None or not (mask & needed).any():
            return False
        self.why[value][mask & needed] = reason
        mask &= ~needed
        return True

    def keeps(self, value: Value) -> Array:
        """Which channels of a tensor stay."""
        mask = self.gone.get(value)
        return np.ones(value.shape[-1] if value.shape else 1, bool) if mask is None else ~mask


Demand = Callable[[Removable], bool]
"""Takes back what one node needs of its operands and output; whether that changed anything."""


def find_removable(graph: Graph, layers: dict[Node, Layer], ranges: dict[Value, Range], multiple: int) -> Removable:
    """The largest set of channels that can go. Where a number of channels was a multiple of ``multiple`` it stays one.

    At least one channel of every tensor stays.
    """
    found = Removable(layers)
    for node in graph.nodes:
        if node in layers or _ties(node):
            y = node["y"]
            found.gone[y] = np.ones(y.shape[-1], bool)
            found.why[y] = np.full(y.shape[-1], "", object)
    demands = [demand for node in graph.nodes for demand in _demands(node, found, ranges)]
    for value in graph.outputs:
        found.keep(value, _EVERY, "is an output of the graph")
    _settle(found, demands)
    while _restore(found, multiple):
        _settle(found, demands)
    return found


def _settle(found: Removable, demands: list[Demand]) -> None:
    """Most needs come from readers, so backwards first; ties also hand them forwards."""
    while _ask(found, reversed(demands)) and _ask(found, demands):
        pass


def _ask(found: Removable, demands: Iterable[Demand]) -> bool:
    """Let every node take back what it needs; whether any did."""
    changed = False
    for demand in demands:
        changed |= demand(found)
    return changed


def _restore(found: Removable, multiple: int) -> bool:
    """Take back channels, the first ones first, where too many would go; whether there were any."""
    changed = False
    for value, mask in found.gone.items():
        size, kept = len(mask), int((~mask).sum())
        step = multiple if size % multiple == 0 else 1
        short = max(1, -(-kept // step)) * step - kept
        if short:
            needed = np.zeros(size, bool)
            needed[np.flatnonzero(mask)[:short]] = True
            reason = f"keeps the number of channels a multiple of {step}" if kept else "something must be left"
            changed |= found.keep(value, needed, reason)
    return changed


# ---------------------------------------------------------------------------------------------- who needs what


def _demands(node: Node, found: Removable, ranges: dict[Value, Range]) -> list[Demand]:
    layer = found.layers.get(node)
    if layer is not None and not layer.depthwise:
        return [_layer_demand(layer, range_of(node["x"], ranges))] if node["x"] in found.gone else []
    ties = _layer_ties(layer) if layer is not None else _ties(node)
    if not ties:
        reason = why_no_layer(node)
        text = f"is read by {node.op.name} '{node.name}'" + (f", which {reason}" if reason else "")
        return [_all_demand(v, text) for v in node.operands if v in found.gone]
    return [_tie_demand(node, x, source) for x, source in ties]


def _ties(node: Node) -> list[tuple[Value, Array]]:
    """For nodes whose output channels are each made of one channel of the operands: those, and which of them.

    Empty for other nodes. An operand of one channel that is spread over all of the output's has no part in it.
    """
    op = op_of(node)
    if not node.outputs or node.outputs[0].dtype is not DType.INT8 or not node.outputs[0].shape:
        return []
    if any(v.dtype is not DType.INT8 or 0 in v.shape for v in node.operands) or all(v.is_const for v in node.operands):
        return []
    is_mean = isinstance(op, Mean) and len(node["x"].shape) - 1 not in op.axes
    if not (isinstance(op, _ELEMENTWISE) or is_mean or op.is_view):
        return []
    channels = node.outputs[0].shape[-1]
    ties: list[tuple[Value, Array]] = []
    for x in node.operands:
        size = x.shape[-1] if x.shape else 1
        if channels % size or (not op.is_view and size not in (1, channels)):
            return []
        if size > 1 or channels == 1:
            ties.append((x, np.arange(channels) % size))
    return ties


def _layer_ties(layer: Layer) -> list[tuple[Value, Array]]:
    """A depthwise layer makes each output channel of one input channel."""
    repeat = layer.channels // layer.input_channels
    return [(layer.node["x"], np.arange(layer.channels) // repeat)]


def _tie_demand(node: Node, x: Value, source: Array) -> Demand:
    """Output channel ``j`` and channel ``source[j]`` of the operand go together or stay together.

    A constant operand can lose any channel. So can a depthwise layer on a single channel: it stays.
    """
    y, channels = node["y"], int(source[-1]) + 1
    single = channels == 1

    def demand(found: Removable) -> bool:
        stays_y = found.keeps(y)
        needed = np.bincount(source, stays_y, channels) > 0 if not single else np.ones(1, bool)
        changed = found.keep(x, needed, f"goes into '{y.name}'")
        if x.is_const or single:
            return changed
        return found.keep(y, found.keeps(x)[source], f"is made of '{x.name}' by '{node.name}'") or changed

    return demand


def _all_demand(value: Value, reason: str) -> Demand:
    return lambda found: found.keep(value, _EVERY, reason)


def _layer_demand(layer: Layer, x: Range) -> Demand:
    """Input channels that an output channel needs, as far as that stays itself."""
    needs, value, y = _needs(layer, x), layer.node["x"], layer.node["y"]
    reason = f"is read by {layer.node.op.name} '{layer.node.name}'"
    if not layer.sums_fit:
        reason += ", whose sums could leave int32"
    elif layer.reads_padding:
        reason += ", whose padding would show at the border"

    def demand(found: Removable) -> bool:
        return found.keep(value, np.any(needs[found.keeps(y)], axis=0), reason)

    return demand


def _needs(layer: Layer, x: Range) -> Array:
    """(out, in): whether an output channel needs an input channel.

    Not where its weights are zero, and not where the channel is a constant that adds the same to the sum at every kind
    of border.
    """
    used: Array = layer.taps != 0
    needs: Array = np.logical_or.reduce(used, axis=(0, 1)).reshape(layer.channels, -1, layer.input_channels)
    needs = np.logical_or.reduce(needs, axis=1)
    if layer.sums_fit and x.constant.any():
        added = shares_of_constants(layer, x)
        needs[:, x.constant] = (added != added[:1]).any(axis=0)
    return needs


def shares_of_constants(layer: Layer, x: Range) -> Int:
    """(classes, out, constant channels): what they add to the sums at each kind of border."""
    columns = np.flatnonzero(layer.columns_of(x.constant))
    value = layer.columns_of(x.low - layer.node["x"].q.zp)[columns]
    shares = layer.at_borders(layer.taps[..., columns].astype(np.float64) * value)
    return shares.reshape(*shares.shape[:2], -1, int(x.constant.sum())).sum(axis=2)
