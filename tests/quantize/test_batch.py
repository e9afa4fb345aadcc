"""Many samples at once: what one after the other would give, byte for byte in integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from chipfit.graph import Array, DType, Node
from chipfit.ops import REGISTRY, op_of, random_input
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.logistic import Logistic
from chipfit.quantize.batch import evaluate
from oracles import within_domain
from quantize.nets import Builder, normal

SAMPLES = 3
STATEFUL = {"read_variable", "assign_variable", "call_once", "var_handle"}


def nodes_of(name: str) -> list[Node]:
    """Those that read something, a few of each combination of types and constants."""
    found: dict[object, list[Node]] = {}
    for node in REGISTRY[name].samples(np.random.default_rng(3)):
        if not all(v.is_const for v in node.operands):
            kind = [(v.dtype, v.is_const) for v in (*node.operands, *node.outputs)]
            found.setdefault(tuple(kind), []).append(node)
    return [node for alike in found.values() for node in alike[:4]]


def one_by_one(node: Node, operands: Sequence[Array]) -> list[Array]:
    rows: list[tuple[Array, ...]] = []
    for sample in zip(*operands, strict=True):
        given = iter(sample)
        rows.append(op_of(node).evaluate(node, *(v.array if v.is_const else next(given) for v in node.operands)))
    return [np.stack(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("name", sorted(REGISTRY.keys() - STATEFUL))
def test_samples_at_once_are_samples_one_by_one(name: str) -> None:
    rng = np.random.default_rng(7)
    for node in nodes_of(name):
        computed = [v for v in node.operands if not v.is_const]
        samples = [within_domain(node, [random_input(rng, v.type) for v in computed]) for _ in range(SAMPLES)]
        operands = [np.stack(column) for column in zip(*samples, strict=True)]
        for value, y, expected in zip(node.outputs, evaluate(node, operands), one_by_one(node, operands), strict=True):
            assert (y.shape, y.dtype) == (expected.shape, value.dtype.numpy)
            if value.dtype.is_float:
                np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max(initial=1.0))
            else:
                np.testing.assert_array_equal(y, expected)


def test_every_byte_of_a_table() -> None:
    node = next(n for n in Logistic.samples(np.random.default_rng(0)) if n["x"].dtype is DType.INT8)
    size = node["x"].type.size
    x = np.resize(np.arange(-128, 128, dtype=np.int8), (max(1, -(-256 // size)), *node["x"].shape))
    np.testing.assert_array_equal(evaluate(node, [x])[0], one_by_one(node, [x])[0])


def test_weights_do_not_count_among_what_is_in_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A matrix of a million weights is multiplied by all rows at once, not by one after the other."""
    rng, b = np.random.default_rng(0), Builder(1, 1024)
    b.add("dense", FullyConnected(), b.x, normal(rng, 1024, 1024))
    rows: list[int] = []
    monkeypatch.setattr("chipfit.quantize.batch.activated", lambda _, sums: rows.append(len(sums)) or sums)
    evaluate(b.nodes[0], [normal(rng, 64, 1, 1024)])
    assert rows == [64]
