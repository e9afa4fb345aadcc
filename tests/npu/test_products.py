"""Products in Vela's streams, next to ties: the multipliers of the reference."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from chipfit.exporters import to_tflite
from chipfit.graph import DType, Graph, Node, Quant, TensorType, Value
from chipfit.model import Model, load
from chipfit.npu import compile_for_npu, compile_with_vela
from chipfit.npu.execute import Executor, stacked
from chipfit.npu.products import exact_scales, with_exact_products
from chipfit.ops.mul import Mul
from chipfit.targets import Npu

pytestmark = pytest.mark.skipif(find_spec("ethosu") is None, reason="the ethos-u-vela package is not installed")

U55_128 = Npu("ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram")
SCALES = (0.00390625, 0.00901960302144289, 0.008912741206586361)
"""Vela's multiplier of these is 55 parts in 2**31 greater than that in double: 56 * 70 is on another side of a tie."""


def product(scales: tuple[float, float, float] = SCALES, dtype: DType = DType.INT8) -> Graph:
    a, b, y = (
        Value(name, TensorType((1, 64), dtype, Quant((float(np.float32(scale)),), (0,))))
        for name, scale in zip("aby", scales, strict=True)
    )
    return Graph("product", [a, b], [y], [Node(Mul(), [a, b], [y])])


def samples() -> tuple[tuple[np.ndarray, ...], ...]:
    """Factors whose product is 3920 or -3920, and others beside them."""
    factors = [(56, 70), (49, 80), (40, 98), (35, 112), (-56, 70), (56, -70), (-35, -112), (57, 70)]
    a, b = (np.array([pair[k] for pair in factors] * 8, np.int8).reshape(1, 64) for k in (0, 1))
    return ((a, b),)


def test_a_stream_gets_the_multipliers_of_the_reference() -> None:
    graph = product()
    made = compile_with_vela(to_tflite(graph), U55_128).tflite
    expected = Model(graph).run_samples(samples())[0]
    plain = Executor(load(made).graph).run(stacked(samples()))[0]
    assert np.count_nonzero(plain != expected) == 56
    exact, changed = with_exact_products(made, graph)
    assert changed == 1
    assert len(exact) == len(made)
    np.testing.assert_array_equal(Executor(load(exact).graph).run(stacked(samples()))[0], expected)


def test_compiling_for_a_board_says_so(tmp_path: Path) -> None:
    report = compile_for_npu(Model(product()), "corstone-300-u55-128", tmp_path / "out", samples=samples())
    assert (report.products, report.proof.differing) == (1, 0)


def test_streams_of_exact_scales_stay_as_vela_made_them() -> None:
    graph = product((0.5, 0.25, 0.125))
    made = compile_with_vela(to_tflite(graph), U55_128).tflite
    assert exact_scales(graph) == {}
    assert with_exact_products(made, graph) == (made, 0)


def test_products_that_vela_cannot_tell_apart_keep_its_multiplier() -> None:
    one, other = product(), product((SCALES[0], SCALES[1], float(np.nextafter(np.float32(SCALES[2]), np.float32(1)))))
    both = Graph("both", [], [], [*one.nodes, *other.nodes])
    alike = Graph("alike", [], [], [*one.nodes, *product().nodes])
    assert len(exact_scales(alike)) == 1
    assert len(exact_scales(both)) in (0, 2)
