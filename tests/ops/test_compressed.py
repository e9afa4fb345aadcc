"""Kernels on compressed weights: the bytes of ``eval_int``, on this computer with sanitizers and on emulated cores.

Every kernel that marks its weights runs with all of them made at once, and with as few at a time as it can.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from chipfit.codegen.compress import Packing, in_parts
from chipfit.codegen.lower import assemble
from chipfit.emulate import build_elf, run_elf
from chipfit.graph import Array, Node, Shape
from chipfit.interpret import initial_state, trace
from chipfit.ops import Call, Choice, Kernel, Op, graph_of, op_of, random_input
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.transpose_conv import TransposeConv
from chipfit.targets import load_board
from ops import bundle
from ops.int8_layers import int8_layer
from ops.test_kernels import CORES
from ops.test_sanitizers import host_main, sanitizing_compiler

LAYERS: list[tuple[Op, Shape, Shape]] = [
    (Conv2D(), (1, 3, 5, 20), (14, 1, 1, 20)),
    (Conv2D(act="relu"), (1, 2, 3, 8), (9, 1, 1, 8)),
    (Conv2D(pad=(1, 1, 1, 1), act="relu6"), (1, 4, 6, 8), (12, 3, 3, 8)),
    (Conv2D(stride=(2, 2), pad=(0, 0, 1, 1)), (1, 7, 6, 3), (11, 3, 3, 3)),
    (Conv2D(pad=(1, 1, 1, 1)), (1, 3, 19, 4), (8, 3, 3, 4)),
    (Conv2D(), (1, 2, 2, 9), (10, 2, 2, 9)),
    (Conv2D(), (2, 3, 3, 4), (9, 1, 1, 4)),
    (DepthwiseConv2D(pad=(1, 1, 1, 1), act="relu"), (1, 6, 5, 12), (1, 3, 3, 12)),
    (DepthwiseConv2D(stride=(2, 2), pad=(0, 0, 1, 1), act="relu"), (1, 6, 6, 14), (1, 3, 3, 14)),
    (DepthwiseConv2D(pad=(2, 2, 2, 2)), (1, 5, 5, 9), (1, 5, 5, 9)),
    (DepthwiseConv2D(), (1, 4, 5, 3), (1, 3, 2, 6)),
    (FullyConnected(), (1, 37), (14, 37)),
    (FullyConnected(act="relu"), (1, 64), (7, 64)),
    (FullyConnected(), (3, 20), (6, 20)),
    (TransposeConv(stride=(2, 2)), (1, 3, 4, 8), (6, 3, 3, 8)),
]
"""With a number of output channels that is odd, or no multiple of four; several calls for each, if they are made in
parts."""

KERNELS = {
    "conv2d": "_dsp_small _dsp_direct _dsp _mla _scalar _thumb1 ",
    "depthwise_conv2d": "_dsp_small _dsp_3x3 _dsp _mla _scalar _thumb1 ",
    "fully_connected": "_dsp _mla _scalar _thumb1 ",
    "transpose_conv": "_dsp _scalar _thumb1 ",
}
"""Those that can have their weights compressed."""


def clustered(w: Array, count: int) -> Array:
    """The nearest of ``count`` weights, spread over the range."""
    codes = np.linspace(-127 if count > 4 else -90, 127, count).round().astype(np.int64)
    return codes[np.abs(w.astype(np.int64)[..., None] - codes).argmin(axis=-1)].astype(np.int8)


def sparse(w: Array) -> Array:
    """Two of four neighbours are 0."""
    flat = w.reshape(-1).copy()
    flat[0::4] = 0
    flat[3::4] = 0
    return flat.reshape(w.shape)


FORMS: dict[str, Callable[[Array], Array]] = {
    "16": lambda w: clustered(w, 16),
    "5": lambda w: clustered(w, 5),
    "3": lambda w: clustered(w, 3),
    "2": lambda w: clustered(w, 2),
    "zeros": sparse,
}
"""Weights for each form: 4, 3, 2, 1 bits, and zeros."""


def variants(node: Node, kernel: Kernel) -> Iterator[tuple[tuple[Call, ...], Packing]]:
    made = (kernel.call or op_of(node).call)(node)
    calls = made if isinstance(made, list) else [made]
    for limit in (None, 1):
        if (found := in_parts(node, kernel, calls, limit)) is not None:
            yield found


def cases_of(nodes: list[Node], features: frozenset[str], seed: int) -> list[bundle.Case]:
    """A case for each node, kernel and size of what is made at a time."""
    rng = np.random.default_rng(seed)
    cases: list[bundle.Case] = []
    for i, node in enumerate(nodes):
        graph = graph_of(node)
        inputs = tuple(random_input(rng, v.type) for v in graph.inputs)
        values = trace(graph, inputs, initial_state(graph))
        for k, kernel in enumerate(bundle.usable_kernels(node, features)):
            for n, packed in enumerate(variants(node, kernel)):
                name, choice = f"case{i}_{k}_{n}", Choice(kernel)
                program = assemble(graph, graph.nodes, [choice], name, {}, packed={node: packed})
                label = f"#{i} {node.op} {kernel.title}, {packed[1]}"
                cases.append(bundle.Case(node, program, inputs, tuple(values[y] for y in graph.outputs), label))
    return cases


def nodes_with(form: str, every: int = 1) -> list[Node]:
    """Every so many of the layers, with such weights."""
    rng = np.random.default_rng(7)
    weights = [rng.integers(-127, 128, shape, dtype=np.int8) for _, _, shape in LAYERS]
    return [
        int8_layer(op, x_shape, FORMS[form](w), seed)
        for seed, ((op, x_shape, _), w) in enumerate(zip(LAYERS, weights, strict=True))
        if seed % every == 0
    ]


def wrong(cases: list[bundle.Case], output: bytes) -> list[str]:
    found: list[str] = []
    at = 0
    for case in cases:
        size = sum(e.nbytes for e in case.expected)
        text = bundle.compare(case, bundle.split_outputs(case, output[at : at + size]))
        found += [text] if text else []
        at += size
    assert at == len(output)
    return found


def run_here(cases: list[bundle.Case], folder: Path) -> list[str]:
    """What is wrong on this computer, with sanitizers."""
    source, program = folder / "all.c", folder / "all.exe"
    source.write_text(bundle.bundle_source(cases) + host_main(bundle.case_table(cases), len(cases)))
    includes = [f"-I{path}" for path in bundle.include_dirs()]
    command = [*sanitizing_compiler(), "-std=c99", "-O0", "-DCF_SHARED", *includes]
    subprocess.run([*command, str(source), "-o", str(program), "-lm"], check=True)
    run = subprocess.run([program], input=b"".join(c.stdin for c in cases), capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode()[:3000]
    return wrong(cases, run.stdout)


def functions_of(cases: list[bundle.Case]) -> set[str]:
    return {name for case in cases for name in case.program.steps[0].kernel_names}


def test_on_this_computer(tmp_path: Path) -> None:
    cases = cases_of(nodes_with("16"), bundle.ALL_FEATURES, seed=1)
    all_kernels = {f"cf_{op}_s8{kind}" for op, kinds in KERNELS.items() for kind in kinds.split(" ")}
    assert all_kernels <= functions_of(cases)
    assert {"cf_unpack_begin", "cf_unpack_palette", "cf_unpack_scaled"} <= functions_of(cases)
    assert not run_here(cases, tmp_path)[:5]


def test_other_forms(tmp_path: Path) -> None:
    """Fewer bits and zeros, on fewer kernels."""
    nodes = [node for form in FORMS if form != "16" for node in nodes_with(form, 3)]
    cases = cases_of(nodes, frozenset({"dsp"}), seed=3)
    assert any(case.program.steps[0].packing.parts > 1 for case in cases if case.program.steps[0].packing)
    assert {"cf_unpack_palette", "cf_unpack_zeros"} <= functions_of(cases)
    assert not run_here(cases, tmp_path)[:5]


@pytest.mark.parametrize("board_name", [*CORES, "arduino-due"])
def test_on_emulated_cores(board_name: str, tmp_path: Path) -> None:
    board = load_board(board_name)
    nodes = [*nodes_with("16"), *nodes_with("5", 7), *nodes_with("3", 7), *nodes_with("zeros", 3)]
    cases = cases_of(nodes, board.core.features, seed=2)
    assert {"cf_unpack_palette", "cf_unpack_zeros"} <= functions_of(cases)
    source, elf = tmp_path / "bundle.c", tmp_path / "bundle.elf"
    source.write_text(bundle.bundle_source(cases) + bundle.chip_main(cases))
    build_elf([source], bundle.include_dirs(), board, elf)
    result = run_elf(elf, board, stdin=b"".join(c.stdin for c in cases))
    assert (result.exit_code, result.console.strip()) == (0, f"{len(cases)} cases")
    assert not wrong(cases, result.output)[:5]
