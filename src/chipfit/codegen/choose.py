"""Which kernels a layer may have, and what the planner must know of each."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from chipfit.codegen.compress import Packing, compressed
from chipfit.graph import Node
from chipfit.ops import Call, Choice, Const, Kernel, Rows, RowSums, Scratch, op_of
from chipfit.plan import ALIGNMENT, Layer, Unit, Views, calls_to_make, cannot_run

if TYPE_CHECKING:
    from chipfit.codegen.program import Program


def scratch_sizes(calls: Sequence[Call]) -> dict[Hashable, int]:
    """Aligned sizes of the scratch of calls, by its name, or which argument it is where it has none; in order."""
    sizes: dict[Hashable, int] = {}
    for key, arg in scratch_arguments(calls):
        sizes[key] = max(sizes.get(key, 0), -(-arg.nbytes // ALIGNMENT) * ALIGNMENT)
    return sizes


def scratch_arguments(calls: Sequence[Call]) -> list[tuple[Hashable, Scratch]]:
    """The scratch arguments of calls in order, each with what tells its memory from others'."""
    found = [arg for call in calls for arg in call.args if isinstance(arg, Scratch)]
    return [(arg.name or i, arg) for i, arg in enumerate(found)]


@dataclass(frozen=True, eq=False)
class RowCalls:
    """A layer called row by row: the different calls, and which of them computes each row.

    For a node of sums: the call that adds a row, and the one that finishes.
    """

    variants: tuple[Call, ...]
    which: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A kernel that can run a node, with its calls: of the whole layer, or row by row.

    ``body``: the program that a loop runs for each step, in its scratch. ``packing``: how its weights are stored, if
    not as the kernel reads them.
    """

    node: Node
    kernel: Kernel
    calls: tuple[Call, ...]
    rows: RowCalls | None = None
    body: Program | None = None
    packing: Packing | None = None

    @cached_property
    def scratch(self) -> int:
        if self.body is not None:
            return self.body.plan.arena_bytes
        if self.rows is None:
            return sum(scratch_sizes(self.calls).values())
        return max(sum(scratch_sizes([call]).values()) for call in self.rows.variants)

    @cached_property
    def cost(self) -> float:
        """Instructions, about. A row of an odd number of pixels wastes half of a pair."""
        shape = self.node.outputs[0].shape if self.node.outputs else ()
        waste = (shape[2] + 1) // 2 * 2 / shape[2] if self.rows is not None and len(shape) == 4 else 1.0
        return op_of(self.node).macs(self.node) * (self.kernel.per_mac or 1.0) * waste

    @cached_property
    def unit(self) -> Unit:
        """The whole layer as a step of a plan."""
        if self.packing is not None and self.packing.parts > 1:  # each part goes through all of the input
            return Unit((self.node,), {self.node: self.scratch})
        steps = self.kernel.steps
        return Unit((self.node,), {self.node: self.scratch}, steps(self.node), steps(self.node, True))


@dataclass(frozen=True)
class Demands:
    """What a kernel must keep to: the core's ``features``; ``slower``: how much slower than the quickest it may be to
    take less scratch; ``shared``: one body for all layers; ``compressed``: weights may be stored compressed."""

    features: frozenset[str]
    slower: float = 1.0
    shared: bool = False
    compressed: bool = False


def candidates(node: Node, demands: Demands, width: float, views: Views) -> list[Candidate]:
    """Kernels for the whole layer: the best one, and those that are hardly slower and take less scratch; on compressed
    weights, where these are smaller.

    ``width``: bytes that a weight may take. Raises ChipfitError O002 if there is none.
    """
    if only := calls_to_make(node, views):
        return [Candidate(node, _best(node, demands, width), tuple(only))]
    plain = [Candidate(node, k, _calls(node, k)) for k in _kernels(node, demands, width)]
    if not demands.compressed:
        return plain
    return [
        replace(c, calls=calls, packing=packing)
        for c in plain
        for calls, packing in compressed(node, c.kernel, c.calls)
    ] or plain


def row_candidates(node: Node, demands: Demands, width: float, padded: bool) -> list[Candidate]:
    """The same for a layer that is called row by row; none where it cannot be."""
    op = op_of(node)
    sums = op.row_sums(node)
    if not isinstance(op.rows(node), Rows):
        return [] if sums is None else [_sums_candidate(node, sums)]
    if cannot_run(node, is_last=False):
        return []
    height = node.outputs[0].shape[1]
    middle = op.slice_rows(node, height // 2, 1, padded)
    return [
        Candidate(node, kernel, (), rows)
        for kernel in _kernels(middle, demands, width)
        if (rows := _row_calls(node, kernel, padded)) is not None
    ]


def rejections(node: Node, demands: Demands, width: float, taken: Kernel) -> Choice:
    """The kernel that was taken, and for every other one the reason why not."""
    rejected: list[tuple[str, str]] = []
    is_before = True
    for kernel in op_of(node).candidates(node):
        if kernel is taken:
            is_before = False
            continue
        reason = kernel.reason_against(node, demands.features, width, demands.shared)
        better = "its scratch would make the arena larger" if is_before else "a better one fits"
        rejected.append((kernel.title, reason or better))
    return Choice(taken, tuple(rejected))


def _best(node: Node, demands: Demands, width: float) -> Kernel:
    return op_of(node).choose(node, demands.features, width, demands.shared).kernel


def _kernels(node: Node, demands: Demands, width: float) -> list[Kernel]:
    best = _best(node, demands, width)
    if best.per_mac is None:
        return [best]
    limit = best.per_mac * demands.slower
    others = [
        kernel
        for kernel in op_of(node).candidates(node)
        if kernel is not best
        and (kernel.per_mac or math.inf) <= limit
        and kernel.reason_against(node, demands.features, width, demands.shared) is None
    ]
    return [best, *others]


def _calls(node: Node, kernel: Kernel) -> tuple[Call, ...]:
    made = (kernel.call or op_of(node).call)(node)
    return tuple(made) if isinstance(made, list) else (made,)


def _row_calls(node: Node, kernel: Kernel, padded: bool) -> RowCalls | None:
    """Calls for each row; None where the kernel does not take a row like the others."""
    op, height = op_of(node), node.outputs[0].shape[1]
    known: dict[tuple[object, ...], int] = {}
    variants: list[Call] = []
    which: list[int] = []
    for row in range(height):
        part = op.slice_rows(node, row, 1, padded)
        key = (part.op, *(v.shape for v in part.operands))
        if key not in known:
            calls = _calls(part, kernel)
            if len(calls) != 1 or (variants and not _alike(variants[0], calls[0])):
                return None
            known[key] = len(variants)
            variants.append(calls[0])
        which.append(known[key])
    return RowCalls(tuple(variants), tuple(which))


def _alike(a: Call, b: Call) -> bool:
    """Whether two calls differ in their parameters and the size of their scratch alone."""

    def fixed(call: Call) -> list[object]:
        return [
            Scratch if isinstance(arg, Scratch) else (arg.role, arg.data.tobytes()) if isinstance(arg, Const) else arg
            for arg in call.args
        ]

    return fixed(a) == fixed(b) and list(a.params) == list(b.params) and a.struct == b.struct


def _sums_candidate(node: Node, sums: RowSums) -> Candidate:
    height = node["x"].shape[1]
    calls = (sums.add[1], sums.finish[1])
    return Candidate(node, Kernel(sums.add[0]), (), RowCalls(calls, (0,) * height))


def layer_of(whole: Candidate, row_scratch: int | None) -> Layer:
    """What the planner needs of a node: its kernel for the whole layer, and bytes of scratch if called row by row."""
    unit = whole.unit
    return Layer(whole.node, whole.scratch, unit.forward, unit.backward, row_scratch)
