"""3x3 convolution by Winograd's method: the identity it rests on, its ranges, and the kernels on host and core."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from chipfit.codegen.lower import assemble
from chipfit.emulate import HostLibrary, build_elf, build_host_library, run_elf
from chipfit.graph import Array, DType, Node, Quant, TensorType
from chipfit.interpret import trace
from chipfit.ops import Choice, Kernel, graph_of
from chipfit.ops._activation import Activation
from chipfit.ops._base import Const, int8_type, make_node
from chipfit.ops._conv_winograd import F23, F43, Winograd, winograd_call, winograd_reason
from chipfit.ops.conv2d import Conv2D
from chipfit.targets import load_board
from ops import bundle
from ops.test_kernels import run_case

BOTH = pytest.mark.parametrize("f", [F23, F43], ids=["f23", "f43"])
BOARD = "nucleo-l4r5zi"


# ---------------------------------------------------------------------------------------------- arithmetic


@BOTH
def test_outputs_are_the_convolution(f: Winograd) -> None:
    """Bilinear in pixels and weights: what holds for each pair of unit vectors holds for all numbers."""
    inputs, weights, outputs = (np.array(matrix) for matrix in (f.inputs, f.weights, f.outputs))
    for d in np.eye(f.m + 2, dtype=int):
        for g in np.eye(3, dtype=int):
            wanted = [f.factor * int(d[i : i + 3] @ g) for i in range(f.m)]
            assert (outputs @ ((weights @ g) * (inputs @ d))).tolist() == wanted


@BOTH
def test_lanes_fit_16_bits(f: Winograd) -> None:
    """Inputs 0..255, also what is summed before the difference of the two lanes; weights -128..127, times k."""
    inputs, weights = np.array(f.inputs), np.array(f.weights)
    assert 255 * np.maximum(inputs, 0).sum(axis=1).max() < 1 << 15
    assert 255 * np.maximum(-inputs, 0).sum(axis=1).max() < 1 << 15
    greatest = 128 * np.abs(weights).sum(axis=1).max()
    assert greatest * (f.k // f.factor) < 1 << 15
    assert greatest * (f.k // f.factor + 1) >= 1 << 15, "k could be larger"


# ---------------------------------------------------------------------------------------------- kernels


def node_of(
    seed: int,
    x: tuple[int, int, int, int],
    out: int,
    pad: tuple[int, int, int, int],
    act: Activation = "none",
    zero_point: int | None = None,
) -> Node:
    """Scales as trained layers have them: within a factor of four of each other."""
    rng = np.random.default_rng(seed)
    greatest = 127 if x[3] <= 16 else 50  # so that accumulators stay in what is proven
    w = rng.integers(-greatest, greatest + 1, (out, 3, 3, x[3]), dtype=np.int8)
    w[0] = greatest
    scales = tuple(float(s) for s in rng.uniform(5e-3, 2e-2, out).astype(np.float32))
    x_type = int8_type(rng, *x)
    w_type = TensorType(w.shape, DType.INT8, Quant(scales, (0,) * out, 0))
    b = rng.integers(-3000, 3000, out, dtype=np.int32)
    b_type = TensorType(b.shape, DType.INT32, Quant(tuple(x_type.q.s * s for s in scales), (0,) * out, 0))
    spread = x_type.q.s * max(scales) * 73 * 73 * float(np.sqrt(w[0].size)) / 64
    y_zero = int(rng.integers(-128, 128)) if zero_point is None else zero_point
    return make_node(
        Conv2D(pad=pad, act=act),
        {"x": x_type, "w": (w_type, w), "b": (b_type, b)},
        (DType.INT8, Quant.per_tensor(spread, y_zero)),
    )


NODES = {
    "one row of units": ((1, 5, 8, 16), 6, (1, 1, 1, 1), "relu", -128),
    "two lines": ((1, 5, 16, 16), 4, (1, 1, 1, 1), "none", None),
    "least channels, more than one image": ((2, 4, 7, 4), 2, (1, 1, 1, 1), "none", None),
    "many channels, rows not filled": ((1, 4, 14, 36), 4, (0, 0, 0, 0), "relu", -128),
    "padded on one side, clamped": ((1, 6, 7, 28), 4, (0, 1, 1, 0), "relu6", None),
    "one row of pixels": ((1, 1, 8, 8), 2, (1, 1, 1, 1), "relu", -128),
}


def nodes() -> list[Node]:
    return [node_of(seed, x, out, pad, act, zero) for seed, (x, out, pad, act, zero) in enumerate(NODES.values())]  # type: ignore[arg-type]


def kernel_of(f: Winograd) -> Kernel:
    return next(k for k in Conv2D.kernels if k.name == f"cf_conv2d_s8_dsp_f{f.m}3")


def inputs_of(node: Node, seed: int) -> list[Array]:
    """Random ones; constant ones; such that all products with the first channels have the same sign."""
    rng = np.random.default_rng(seed)
    shape, w = node["x"].shape, node["w"].array
    drawn: list[Array] = [rng.integers(-128, 128, shape, dtype=np.int8) for _ in range(2)]
    drawn += [np.full(shape, v, np.int8) for v in (-128, 127)]
    drawn += [rng.choice(np.array([-128, 127], np.int8), shape)]
    for channel in range(2):
        greatest = np.where(w[channel] < 0, -128, 127).astype(np.int8)
        tiled = np.tile(greatest, (1, -(-shape[1] // 3), -(-shape[2] // 3), 1))[:, : shape[1], : shape[2]]
        drawn += [np.ascontiguousarray(np.broadcast_to(tiled, shape))]
    return drawn


def cases_of(f: Winograd) -> list[bundle.Case]:
    cases: list[bundle.Case] = []
    for i, (name, node) in enumerate(zip(NODES, nodes(), strict=True)):
        assert winograd_reason(node, f) is True, name
        graph = graph_of(node)
        program = assemble(graph, graph.nodes, [Choice(kernel_of(f))], f"case{i}", {})
        for x in inputs_of(node, i):
            values = trace(graph, (x,), {})
            cases.append(bundle.Case(node, program, (x,), tuple(values[y] for y in graph.outputs), name))
    return cases


def wrong_on_host(cases: list[bundle.Case], folder: Path, **options: str) -> list[str]:
    source = folder / "bundle.c"
    source.write_text(bundle.bundle_source(cases))
    library = HostLibrary(build_host_library([source], bundle.include_dirs(), folder / "bundle.so", **options))  # type: ignore[arg-type]
    return [text for case in cases if (text := run_case(library, case)) is not None]


def outputs_on_core(cases: list[bundle.Case], folder: Path, includes: list[Path], cc: str | None = None) -> bytes:
    source, elf, board = folder / "bundle.c", folder / "bundle.elf", load_board(BOARD)
    source.write_text(bundle.bundle_source(cases) + bundle.chip_main(cases))
    build_elf([source], includes, board, elf, cc=cc)
    result = run_elf(elf, board, stdin=b"".join(c.stdin for c in cases))
    assert (result.exit_code, result.console.strip()) == (0, f"{len(cases)} cases")
    return result.output


def wrong_in(cases: list[bundle.Case], output: bytes) -> list[str]:
    wrong: list[str] = []
    at = 0
    for case in cases:
        size = sum(e.nbytes for e in case.expected)
        text = bundle.compare(case, bundle.split_outputs(case, output[at : at + size]))
        wrong += [text] if text else []
        at += size
    return wrong


@BOTH
def test_exact_on_host(f: Winograd, tmp_path: Path) -> None:
    assert not wrong_on_host(cases_of(f), tmp_path)


@pytest.mark.parametrize("cc", [None, "arm-none-eabi-gcc"], ids=["zig", "gcc"])
@BOTH
def test_exact_on_core(f: Winograd, cc: str | None, tmp_path: Path) -> None:
    if cc and not shutil.which(cc):
        pytest.skip(f"no {cc}")
    cases = cases_of(f)
    assert not wrong_in(cases, outputs_on_core(cases, tmp_path, bundle.include_dirs(), cc))


@pytest.mark.parametrize(
    ("header", "right", "broken"),
    [
        ("cf_tile_winograd.h", 'smmla " a ", " a ", " m ", r10', 'smmls " a ", " a ", " m ", r10'),
        (
            "cf_tile_winograd_f43.h",
            'CF_4_SHIFTED("add", CF_TOP, CF_MID, CF_TOP, "1")',
            'CF_4("add", CF_TOP, CF_MID, CF_TOP)',
        ),
        ("cf_tile_winograd_rows.h", "oy < 0 ? oy + 2 : 2", "oy < 0 ? oy + 2 : 1"),
    ],
    ids=["requantization", "output", "row"],
)
def test_a_bug_is_seen(header: str, right: str, broken: str, tmp_path: Path) -> None:
    folder = tmp_path / "include"
    shutil.copytree(bundle.include_dirs()[1], folder)
    text = (folder / header).read_text()
    assert right in text
    (folder / header).write_text(text.replace(right, broken))
    cases = cases_of(F43)
    assert wrong_in(cases, outputs_on_core(cases, tmp_path, [bundle.include_dirs()[0], folder]))


# ---------------------------------------------------------------------------------------------- when


def stream_of(node: Node, f: Winograd) -> Array:
    return next(arg.data for arg in winograd_call(node, f).args if isinstance(arg, Const))


@BOTH
def test_stream(f: Winograd) -> None:
    """Its size is what the tile reads, for either form; the nodes above have both."""
    one_line, two_lines = nodes()[:2]
    units = 3 * 16 // 4 * len(f.inputs)
    assert stream_of(one_line, f).size == 3 * (2 + 4 * units + len(f.inputs) + 2 + 1)
    assert stream_of(two_lines, f).size == 2 * (2 + 4 * units + len(f.inputs) + 5 + 1)
    assert stream_of(one_line, f)[-1] == 0


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (node_of(0, (1, 5, 8, 6), 4, (1, 1, 1, 1)), "multiple of 4 input channels"),
        (node_of(0, (1, 5, 8, 8), 3, (1, 1, 1, 1)), "even number of output channels"),
        (node_of(0, (1, 5, 5, 8), 4, (0, 0, 0, 0)), "rows of 3 pixels fill tiles of 8 badly"),
        (node_of(0, (1, 5, 96, 32), 4, (1, 1, 1, 1)), r"it needs 30,784 B of scratch, more than 8,192"),
        (node_of(0, (1, 3, 8, 256), 2, (1, 1, 1, 1)), r"scratch|no cheap requantization is proven"),
    ],
)
def test_reasons(node: Node, reason: str) -> None:
    assert re.search(reason, str(winograd_reason(node, F43)))


def test_unproven_layers_are_left_to_others() -> None:
    """Multipliers that no line fits: outputs with steps far smaller than the accumulator's."""
    node = node_of(0, (1, 5, 8, 8), 4, (1, 1, 1, 1))
    y = node.outputs[0]
    node.outputs[0] = type(y)("y", TensorType(y.shape, DType.INT8, Quant.per_tensor(y.q.s / 3000, 0)))
    assert "no cheap requantization is proven" in str(winograd_reason(node, F43))
