"""DEPTHWISE_CONV_2D on cores with DSP instructions: forms with less scratch, and images computed row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chipfit.emulate import HostLibrary, build_host_library
from chipfit.graph import DType, Node, Quant, TensorType, Value
from chipfit.ops import REGISTRY, Call, Const, Kernel, Scratch, op_of
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from ops import bundle
from ops.test_kernels import run_case

DSP = frozenset({"dsp"})


def layers() -> list[Node]:
    nodes = REGISTRY["depthwise_conv2d"].samples(np.random.default_rng(0))
    return [node for node in nodes if node["x"].dtype.value == "int8"]


def kernels(node: Node, features: frozenset[str] = DSP) -> list[Kernel]:
    """The kernels of the node that read lines of planes, in all their forms."""
    lines = [k for k in op_of(node).candidates(node) if k.name.startswith("cf_depthwise_conv2d_s8_dsp")]
    return [k for k in lines if not k.compact and k.reason_against(node, features) is None]


def first_forms(node: Node, features: frozenset[str] = DSP) -> list[Kernel]:
    """Those of them with the largest bands."""
    return [k for k in kernels(node, features) if not k.form]


def call_of(kernel: Kernel, node: Node) -> Call:
    assert kernel.call is not None
    call = kernel.call(node)
    assert isinstance(call, Call)
    return call


def scratch_of(call: Call) -> int:
    return sum(arg.nbytes for arg in call.args if isinstance(arg, Scratch))


def rows_of(node: Node, padded: bool) -> list[Node]:
    """The node of each output row; none where it is not computed row by row."""
    op = op_of(node)
    if isinstance(op.rows(node), str):
        return []
    return [op.slice_rows(node, r, 1, padded) for r in range(node["y"].shape[1])]


def images_by_rows() -> Iterator[tuple[Node, Kernel, list[Node]]]:
    for node in layers():
        for kernel in first_forms(node):
            for padded in (False, True):
                if rows := rows_of(node, padded):
                    yield node, kernel, rows


def wrong_on_host(cases: list[bundle.Case], folder: Path) -> list[str]:
    source = folder / "bundle.c"
    source.write_text(bundle.bundle_source(cases))
    library = HostLibrary(build_host_library([source], bundle.include_dirs(), folder / "bundle.so"))
    return [text for case in cases if (text := run_case(library, case)) is not None]


def test_each_form_takes_less_scratch_than_the_one_before() -> None:
    seen: set[str] = set()
    for node in layers():
        by_name: dict[str, list[Kernel]] = {}
        for kernel in kernels(node):
            by_name.setdefault(kernel.name, []).append(kernel)
        for forms in by_name.values():
            sizes = [scratch_of(call_of(k, node)) for k in forms]
            assert sizes == sorted(set(sizes), reverse=True), (node, forms)
            speeds = [k.per_mac or 0 for k in forms]
            assert speeds == sorted(set(speeds)), forms
            seen |= {k.form for k in forms}
    assert {"", "2 KiB", "1 KiB", "single lines", "single channels"} <= seen


def test_all_rows_share_their_constants_and_differ_in_variables_alone() -> None:
    """What a program keeps in variables: lines there are, and lines of padding. All else is in its instructions."""
    varied: set[str] = set()
    for node, kernel, rows in images_by_rows():
        calls = [call_of(kernel, row) for row in rows]
        tables = {arg.data.tobytes() for call in calls for arg in call.args if isinstance(arg, Const)}
        assert len(tables) == 1, node
        assert len({scratch_of(call) for call in calls}) == 1, node
        varied |= {key for call in calls for key, value in call.params.items() if value != calls[0].params[key]}
    assert varied == {"lines", "pad"}


def test_tables_are_made_once_for_all_rows() -> None:
    for node, kernel, rows in images_by_rows():
        assert all(row["w"] is node["w"] for row in rows)
        made = [arg.data for row in rows for arg in call_of(kernel, row).args if isinstance(arg, Const)]
        assert all(data is made[0] for data in made)


@pytest.mark.parametrize("padded", [False, True])
def test_rows_on_host(padded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first row, one in the middle and the last one, each as a layer of its own."""
    nodes: list[Node] = []
    for node in layers():
        rows = rows_of(node, padded)
        nodes += [rows[r] for r in sorted({0, len(rows) // 2, len(rows) - 1})] if rows and kernels(rows[0]) else []
    monkeypatch.setattr(bundle, "usable_kernels", first_forms)
    assert not wrong_on_host(bundle.make_cases(nodes, DSP, seed=4, draws=1), tmp_path)


def test_bands_from_the_last_to_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same outputs backward, in every form that has several bands."""

    def usable(node: Node, features: frozenset[str]) -> list[Kernel]:
        able = kernels(node, features)
        return [backward(k) for k in able if (t := k.steps(node, backward=True)) is not None and len(t.writes[0]) > 1]

    def backward(kernel: Kernel) -> Kernel:
        def call(node: Node) -> Call:
            made = call_of(kernel, node)
            return replace(made, params={**made.params, "backward": 1})

        return replace(kernel, call=call, traversal=None)  # the output lies apart from the input

    nodes = [node for node in layers() if usable(node, DSP)]
    monkeypatch.setattr(bundle, "usable_kernels", usable)
    assert not wrong_on_host(bundle.make_cases(nodes, DSP, seed=5, draws=1), tmp_path)


@pytest.mark.parametrize(("height", "width", "is_small"), [(2, 2, True), (3, 3, False), (1, 4, False)])
def test_few_pixels_do_not_pay_for_weights_laid_out_for_speed(height: int, width: int, is_small: bool) -> None:
    """A layer that is not to share its body takes the compact kernel all the same, unless speed may cost flash."""
    op = DepthwiseConv2D(pad=(1, 1, 1, 1))
    x = Value("x", TensorType((1, height, width, 8), DType.INT8, Quant.per_tensor(0.1, 0)))
    weights = np.ones((1, 3, 3, 8), np.int8)
    w = Value("w", TensorType(weights.shape, DType.INT8, Quant((0.1,) * 8, (0,) * 8, 3)), weights)
    b = Value("b", TensorType((8,), DType.INT32, Quant((0.01,) * 8, (0,) * 8, 0)), np.zeros(8, np.int32))
    y = Value("y", TensorType((1, height, width, 8), DType.INT8, Quant.per_tensor(0.1, 0)))
    node = Node(op, [x, w, b], [y])
    assert op_of(node).choose(node, DSP).kernel.name.endswith("_small") == is_small
    assert not op_of(node).choose(node, DSP, 4.0).kernel.name.endswith("_small")
