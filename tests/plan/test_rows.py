"""Runs of layers row by row: what the windows hold, and that the rows give the same bytes as whole layers do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chipfit.codegen.fit import Goal
from chipfit.codegen.lower import lower
from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph, Node, Value
from chipfit.interpret import evaluate
from chipfit.ops import op_of
from chipfit.plan import MemoryPlan, Move, RowProgram, row_program
from plan.images import ImageNet, random_net

RAM = Goal(slower=2.0, rows=True)


def test_a_row_is_computed_once_and_dropped_as_soon_as_nobody_needs_it() -> None:
    net = ImageNet(0, 6, 4, 2)
    net.conv(3, 1)
    net.conv(4, 3)
    program = row_program(net.done().nodes)
    assert isinstance(program, RowProgram)
    (window,) = program.windows
    assert (window.first, window.rows) == (-1, 3)  # a row of padding above; a 3x3 kernel sees three rows
    assert [m for m in program.moves if m.kind == "row" and m.index == 0] == [Move("row", 0, r) for r in range(6)]
    kinds = [m.kind for m in program.moves[:8]]
    assert kinds == ["fill", "row", "row", "row", "drop", "row", "row", "drop"]
    assert sum(m.row for m in program.moves if m.kind == "drop") == 8  # six rows and two of padding
    live = program.live[window.value][1]
    assert live.max() == 3 * window.row_bytes
    assert live[-1] == 3 * window.row_bytes  # the last row of output still reads three


def test_a_stride_drops_two_rows_at_a_time() -> None:
    net = ImageNet(0, 8, 4, 2)
    net.conv(3, 1)
    net.depthwise(3, 2)
    program = row_program(net.done().nodes)
    assert isinstance(program, RowProgram)
    assert {m.row for m in program.moves if m.kind == "drop"} <= {1, 2, 3}
    assert program.windows[0].rows == 3


def test_a_residual_keeps_rows_for_the_addition() -> None:
    net = ImageNet(0, 8, 4, 2)
    x = net.conv(3, 1)
    net.conv(3, 3)
    net.add(x, net.conv(3, 3))
    program = row_program(net.done().nodes)
    assert isinstance(program, RowProgram)
    assert [w.rows for w in program.windows] == [3, 3, 1]


def test_what_cannot_run_by_rows_says_why() -> None:
    net = ImageNet(0, 8, 4, 2)
    net.conv(3, 1)
    net.global_pool()
    net.conv(4, 1)
    reason = row_program(net.done().nodes)
    assert isinstance(reason, str)
    assert "average_pool2d" in reason


def test_an_input_that_is_delivered_is_a_window() -> None:
    net = ImageNet(0, 8, 4, 2)
    net.conv(3, 3)
    graph = net.done()
    program = row_program(graph.nodes, {graph.inputs[0]})
    assert isinstance(program, RowProgram)
    assert program.inputs == ()
    assert program.windows[0].rows == 3
    assert sum(m.kind == "input" for m in program.moves) == 8


# ---------------------------------------------------------------------------------------------- in a real arena


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.booleans())
def test_rows_in_the_planned_arena_give_the_bytes_of_whole_layers(seed: int, by_rows: bool) -> None:
    """Every row is computed from the bytes that lie in one arena at that moment. What is free is poisoned."""
    net = random_net(seed)
    graph = net.done()
    plan = lower(graph, frozenset(), goal=dataclasses.replace(RAM, by_rows=by_rows)).plan
    sample = net.sample()
    (got,) = run_in_arena(graph, plan, sample)
    np.testing.assert_array_equal(got, evaluate(graph, [sample])[0])


def run_in_arena(graph: Graph, plan: MemoryPlan, sample: Array) -> list[Array]:
    arena = np.random.default_rng(1).integers(-128, 128, plan.arena_bytes, dtype=np.int8)

    def at(value: Value) -> Array:
        lo = plan.offsets[value]
        return arena[lo : lo + value.type.nbytes]

    if graph.inputs[0] not in {v for unit in plan.units for v in unit.inside}:
        at(graph.inputs[0])[:] = sample.reshape(-1)
    for unit in plan.units:
        if unit.rows is None:
            node = unit.nodes[0]
            inputs = [v.array if v.is_const else at(v).reshape(v.shape).copy() for v in node.operands]
            (y,) = op_of(node).evaluate(node, *inputs)
            at(node.outputs[0])[:] = y.reshape(-1)
        else:
            run_rows(unit.rows, plan, arena, sample)
    return [at(v).reshape(v.shape).copy() for v in graph.outputs]


def run_rows(program: RowProgram, plan: MemoryPlan, arena: Array, sample: Array) -> None:
    low, high = [w.first for w in program.windows], [w.first for w in program.windows]
    seen: dict[Node, list[Array]] = {}

    def window(i: int, row: int, count: int = 1) -> Array:
        w = program.windows[i]
        lo = plan.offsets[w.value] + (row - low[i]) * w.row_bytes
        assert low[i] <= row
        assert row + count <= low[i] + w.rows
        return arena[lo : lo + count * w.row_bytes]

    def rows_of(value: Value, first: int, end: int) -> Array:
        if value in program.window_of:
            return window(program.window_of[value], first, end - first).copy()
        size = value.type.nbytes // value.shape[1]
        lo = plan.offsets[value]
        return arena[lo + first * size : lo + end * size].copy()

    for move in program.moves:
        if move.kind == "fill":
            window(move.index, move.row)[:] = program.windows[move.index].value.q.zp
            high[move.index] += 1
        elif move.kind == "input":
            window(move.index, move.row)[:] = sample[0, move.row].reshape(-1)
            high[move.index] += 1
        elif move.kind == "drop":
            kept = window(move.index, low[move.index] + move.row, high[move.index] - low[move.index] - move.row).copy()
            low[move.index] += move.row
            window(move.index, low[move.index], high[move.index] - low[move.index])[:] = kept
        else:
            node = program.nodes[move.index]
            if move.kind == "sum":
                seen.setdefault(node, []).append(rows_of(node["x"], move.row, move.row + 1))
                continue
            y = node.outputs[0]
            if move.kind == "finish":
                x = np.concatenate(seen[node]).reshape(node["x"].shape)
                arena[plan.offsets[y] : plan.offsets[y] + y.type.nbytes] = op_of(node).evaluate(node, x)[0].reshape(-1)
                continue
            part = op_of(node).slice_rows(node, move.row, 1, node in program.padded)
            operands = [
                v.array if v.is_const else rows_of(whole, *program.reads(move)[whole]).reshape(v.shape)
                for v, whole in zip(part.operands, node.operands, strict=True)
            ]
            (row,) = op_of(part).evaluate(part, *operands)
            scratch = plan.scratch_offsets.get(node)
            if scratch is not None:
                size = next(u.scratch[node] for u in plan.units if node in u.nodes)
                arena[scratch : scratch + size] = 85
            if y in program.window_of:
                window(program.window_of[y], move.row)[:] = row.reshape(-1)
                high[program.window_of[y]] += 1
            else:
                size = y.type.nbytes // y.shape[1]
                lo = plan.offsets[y] + move.row * size
                arena[lo : lo + size] = row.reshape(-1)


# ---------------------------------------------------------------------------------------------- wrong plans


def is_refused(plan: MemoryPlan, graph: Graph) -> bool:
    try:
        plan.check(graph)
    except ChipfitError as error:
        if error.code != "M002":
            raise
        return True
    return False


@pytest.mark.parametrize("seed", range(12))
def test_a_plan_that_is_a_little_tighter_is_caught(seed: int) -> None:
    """Blocks of a run are moved towards each other until the proof fails; it fails before the bytes are wrong."""
    net = random_net(seed)
    graph = net.done()
    plan = lower(graph, frozenset(), goal=RAM).plan
    sample = net.sample()
    expected = evaluate(graph, [sample])[0]
    caught = broken = 0
    for value, offset in plan.offsets.items():
        for moved in (offset - 4, offset + 4):
            if moved < 0 or moved + value.type.nbytes > plan.arena_bytes:
                continue
            tighter = dataclasses.replace(plan, offsets={**plan.offsets, value: moved})
            if is_refused(tighter, graph):
                caught += 1
            else:
                broken += not np.array_equal(run_in_arena(graph, tighter, sample)[0], expected)
    assert broken == 0
    assert caught > 0


def test_sums_that_rows_are_written_over_are_caught() -> None:
    net = ImageNet(3, 8, 6, 4)
    net.conv(8, 3)
    net.depthwise(3)
    net.global_pool()
    graph = net.done()
    plan = lower(graph, frozenset(), goal=RAM).plan
    ((node, _),) = plan.sums_offsets.items()
    (window, *_) = (plan.offsets[v] for unit in plan.units for v in unit.inside)
    wrong = dataclasses.replace(plan, sums_offsets={node: window})
    assert not is_refused(plan, graph)
    assert is_refused(wrong, graph)
