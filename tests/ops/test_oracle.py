"""Every operator's definition against foreign reference kernels, over the same samples as the generic kernel tests.

Integers: byte for byte what TFLite Micro computes, or LiteRT's reference where TFLite Micro has no such kernel.
Floats: within 1e-5 of LiteRT's reference, relative to the greatest output. Every exception is in a table, with its
reason, and a test asks the wheel whether the reason still holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from chipfit import oracle
from chipfit.exporters import to_tflite
from chipfit.graph import Array, DType, Node
from chipfit.interpret import evaluate, initial_state
from chipfit.ops import REGISTRY, random_input, stateful_graph_of
from oracles import hybrid_noise, needs_litert, needs_tflm

DRAWS = 3
TOLERANCE = 1e-5
# state needs a graph around it: see tests/exporters/test_to_tflite.py
OPS = sorted(set(REGISTRY) - {"read_variable", "assign_variable"})
LAYERS = ("conv2d", "depthwise_conv2d", "fully_connected")


@dataclass(frozen=True)
class Unable:
    """Nodes that an interpreter cannot be asked about."""

    op: str
    """Name of the operator, or ``*``."""
    reason: str
    when: Callable[[Node], bool] = lambda node: True

    def holds(self, node: Node) -> bool:
        return self.op in ("*", node.op.name) and self.when(node)


def types_of(node: Node) -> set[DType]:
    return {node.operands[0].dtype, node.outputs[0].dtype}


def rank(node: Node) -> int:
    return len(node.operands[0].shape)


def int_to(node: Node, *names: str) -> bool:
    return node.outputs[0].dtype.value in names


def rescales(node: Node) -> bool:
    return not node.outputs[0].dtype.is_float and node["x"].type.quant != node["y"].type.quant


TFLM_UNABLE = (
    Unable("*", "the wheel cannot set an input without dimensions", lambda n: any(
        not v.shape and not v.is_const for v in n.operands
    )),
    Unable("cast", "no float16, uint8, uint16 and int64", lambda n: bool(
        types_of(n) & {DType.FLOAT16, DType.UINT8, DType.UINT16, DType.INT64}
    )),
    Unable("expand_dims", "no int32", lambda n: n["x"].dtype is DType.INT32),
    Unable("gather", "no int16 and int32", lambda n: n["x"].dtype in (DType.INT16, DType.INT32)),
    Unable("pad", "no more than 5 dimensions", lambda n: rank(n) > 5),
    Unable("quantize", "not between these types", lambda n: (n["x"].dtype.value, n["y"].dtype.value) in {
        ("float32", "uint8"), ("int16", "uint8"), ("int32", "int32"), ("int32", "uint8"),
        ("uint8", "int16"), ("uint8", "int32"), ("uint8", "uint8"),
    }),
    Unable("reduce_max", "no int16", lambda n: n["x"].dtype is DType.INT16),
    Unable("relu_n1_to_1", "no such kernel"),
    Unable("resize_bilinear", "no int16", lambda n: n["x"].dtype is DType.INT16),
    Unable("shape", "no int64", lambda n: int_to(n, "int64")),
    Unable("strided_slice", "no more than 4 dimensions", lambda n: rank(n) > 4),
    Unable("transpose", "no int32, no more than 5 dimensions", lambda n: n["x"].dtype is DType.INT32 or rank(n) > 5),
)  # fmt: skip

LITERT_UNABLE = (
    Unable("elu", "its reference resolver does not have it"),
    Unable("pad", "no more than 5 dimensions", lambda n: rank(n) > 5),
    Unable("quantize", "not between these types", lambda n: (n["x"].dtype.value, n["y"].dtype.value) in {
        ("int16", "uint8"), ("int32", "int32"), ("int32", "uint8"), ("int8", "int32"), ("uint8", "int32"),
    }),
)  # fmt: skip

TFLM_DIFFERS = (
    Unable("relu6", "it clamps the stored elements and ignores a new scale: LiteRT is followed", rescales),
)  # fmt: skip

LITERT_DIFFERS = (
    Unable(
        "*", "it quantizes the inputs of float layers with int8 weights as it runs: the definition does not",
        lambda n: n.op.name in LAYERS and is_float(n) and n["w"].dtype is DType.INT8
    ),
)  # fmt: skip


def reason_against(table: Sequence[Unable], node: Node) -> str | None:
    return next((u.reason for u in table if u.holds(node)), None)


@dataclass(frozen=True)
class Case:
    """A node as a model, with inputs and what its definition makes of them."""

    node: Node
    model: bytes
    inputs: list[list[Array]]
    expected: list[tuple[Array, ...]]

    def __str__(self) -> str:
        return f"{self.node.op}({', '.join(str(v.type) for v in self.node.operands)}) -> {self.node.outputs[0].type}"


def make_cases(name: str) -> list[Case]:
    rng = np.random.default_rng(7)
    return [make_case(node, rng) for node in REGISTRY[name].samples(rng)]


def make_case(node: Node, rng: np.random.Generator) -> Case:
    graph = stateful_graph_of(node)
    graph.verify()
    inputs = [[random_input(rng, v.type) for v in graph.inputs] for _ in range(DRAWS)]
    if node.op.name == "gather":
        size = node["x"].shape[node.op.attributes()["axis"]]
        inputs = [[x if i == 0 else x % size for i, x in enumerate(sample)] for sample in inputs]
    state = initial_state(graph)
    return Case(node, to_tflite(graph), inputs, [evaluate(graph, sample, state) for sample in inputs])


def difference(expected: Array, actual: Array) -> str | None:
    if (expected.dtype, expected.shape) != (actual.dtype, actual.shape):
        return f"{expected.dtype}{list(expected.shape)} became {actual.dtype}{list(actual.shape)}"
    if expected.dtype.kind != "f":
        wrong = int(np.count_nonzero(expected != actual))
        return f"{wrong} of {expected.size} elements differ" if wrong else None
    x, y = expected.astype(np.float64), actual.astype(np.float64)
    finite = np.abs(y[np.isfinite(y)])
    same = np.isclose(x, y, rtol=0.0, atol=TOLERANCE * finite.max(initial=0.0), equal_nan=True)
    return None if same.all() else f"greatest difference {np.abs(x - y).max()}"


def check(cases: Sequence[Case], run: Callable[[bytes, Sequence[Sequence[Array]]], list[list[Array]]]) -> None:
    wrong: list[str] = []
    for case in cases:
        for expected, actual in zip(case.expected, run(case.model, case.inputs), strict=True):
            for e, a in zip(expected, actual, strict=True):
                if (text := difference(e, a)) is not None:
                    wrong.append(f"{case}: {text}")
    assert not wrong, "\n".join(wrong[:5])


def is_float(node: Node) -> bool:
    return node.outputs[0].dtype.is_float


@needs_tflm
@pytest.mark.parametrize("name", OPS)
def test_integers_equal_tflite_micro(name: str) -> None:
    """Floats too, where LiteRT's reference lacks the operator."""
    cases = [
        c
        for c in make_cases(name)
        if (not is_float(c.node) or reason_against(LITERT_UNABLE, c.node))
        and reason_against((*TFLM_UNABLE, *TFLM_DIFFERS), c.node) is None
    ]
    if not cases:
        pytest.skip(f"TFLite Micro cannot run {name} on integers")
    check(cases, oracle.tflm_run)


