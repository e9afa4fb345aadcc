"""The kernels for Helium that keep to less scratch, run over their input or row by row; and bugs in them are caught.

All their samples are in test_helium.py. Here one body of each kernel serves all cases: they compile in a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from chipfit.emulate import build_elf, qemu, run_elf
from chipfit.graph import DType, Node, Quant, TensorType
from chipfit.ops import Call, Kernel, Scratch, make_node, op_of
from chipfit.ops._depthwise_mve import KERNELS_MVE, plans
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.targets import load_board
from ops import bundle
from ops.test_kernels import nodes_of
from ops.test_overlays import cases_of

BOARD = load_board("corstone-300")
MVE = frozenset({"mve"})
"""Without the core's other features: proofs for kernels that are not looked at here take time."""
needs_qemu = pytest.mark.skipif(qemu.find_qemu() is None, reason=f"QEMU is not installed: {qemu.install_hint()}")


def wrong(cases: Sequence[bundle.Case], folder: Path, include: Path | None = None) -> list[str]:
    """What the emulated core gets wrong of these; ``include``: a folder that comes before the runtime's."""
    source, elf = folder / "bundle.c", folder / "bundle.elf"
    source.write_text(bundle.bundle_source(list(cases)) + bundle.chip_main(list(cases)))
    folders = [*([include] if include else []), *bundle.include_dirs()]
    build_elf([source], folders, BOARD, elf, optimize="-O1", defines=["CF_SHARED"])
    result = run_elf(elf, BOARD, stdin=b"".join(case.stdin for case in cases))
    found = [] if result.console.strip() == f"{len(cases)} cases" else [result.console]
    at = 0
    for case in cases:
        size = sum(e.nbytes for e in case.expected)
        text = bundle.compare(case, bundle.split_outputs(case, result.output[at : at + size]))
        found += [text] if text else []
        at += size
    return found


def cases(nodes: list[Node]) -> list[bundle.Case]:
    """One input for each node and each of its kernels for Helium."""
    made = bundle.make_cases(nodes, MVE, seed=3, draws=1)
    return [case for case in made if case.program.steps[0].choice.kernel.name.endswith("_mve")]


def layers() -> list[Node]:
    return [n for n in nodes_of("depthwise_conv2d") if n["x"].dtype is DType.INT8 and n["y"].dtype is DType.INT8]


def usable(node: Node) -> list[Kernel]:
    return [k for k in KERNELS_MVE if k.reason_against(node, MVE) is None]


def call_of(kernel: Kernel, node: Node) -> Call:
    assert kernel.call is not None
    call = kernel.call(node)
    assert isinstance(call, Call)
    return call


def image(height: int, width: int, channels: int, op: DepthwiseConv2D, side: int = 3) -> Node:
    """A layer with weights of 1: its plan depends on shapes alone."""
    x = TensorType((1, height, width, channels), DType.INT8, Quant.per_tensor(0.05, -3))
    w = TensorType((1, side, side, channels), DType.INT8, Quant.per_tensor(0.01))
    inputs = {"x": x, "w": (w, np.ones(w.shape, np.int8)), "b": None}
    return make_node(op, inputs, (DType.INT8, Quant.per_tensor(0.1, -128)))


SAME, STRIDED = DepthwiseConv2D(pad=(1, 1, 1, 1)), DepthwiseConv2D((2, 2), (0, 0, 1, 1))


@pytest.mark.parametrize(
    ("node", "pairs", "along_rows"),
    [
        (image(48, 48, 8, SAME), True, True),
        (image(25, 5, 64, SAME), True, False),  # few long lines
        (image(48, 48, 16, STRIDED), False, True),
        (image(9, 1, 16, SAME), False, False),  # one line of outputs
        (image(8, 8, 16, DepthwiseConv2D(pad=(2, 2, 2, 2)), 5), False, True),
        (image(9, 9, 16, DepthwiseConv2D(pad=(2, 2, 2, 2), dilation=(2, 2))), False, True),
    ],
    ids=["rows", "columns", "stride", "line", "5x5", "dilation"],
)
def test_plans(node: Node, pairs: bool, along_rows: bool) -> None:
    plan = plans(node)[""]
    assert (plan.pairs, plan.along_rows) == (pairs, along_rows)


