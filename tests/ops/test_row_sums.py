"""Global pools that take their input row by row, against ``eval_int``: on the host and on emulated cores."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from chipfit.codegen import ctext
from chipfit.emulate import build_elf, run_elf
from chipfit.graph import Array, DType, Node
from chipfit.ops import REGISTRY, Call, Port, RowSums, make_node, op_of, random_input
from chipfit.ops._base import int8_type, int16_type
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.mean import Mean
from chipfit.targets import load_board
from ops import bundle
from ops.test_sanitizers import sanitizing_compiler

WITH_SUMS = ["average_pool2d", "mean", "sum"]
CORES = ["nucleo-l4r5zi", "raspberry-pi-pico", "esp32-c3"]


@dataclass(frozen=True)
class Image:
    """A node, how it sums rows, an input and what must come out."""

    node: Node
    sums: RowSums
    x: Array
    y: Array


def images(name: str) -> list[Image]:
    rng = np.random.default_rng(5)
    nodes = [*REGISTRY[name].samples(rng), *(large_nodes(rng) if name in ("average_pool2d", "mean") else [])]
    found: list[Image] = []
    for node in nodes:
        sums = op_of(node).row_sums(node)
        if sums is not None:
            low, _ = node["x"].dtype.range
            for x in (random_input(rng, node["x"].type), np.full(node["x"].shape, low, node["x"].dtype.numpy)):
                (y,) = op_of(node).evaluate(node, x)
                found.append(Image(node, sums, x, y))
    return found


def large_nodes(rng: np.random.Generator) -> list[Node]:
    """Rows of more than 256 pixels, which overflow 16-bit sums."""
    return [
        make_node(op, {"x": x}, (x.dtype, x.quant))
        for x in (int8_type(rng, 1, 3, 601, 8), int16_type(rng, 1, 3, 601, 8))
        for op in (AveragePool2D((3, 601), (3, 601)), Mean((1, 2)))
    ]


def statement(kernel: str, call: Call, pointers: dict[str, str]) -> str:
    """A call; ``pointers``: what stands for the ports, and for the sums."""
    args = ", ".join(pointers[a.name if isinstance(a, Port) else "sums"] for a in call.args)
    fields = ctext.struct_fields(dict(call.params), "    ")
    return f"    {{\n    static const {kernel}_params p = {{\n    {fields}}};\n    {kernel}({args}, &p);\n    }}\n"


def source(cases: Sequence[Image], head: str, read: str, write: str) -> str:
    """C text: each image is read row by row into one row of memory; ``read`` and ``write`` take address and bytes."""
    kernels = sorted({kernel for c in cases for kernel, _ in (c.sums.add, c.sums.finish)})
    rows = max(row_bytes(c) for c in cases)
    text = "".join(f'#include "{k}.h"\n' for k in kernels) + head
    text += f"static union {{\n    int8_t s8[{rows}];\n    int16_t s16[{rows // 2}];\n    int32_t aligned;\n}} row;\n"
    body = ""
    for i, case in enumerate(cases):
        height = case.node["x"].shape[1]
        text += (
            f"static void case{i}(int32_t *sums, {case.node['y'].dtype.c_type} *y)\n{{\n"
            f"    memset(sums, 0, {case.sums.nbytes});\n"
            f"    for (int r = 0; r < {height}; r++) {{\n    {read}(&row, {row_bytes(case)});\n"
            f"{statement(*case.sums.add, {'x': row_of(case), 'sums': 'sums'})}    }}\n"
            f"{statement(*case.sums.finish, {'sums': 'sums', 'y': 'y'})}}}\n"
        )
        body += (
            f"    {{\n    static int32_t sums[{case.sums.nbytes // 4}];\n"
            f"    static {case.node['y'].dtype.c_type} y[{case.y.size}];\n"
            f"    case{i}(sums, y);\n    {write}(y, {case.y.nbytes});\n    }}\n"
        )
    return f"{text}int main(void)\n{{\n{body}    return 0;\n}}\n"


def row_bytes(case: Image) -> int:
    return case.x.nbytes // case.node["x"].shape[1]


def row_of(case: Image) -> str:
    return "row.s8" if case.x.dtype == np.int8 else "row.s16"


def check(cases: Sequence[Image], output: bytes) -> None:
    assert len(output) == sum(c.y.nbytes for c in cases)
    at = 0
    for case in cases:
        got = np.frombuffer(output[at : at + case.y.nbytes], case.y.dtype).reshape(case.y.shape)
        assert np.array_equal(got, case.y), f"{case.node.op} {case.node['x'].type}"
        at += case.y.nbytes


def test_which_operators_sum_rows() -> None:
    for dtype in (np.int8, np.int16):
        found = [name for name in sorted(REGISTRY) if any(image.x.dtype == dtype for image in images(name))]
        assert found == WITH_SUMS
    x = int8_type(np.random.default_rng(0), 1, 4, 4, 8)
    partial = make_node(AveragePool2D((4, 2), (4, 2)), {"x": x}, (DType.INT8, x.quant))
    assert op_of(partial).row_sums(partial) is None
    assert op_of(along := make_node(Mean((1,)), {"x": x}, (DType.INT8, x.quant))).row_sums(along) is None


@pytest.mark.parametrize("name", WITH_SUMS)
def test_row_sums_with_sanitizers(name: str, tmp_path: Path) -> None:
    cases = images(name)
    head = (
        "#include <stdio.h>\n#include <stdlib.h>\nstatic void take(void *to, size_t n)\n{\n"
        "    if (fread(to, 1, n, stdin) != n) {\n        exit(2);\n    }\n}\n"
        "static void give(const void *from, size_t n)\n{\n    fwrite(from, 1, n, stdout);\n}\n"
    )
    program = tmp_path / "sums.exe"
    (tmp_path / "sums.c").write_text(source(cases, head, "take", "give"))
    includes = [f"-I{folder}" for folder in bundle.include_dirs()]
    flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(
        [*sanitizing_compiler(), *flags, *includes, str(tmp_path / "sums.c"), "-o", str(program)], check=True
    )
    run = subprocess.run([program], input=b"".join(c.x.tobytes() for c in cases), capture_output=True, check=True)
    check(cases, run.stdout)


@pytest.mark.parametrize("board_name", CORES)
@pytest.mark.parametrize("name", WITH_SUMS)
def test_row_sums_on_emulated_cores(name: str, board_name: str, tmp_path: Path) -> None:
    board, cases = load_board(board_name), images(name)
    (tmp_path / "sums.c").write_text(source(cases, '#include "cf_port.h"\n', "cf_port_read", "cf_port_write"))
    build_elf([tmp_path / "sums.c"], bundle.include_dirs(), board, tmp_path / "sums.elf")
    result = run_elf(tmp_path / "sums.elf", board, stdin=b"".join(c.x.tobytes() for c in cases))
    assert result.exit_code == 0
    check(cases, result.output)
