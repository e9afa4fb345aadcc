"""Recurrent layers whose states lie side by side, one for each layer and direction, as ONNX and torch have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chipfit.errors import ChipfitError
from chipfit.graph import Value
from chipfit.importers._build import GraphBuilder
from chipfit.importers._recurrent import Cell, scan, zeros


@dataclass(frozen=True)
class Direction:
    """One way over a sequence. ``starts``: the states (1, units) that it begins with."""

    name: str
    cell: Cell
    starts: Sequence[Value]
    backward: bool = False


def sequence_of(builder: GraphBuilder, x: Value, batch_first: bool, name: str) -> Value:
    """x (steps, 1, in), or (1, steps, in) if ``batch_first``, as (1, steps, in). Raises ChipfitError O002."""
    if len(x.shape) != 3 or x.shape[0 if batch_first else 1] != 1:
        layout = "[1, steps, features]" if batch_first else "[steps, 1, features]"
        hint = "give it one sequence at a time: a batch of 1"
        raise ChipfitError("O002", f"its sequences have the shape {list(x.shape)}, not {layout}", hint)
    return builder.reshape(x, (1, x.type.size // x.shape[2], x.shape[2]), f"{name}/sequence")


def starts(builder: GraphBuilder, name: str, given: Value | None, count: int, units: int) -> list[Value]:
    """What each of ``count`` layers or directions begins with: (1, units). ``given``: all of them, or None: zeros.

    Raises ChipfitError O002 where they are not as many.
    """
    if given is None:
        return [zeros(builder, f"{name}_start", units) for _ in range(count)]
    if given.type.size != count * units or given.shape[-1] != units:
        raise ChipfitError("O002", f"'{given.name}' ({given.type}) are not {count} states of {units} elements")
    if given.is_const:
        return [builder.constant(f"{name}_start", row) for row in given.array.reshape(count, 1, units)]
    rows = builder.reshape(given, (count, units), f"{name}_starts")
    if count == 1:
        return [rows]
    names = [f"{name}_start{i}" for i in range(count)]
    return builder.nodes("split", [rows], names, axis=0, sizes=(1,) * count)


def joined(builder: GraphBuilder, name: str, ends: Sequence[Value], shape: Sequence[int]) -> Value:
    """States (1, units) side by side, in the shape of the source."""
    rows = ends[0] if len(ends) == 1 else builder.node("concatenation", ends, f"{name}/rows", axis=0)
    return builder.reshape(rows, shape, name)


def run(
    builder: GraphBuilder, name: str, x: Value, directions: Sequence[Direction], state_names: Sequence[str]
) -> tuple[Value, list[list[Value]]]:
    """The steps of all directions side by side, (1, steps, directions * units); the states at the end of each."""
    rows: list[Value] = []
    ends: list[list[Value]] = []
    for way in directions:
        found = scan(builder, way.name, x, way.starts, state_names, way.cell, emit=0, backward=way.backward)
        assert found.sequence is not None
        rows.append(found.sequence)
        ends.append(found.ends)
    return rows[0] if len(rows) == 1 else builder.node("concatenation", rows, f"{name}/ys", axis=2), ends
