"""Every kernel of every operator against its reference: on the host with sanitizers, and on emulated cores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chipfit.emulate import HostLibrary, build_elf, build_host_library, run_elf
from chipfit.graph import DType, Node
from chipfit.ops import REGISTRY
from chipfit.targets import load_board
from ops import bundle

OPS = sorted(name for name, op in REGISTRY.items() if op.kernels)
"""Those that functions of the runtime compute; C of the others: see tests/codegen/test_loops.py."""

PER_KERNEL = 6
"""Nodes for each kernel on an emulated core; on the host all of them run."""

CORES = ["nucleo-l4r5zi", "raspberry-pi-pico", "esp32-c3", "maix-bit"]
"""For the Cortex-M3, which has a subset of the first one's instructions, see test_mla.py."""


def nodes_of(name: str) -> list[Node]:
    return list(REGISTRY[name].samples(np.random.default_rng(0)))


@pytest.mark.parametrize("name", OPS)
def test_samples_cover_every_kernel(name: str) -> None:
    features = bundle.ALL_FEATURES | {"mve"}
    used = {k.title for node in nodes_of(name) for k in bundle.usable_kernels(node, features)}
    assert used == {k.title for k in REGISTRY[name].kernels}


@pytest.mark.parametrize("name", OPS)
def test_kernels_on_host(name: str, tmp_path: Path) -> None:
    wrong = wrong_on_host(name, bundle.ALL_FEATURES, tmp_path)
    assert not wrong, "\n".join(wrong[:5])


def wrong_on_host(name: str, features: frozenset[str], folder: Path) -> list[str]:
    """What the kernels that a core with these features can run get wrong on this computer."""
    cases = bundle.make_cases(nodes_of(name), features, seed=1, draws=3)
    source = folder / "bundle.c"
    source.write_text(bundle.bundle_source(cases))
    library = HostLibrary(build_host_library([source], bundle.include_dirs(), folder / "bundle.so"))
    return [text for case in cases if (text := run_case(library, case)) is not None]


def run_case(library: HostLibrary, case: bundle.Case) -> str | None:
    size, plan, graph = case.program.memory_bytes, case.program.plan, case.program.graph
    block = np.full(size + 2 * bundle.GUARD, bundle.FILL, np.uint8)
    memory = block[bundle.GUARD : bundle.GUARD + size]
    for value, x in zip(graph.inputs, case.inputs, strict=True):
        at = plan.offsets[value]
        memory[at : at + x.nbytes] = np.frombuffer(np.ascontiguousarray(x).tobytes(), np.uint8)
    library.function(f"{case.program.name}_all", returns=None)(memory)
    edges = np.concatenate([block[: bundle.GUARD], block[bundle.GUARD + size :]])
    if (edges != bundle.FILL).any():
        return f"{case.label}: wrote outside of its memory"
    raw = b"".join(memory[plan.offsets[v] : plan.offsets[v] + v.type.nbytes].tobytes() for v in graph.outputs)
    return bundle.compare(case, bundle.split_outputs(case, raw))


@pytest.mark.parametrize("board_name", CORES)
@pytest.mark.parametrize("name", OPS)
def test_kernels_on_emulated_cores(name: str, board_name: str, tmp_path: Path) -> None:
    board = load_board(board_name)
    cases = bundle.make_cases(nodes_of(name), board.core.features, seed=2, draws=1, per_kernel=PER_KERNEL)
    source = tmp_path / "bundle.c"
    source.write_text(bundle.bundle_source(cases) + bundle.chip_main(cases))
    elf = tmp_path / "bundle.elf"
    build_elf([source], bundle.include_dirs(), board, elf)
    result = run_elf(elf, board, stdin=b"".join(c.stdin for c in cases))
    assert (result.exit_code, result.console.strip()) == (0, f"{len(cases)} cases")
    wrong: list[str] = []
    at = 0
    for case in cases:
        size = sum(e.nbytes for e in case.expected)
        text = bundle.compare(case, bundle.split_outputs(case, result.output[at : at + size]))
        wrong += [text] if text else []
        at += size
    assert not wrong, "\n".join(wrong[:5])


def test_bundle_catches_a_wrong_result(tmp_path: Path) -> None:
    """The harness itself: a kernel's output that differs by one is reported."""
    node = next(n for n in nodes_of("conv2d") if n["y"].dtype is DType.INT8)
    case = bundle.make_cases([node], frozenset(), seed=3, draws=1)[0]
    wrong = tuple(e.copy() for e in case.expected)
    wrong[0].reshape(-1)[-1] ^= 1
    assert bundle.compare(case, wrong) is not None


@pytest.mark.parametrize("board_name", ["host", "nucleo-l4r5zi"])
def test_all_kernels_live_in_one_program(board_name: str, tmp_path: Path) -> None:
    """A model may use any mix of kernels: no two headers define the same name differently."""
    names = sorted(p.name for p in (bundle.include_dirs()[0]).glob("cf_*.h"))
    source = tmp_path / "all.c"
    source.write_text("".join(f'#include "{name}"\n' for name in names) + "int main(void)\n{\n    return 0;\n}\n")
    board = load_board(board_name)
    if board.is_host:
        assert build_host_library([source], bundle.include_dirs(), tmp_path / "all").exists()
    else:
        assert build_elf([source], bundle.include_dirs(), board, tmp_path / "all.elf").sizes().code
