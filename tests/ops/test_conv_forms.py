"""Each form of requantization of the convolutions in C, on layers that would get a cheaper one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chipfit.graph import Node
from chipfit.ops import Kernel, _conv_forms
from chipfit.ops._conv_forms import LINE, PLAIN, TWO_LINES, Channel, Pair
from chipfit.ops.conv2d import Conv2D
from ops import test_kernels

FAST_KERNELS = ("cf_conv2d_s8_dsp", "cf_conv2d_s8_dsp_wide", "cf_conv2d_s8_dsp_direct")


@pytest.fixture(params=[LINE, TWO_LINES, PLAIN], ids=["line", "two lines", "plain"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """All channel pairs of a layer get this form; ``LINE``: they get what they need."""
    wanted: int = request.param

    def pair(a: Channel, b: Channel) -> Pair:
        need = max(wanted, a.form, b.form)
        return Pair(a, b, need if a.holds(need) and b.holds(need) else PLAIN)

    monkeypatch.setattr(_conv_forms, "_pair", pair)
    nodes = [node for node in Conv2D.samples(np.random.default_rng(5)) if node["x"].dtype.value == "int8"]
    monkeypatch.setattr(test_kernels, "nodes_of", lambda _name: nodes)  # pyright: ignore[reportUnknownLambdaType]
    monkeypatch.setattr(Conv2D, "candidates", _fast_candidates)
    return wanted


def _fast_candidates(op: Conv2D, node: Node) -> list[Kernel]:
    return [k for k in op.kernels if k.name in FAST_KERNELS and k.matches(node)]


@pytest.mark.usefixtures("form")
def test_on_host(tmp_path: Path) -> None:
    wrong = test_kernels.wrong_on_host("conv2d", frozenset({"dsp"}), tmp_path)
    assert not wrong, "\n".join(wrong[:5])


@pytest.mark.usefixtures("form")
def test_on_a_core_with_dsp(tmp_path: Path) -> None:
    test_kernels.test_kernels_on_emulated_cores("conv2d", "nucleo-l4r5zi", tmp_path)
