"""Convolutions row by row: slices of a layer share its constants, which are made once."""

from __future__ import annotations

import numpy as np
import pytest

from chipfit.graph import Node
from chipfit.ops import Const, Kernel, Scratch, _conv_forms, op_of
from chipfit.ops._prepared import prepared
from chipfit.ops.conv2d import Conv2D

FEATURES = frozenset({"dsp"})
FAST = {k.title for k in Conv2D.kernels if k.name.startswith("cf_conv2d_s8_dsp") and not k.compact}


def nodes() -> list[Node]:
    """Single images on int8."""
    samples = Conv2D.samples(np.random.default_rng(7))
    return [n for n in samples if n["x"].dtype.value == "int8" and n["x"].shape[0] == 1]


def fast_kernels(node: Node) -> list[Kernel]:
    """Those of cores with DSP instructions that are made for speed."""
    kernels = [k for k in op_of(node).candidates(node) if k.title in FAST]
    return [k for k in kernels if k.reason_against(node, FEATURES, 100.0) is None]


def rows_of(node: Node, padded: bool) -> list[Node]:
    return [op_of(node).slice_rows(node, row, 1, padded) for row in range(node["y"].shape[1])]


def constants(kernel: Kernel, node: Node) -> tuple[list[bytes], int]:
    """Data of all constants, and bytes of scratch."""
    made = (kernel.call or op_of(node).call)(node)
    calls = made if isinstance(made, list) else [made]
    args = [arg for call in calls for arg in call.args]
    data = [arg.data.tobytes() for arg in args if isinstance(arg, Const)]
    return data, sum(arg.nbytes for arg in args if isinstance(arg, Scratch))


@pytest.mark.parametrize("padded", [True, False])
def test_rows_have_the_constants_of_the_layer(padded: bool) -> None:
    seen: set[str] = set()
    for node in nodes():
        for kernel in fast_kernels(node):
            data, scratch = constants(kernel, node)
            for row in rows_of(node, padded):
                of_row, scratch_of_row = constants(kernel, row)
                assert of_row == data
                assert scratch_of_row <= scratch
            seen.add(kernel.title)
    assert seen == FAST


def test_rows_are_proven_once(monkeypatch: pytest.MonkeyPatch) -> None:
    node = nodes()[1]
    kernel = fast_kernels(node)[-1]
    proofs: list[int] = []
    pair = _conv_forms._pair  # pyright: ignore[reportPrivateUsage]

    def count(a: _conv_forms.Channel, b: _conv_forms.Channel) -> _conv_forms.Pair:
        proofs.append(1)
        return pair(a, b)

    monkeypatch.setattr(_conv_forms, "_pair", count)
    constants(kernel, node)
    assert proofs
    once = len(proofs)
    for row in rows_of(node, True):
        constants(kernel, row)
    assert len(proofs) == once


def test_prepared_knows_other_weights_from_the_same() -> None:
    first, second = nodes()[1], nodes()[1]
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return len(made)

    assert prepared(first, "count", make) == 1
    assert prepared(first, "count", make) == 1
    assert prepared(rows_of(first, True)[0], "count", make) == 1
    assert prepared(first, "another", make) == 2
    assert prepared(second, "count", make) == 3
    first["w"].data = first["w"].array.copy()
    assert prepared(first, "count", make) == 4