@needs_litert
@pytest.mark.parametrize("name", OPS)
def test_the_rest_equals_litert(name: str) -> None:
    """Floats, and integers that TFLite Micro cannot run."""
    cases = [
        c
        for c in make_cases(name)
        if (is_float(c.node) or reason_against((*TFLM_UNABLE, *TFLM_DIFFERS), c.node))
        and reason_against((*LITERT_UNABLE, *LITERT_DIFFERS), c.node) is None
    ]
    if not cases:
        pytest.skip(f"all samples of {name} run on TFLite Micro")
    check(cases, oracle.litert_run)


def nodes_for(unable: Unable) -> list[Node]:
    names = OPS if unable.op == "*" else [unable.op]
    nodes = [node for name in names for node in REGISTRY[name].samples(np.random.default_rng(7))]
    return [node for node in nodes if unable.holds(node)][:3]


@needs_tflm
@pytest.mark.parametrize("unable", TFLM_UNABLE, ids=lambda u: f"{u.op}: {u.reason}")
def test_tflite_micro_is_still_unable(unable: Unable) -> None:
    nodes = nodes_for(unable)
    assert nodes, "no sample needs this exception any more"
    for node in nodes:
        case = make_case(node, np.random.default_rng(0))
        with pytest.raises((RuntimeError, ValueError)):
            oracle.tflm_run(case.model, case.inputs)


@needs_litert
@pytest.mark.parametrize("unable", LITERT_UNABLE, ids=lambda u: f"{u.op}: {u.reason}")
def test_litert_is_still_unable(unable: Unable) -> None:
    nodes = nodes_for(unable)
    assert nodes, "no sample needs this exception any more"
    for node in nodes:
        case = make_case(node, np.random.default_rng(0))
        with pytest.raises((RuntimeError, ValueError)):
            oracle.litert_run(case.model, case.inputs)


@needs_tflm
@pytest.mark.parametrize("unable", TFLM_DIFFERS, ids=lambda u: f"{u.op}: {u.reason}")
def test_tflite_micro_still_differs(unable: Unable) -> None:
    cases = [make_case(node, np.random.default_rng(0)) for node in nodes_for(unable)]
    assert cases, "no sample needs this exception any more"
    with pytest.raises(AssertionError):
        check(cases, oracle.tflm_run)


@needs_litert
@pytest.mark.parametrize("name", LAYERS)
def test_litert_still_differs_by_the_noise_of_its_inputs(name: str) -> None:
    """And by no more: a wrong scale, a wrong bias or swapped weights would be far off."""
    differing = 0
    for node in (n for n in REGISTRY[name].samples(np.random.default_rng(7)) if LITERT_DIFFERS[0].holds(n)):
        case = make_case(node, np.random.default_rng(0))
        for x, e, a in zip(case.inputs, case.expected, oracle.litert_run(case.model, case.inputs), strict=True):
            assert np.abs(e[0] - a[0].reshape(e[0].shape)).max() <= hybrid_noise(node, x[0]), str(case)
            differing += difference(e[0], a[0]) is not None
    assert differing
