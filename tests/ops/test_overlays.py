"""Every kernel with its output over its input, as near as its traversal allows, forward and backward.

A traversal that promises more than the C code keeps gives wrong bytes here. The proof of a plan believes the
traversals; this is what holds them to the code.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from chipfit.codegen.lower import assemble
from chipfit.codegen.program import Program
from chipfit.emulate import HostLibrary, build_elf, build_host_library, run_elf
from chipfit.graph import Node, Value
from chipfit.interpret import trace
from chipfit.ops import REGISTRY, Choice, Kernel, Traversal, graph_of, random_input
from chipfit.plan.memory import align
from chipfit.plan.overlay import forbidden_by
from chipfit.targets import load_board
from ops import bundle
from ops.test_kernels import nodes_of, run_case

DISTANCES = 2
"""The tightest distances to either side of what is forbidden, at most."""

ON_A_CORE = 40
"""Cases for each operator on an emulated core, evenly spread over all."""

ALIGNMENT = 4


def distances(traversal: Traversal, port: str) -> list[int]:
    """The tightest aligned distances that are safe: those next to zero, from below and from above."""
    spans = forbidden_by(traversal, port)
    ends = {lo // ALIGNMENT * ALIGNMENT for lo, _ in spans} | {align(hi, ALIGNMENT) for _, hi in spans} | {0}
    safe = sorted((d for d in ends if not any(lo < d < hi for lo, hi in spans)), key=abs)
    return safe[:DISTANCES]


def overlaid(node: Node, kernel: Kernel, port: str, distance: int, backward: bool, name: str) -> Program:
    """The program of this node with its output so many bytes behind that operand."""
    graph = graph_of(node)
    program = assemble(graph, graph.nodes, [Choice(kernel)], name, {})
    x, y, sizes = node[port], node.outputs[0], {v: align(v.type.nbytes, ALIGNMENT) for v in graph.inputs}
    base = max(0, -distance)
    offsets: dict[Value, int] = {x: base, y: base + distance}
    end = max(base + sizes[x], base + distance + align(y.type.nbytes, ALIGNMENT))
    for value in graph.inputs:
        if value is not x:
            offsets[value], end = end, end + sizes[value]
    scratch = dict.fromkeys(program.plan.scratch_offsets, end)
    end += align(sum(program.plan.units[0].scratch.values()), ALIGNMENT)
    program.plan = dataclasses.replace(program.plan, offsets=offsets, scratch_offsets=scratch, arena_bytes=end)
    call = program.steps[0].calls[0]
    if "backward" in call.params:
        call = dataclasses.replace(call, params={**call.params, "backward": int(backward)})
    program.steps[0] = dataclasses.replace(program.steps[0], calls=(call,))
    return program


def cases_of(name: str, features: frozenset[str], per_kernel: int | None = None) -> list[bundle.Case]:
    rng = np.random.default_rng(5)
    nodes = nodes_of(name)
    if per_kernel is not None:
        nodes = bundle.spread_nodes(nodes, features, per_kernel)
    cases: list[bundle.Case] = []
    for node in nodes:
        if len(node.outputs) != 1 or node.op.attributes().get("variable") is not None:
            continue
        for kernel in bundle.usable_kernels(node, features):
            for backward in (False, True):
                cases += _cases(node, kernel, backward, rng, len(cases))
    return cases


def _cases(node: Node, kernel: Kernel, backward: bool, rng: np.random.Generator, at: int) -> list[bundle.Case]:
    traversal = kernel.steps(node, backward)
    if traversal is None:
        return []
    graph = graph_of(node)
    inputs = tuple(random_input(rng, v.type) for v in graph.inputs)
    expected = tuple(trace(graph, inputs)[v] for v in graph.outputs)
    cases: list[bundle.Case] = []
    for port in traversal.reads:
        if node[port].is_const or node.inputs.count(node[port]) > 1:
            continue
        for distance in distances(traversal, port):
            program = overlaid(node, kernel, port, distance, backward, f"case{at + len(cases)}")
            label = f"{node.op} {kernel.title}, {port}, distance {distance}, {'backward' if backward else 'forward'}"
            cases.append(bundle.Case(node, program, inputs, expected, label))
    return cases


STATED = sorted(name for name, op in REGISTRY.items() if any(k.traversal for k in op.kernels))


@pytest.mark.parametrize("name", STATED)
def test_overlaid_on_host(name: str, tmp_path: Path) -> None:
    cases = cases_of(name, bundle.ALL_FEATURES, per_kernel=10)
    assert cases
    source = tmp_path / "bundle.c"
    source.write_text(bundle.bundle_source(cases))
    library = HostLibrary(build_host_library([source], bundle.include_dirs(), tmp_path / "bundle.so"))
    wrong = [text for case in cases if (text := run_case(library, case)) is not None]
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong[:5])


@pytest.mark.parametrize("board_name", ["nucleo-l4r5zi", "raspberry-pi-pico"])
@pytest.mark.parametrize("name", ["conv2d", "depthwise_conv2d", "fully_connected", "add"])
def test_overlaid_on_emulated_cores(name: str, board_name: str, tmp_path: Path) -> None:
    board = load_board(board_name)
    cases = cases_of(name, board.core.features, per_kernel=3)
    cases = [cases[i * len(cases) // ON_A_CORE] for i in range(ON_A_CORE)] if len(cases) > ON_A_CORE else cases
    source = tmp_path / "bundle.c"
    source.write_text(bundle.bundle_source(cases) + bundle.chip_main(cases))
    elf = tmp_path / "bundle.elf"
    build_elf([source], bundle.include_dirs(), board, elf)
    result = run_elf(elf, board, stdin=b"".join(c.stdin for c in cases))
    assert (result.exit_code, result.console.strip()) == (0, f"{len(cases)} cases")
    at, wrong = 0, list[str]()
    for case in cases:
        size = sum(e.nbytes for e in case.expected)
        text = bundle.compare(case, bundle.split_outputs(case, result.output[at : at + size]))
        wrong += [text] if text else []
        at += size
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong[:5])


def test_a_distance_that_is_too_tight_shows() -> None:
    """The harness itself: a convolution whose output lies a row too near must give other bytes."""
    node = next(
        n for n in nodes_of("depthwise_conv2d") if n["x"].shape == (1, 5, 7, 8) and n["x"].dtype.value == "int8"
    )
    kernel = next(k for k in bundle.usable_kernels(node, frozenset()) if k.traversal)
    traversal = kernel.steps(node)
    assert traversal is not None
    edge = next(d for d in distances(traversal, "x") if d < 0)
    graph = graph_of(node)
    inputs = (random_input(np.random.default_rng(0), node["x"].type),)
    expected = (trace(graph, inputs)[graph.outputs[0]],)
    wrong: list[bool] = []
    for distance in (edge, edge + 7 * 8):
        program = overlaid(node, kernel, "x", distance, False, "near")
        case = bundle.Case(node, program, inputs, expected, "near")
        wrong.append(_run_alone(case) is not None)
    assert wrong == [False, True]


def _run_alone(case: bundle.Case) -> str | None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "bundle.c"
        source.write_text(bundle.bundle_source([case]))
        library = HostLibrary(build_host_library([source], bundle.include_dirs(), Path(name) / "bundle.so"))
        return run_case(library, case)
