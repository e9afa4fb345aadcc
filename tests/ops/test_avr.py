"""Kernels on an AVR, whose int has 16 bits and whose flash is a space of its own: compiled by clang and by gcc."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chipfit.codegen import lower
from chipfit.emulate.toolchain import PORT
from chipfit.errors import ChipfitError
from chipfit.graph import DType, Node
from chipfit.ops import REGISTRY, graph_of, op_of
from chipfit.ops._flash import flash_arguments
from chipfit.targets import Board, load_board
from chipfit.targets.board import Memory
from codegen.programs import Compiler
from emulate.avr_compilers import COMPILERS, need_simavr, require
from ops import avr_bundle, bundle

FEATURES = load_board("arduino-uno").core.features
PER_KERNEL = 10
"""Nodes for each kernel."""

OPS = {
    "avr-gcc": ["fully_connected", "conv2d", "depthwise_conv2d", "softmax", "add"],
    None: ["fully_connected", "conv2d", "depthwise_conv2d", "softmax", "add", "average_pool2d", "max_pool2d", "mean"],
}
CASES = [
    pytest.param(name, cc.values[0], id=f"{name}-{cc.id}")
    for cc in COMPILERS
    for name in OPS[cc.values[0]]  # type: ignore[index]
]


def large_board() -> Board:
    """An ATmega1284P: the same instructions and port, with 16 KiB of RAM, so that many cases go into one program."""
    uno = load_board("arduino-uno")
    chip = "atmega1284p"
    core = replace(uno.core, zig_flags=(f"-mcpu={chip}",), gcc_flags=(f"-mmcu={chip}",), emulator=chip)
    memories = (Memory("flash", "flash", 0, 1 << 16), Memory("ram", "ram", 0x80_0100, 1 << 14))
    return replace(uno, core=core, memories=memories)


def nodes_of(name: str) -> list[Node]:
    return list(REGISTRY[name].samples(np.random.default_rng(0)))


@need_simavr
@pytest.mark.parametrize(("name", "cc"), CASES)
def test_kernels(name: str, cc: str | None, tmp_path: Path) -> None:
    require(cc)
    cases = bundle.make_cases(nodes_of(name), FEATURES, seed=2, draws=1, per_kernel=PER_KERNEL)
    small = [c for c in cases if c.program.memory_bytes + sum(k.data.nbytes for k in c.program.constants) < 3000]
    assert len(small) >= PER_KERNEL
    assert avr_bundle.wrong_on_avr(small, large_board(), tmp_path, cc) == []


def test_no_warnings(tmp_path: Path) -> None:
    """Every kernel that can be chosen: where int has 16 bits, a conversion that loses bits is a warning."""
    usable = {
        k.name for name in REGISTRY for node in nodes_of_kernels(name) for k in bundle.usable_kernels(node, FEATURES)
    }
    source = tmp_path / "all.c"
    names = ["cf_avr", *sorted(usable)]
    source.write_text("".join(f'#include "{name}.h"\n' for name in names) + "int main(void)\n{\n    return 0;\n}\n")
    core = load_board("arduino-uno").core
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    flags += [f"-I{folder}" for folder in (*bundle.include_dirs(), PORT / "include")]
    for compiler in (
        Compiler("avr-gcc", ("avr-gcc", *core.gcc_flags)),
        Compiler("zig cc for avr", (*zig(), *core.zig_flags, "-Wno-avr-rtlib-linking-quirks")),
    ):
        compiler.require()
        compiler.run(*flags, "-c", source, "-o", tmp_path / "all.o")


def zig() -> tuple[str, ...]:
    from chipfit.emulate.toolchain import zig_cc

    return (*zig_cc(), f"--target={load_board('arduino-uno').core.zig_target}")


def nodes_of_kernels(name: str) -> list[Node]:
    return nodes_of(name)[:40] if REGISTRY[name].kernels else []


def test_flash_arguments_are_those_of_the_header() -> None:
    assert flash_arguments("cf_fully_connected_s8") == {1, 2, 3, 4}
    assert flash_arguments("cf_lookup_s8") == {1}
    assert flash_arguments("cf_add_s8") == frozenset()
    assert flash_arguments("loop") == frozenset()


def test_every_qualified_kernel_is_read() -> None:
    """A header whose function could not be found would count as one without constants in flash."""
    for path in sorted(bundle.include_dirs()[0].glob("cf_*.h")):
        declared = re.search(rf"CF_KERNEL void {path.stem}\((.*?)\)\n{{", path.read_text(encoding="utf-8"), re.DOTALL)
        if declared:
            assert len(flash_arguments(path.stem)) == declared[1].count("CF_FLASH"), path.name


def test_constants_lie_where_their_kernel_reads_them() -> None:
    node = next(n for n in nodes_of("add") if any(v.is_const for v in n.operands) and n["y"].dtype is DType.INT8)
    kernel = next(k for k in op_of(node).candidates(node) if k.name == "cf_add_s8")
    program = lower(graph_of(node), FEATURES)
    places = {c.symbol: c.in_flash for c in program.constants}
    taken = program.steps[0].choice.kernel
    assert set(places.values()) == {taken.name != kernel.name}
    assert not any(c.in_flash for c in lower(graph_of(node), frozenset()).constants)


@pytest.mark.parametrize("name", ["fully_connected", "softmax"])
def test_no_kernels_on_wide_types(name: str) -> None:
    for node in nodes_of(name):
        if node["x"].dtype is not DType.INT8:
            with pytest.raises(ChipfitError, match=f"this core has no kernels on .*{node['x'].dtype.value}") as caught:
                op_of(node).choose(node, FEATURES)
            assert caught.value.code == "O002"


def test_computed_weights_are_refused() -> None:
    node = next(n for n in nodes_of("fully_connected") if n["x"].dtype is DType.INT8 and not n["w"].is_const)
    with pytest.raises(ChipfitError, match="it reads w from flash: it must be constant"):
        op_of(node).choose(node, FEATURES)