def test_forms_by_scratch() -> None:
    for node in (image(24, 24, 16, SAME), image(20, 20, 16, STRIDED), image(25, 5, 64, SAME)):
        found = plans(node)
        assert [k.form for k in usable(node)] == list(found)
        taken = {k.form: scratch_of(call_of(k, node)) for k in usable(node)}
        assert taken == {form: plan.scratch for form, plan in found.items()}
        assert taken["whole image"] > taken[""] > list(taken.values())[2]
        assert found["whole image"].band == found["whole image"].axes.out_lines
    node = image(24, 24, 16, SAME)
    assert scratch_of(call_of(KERNELS_MVE[2], node)) <= 2048


def test_a_form_that_is_slow_is_not_offered_as_another_one() -> None:
    """Columns of 40 elements do not fit into 2 KiB, and rows are so short that the work around them shows."""
    node, other = image(40, 7, 64, SAME), image(25, 5, 64, SAME)
    assert "2 KiB" not in plans(node)
    assert list(found := plans(other)) == ["", "whole image", "2 KiB", "single lines"]
    assert found["2 KiB"].cost <= 1.08 * found[""].cost < found["single lines"].cost


def scratch_of(call: Call) -> int:
    return sum(arg.nbytes for arg in call.args if isinstance(arg, Scratch))


def rows_of(node: Node, padded: bool) -> list[Node]:
    """The node of each output row; none where it is not computed row by row."""
    op = op_of(node)
    if isinstance(op.rows(node), str):
        return []
    return [op.slice_rows(node, r, 1, padded) for r in range(node["y"].shape[1])]


def test_rows_of_an_image_differ_in_lines_and_padding_only() -> None:
    """They share one body and one table; all of them take the same kernels."""
    seen = 0
    for node in layers():
        for padded in (False, True):
            parts = rows_of(node, padded)
            for form in range(len(usable(parts[0])) if parts else 0):
                calls = [call_of(usable(part)[form], part) for part in parts]
                alike = [{k: v for k, v in call.params.items() if k not in ("lines", "pad")} for call in calls]
                assert all(fields == alike[0] for fields in alike)
                assert all(call.args[1:] == calls[0].args[1:] for call in calls)
                seen += len(calls)
    assert seen > 100


@needs_qemu
def test_rows_are_those_of_the_image(tmp_path: Path) -> None:
    nodes = [part for node in layers()[::12] for padded in (False, True) for part in rows_of(node, padded)[:4]]
    assert len(nodes) > 20
    assert not wrong(cases(nodes), tmp_path)


@needs_qemu
@pytest.mark.parametrize("name", ["depthwise_conv2d", "fully_connected", "average_pool2d", "max_pool2d"])
def test_over_their_input(name: str, tmp_path: Path) -> None:
    """As near as the traversal allows, forward and backward."""
    every = cases_of(name, MVE, per_kernel=3)
    made = [case for case in every if case.program.steps[0].choice.kernel.name.endswith("_mve")]
    assert len(made) >= 4
    assert not wrong(made[:: -(-len(made) // 30)], tmp_path)


BUGS = [
    ("include/cf_tile_quads.h", "vldrbq_s8(w - 5)", "vldrbq_s8(w - 4)"),
    ("include/cf_tile_quads.h", "v = vaddq_s32(v, vshrq_n_s32(v, 31));", ";"),
    ("include/cf_tile_quads.h", "v = vqaddq_n_s16(v, (int16_t)t->out_zero)", "v = vqaddq_n_s16(v, (int16_t)0)"),
    ("include/cf_tile_quads.h", "to = cf_quad_zeros(to, f->pad, zero);", "to = cf_quad_zeros(to, f->pad, 0);"),
    ("include/cf_tile_quads.h", "const int inside = at >= 0 && at < lines;", "const int inside = at >= 0;"),
    ("include/cf_tile_quads.h", "lines == 1 ? 0x00ff", "lines == 1 ? 0xffff"),
    ("include/cf_tile_quads.h", "again = count ? 4 - rest : 0", "again = count ? 3 - rest : 0"),
    ("kernels/cf_depthwise_conv2d_s8_mve.h", "quads + i / p->multiplier * 4", "quads + i * 4"),
]


@needs_qemu
@pytest.mark.parametrize(("file", "right", "broken"), BUGS, ids=[right for _, right, _ in BUGS])
def test_a_bug_is_caught(file: str, right: str, broken: str, tmp_path: Path) -> None:
    original = next(folder / Path(file).name for folder in bundle.include_dirs() if folder.name == Path(file).parts[0])
    text = original.read_text(encoding="utf-8")
    assert text.count(right) == 1
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / original.name).write_text(text.replace(right, broken), encoding="utf-8")
    assert wrong(cases(layers()[::4]), tmp_path, tmp_path / "include")
