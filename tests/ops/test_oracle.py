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
from oracles import hybrid_noise, needs_litert, needs_tflm, within_domain

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


def small(node: Node) -> bool:
    return node["x"].dtype in (DType.INT16, DType.INT32)


def is_integer(node: Node) -> bool:
    return not node.outputs[0].dtype.is_float


def is_int16(node: Node) -> bool:
    return node.outputs[0].dtype is DType.INT16


def divides_small(node: Node) -> bool:
    """Quotients whose last shift can be 32 or more."""
    return is_integer(node) and node["a"].q.s < 64 * node["b"].q.s * node["y"].q.s


FLOAT_ALONE = ("ceil", "cos", "exp", "floor", "log", "round", "sin", "sqrt", "square")

TFLM_UNABLE = (
    *(Unable(name, "no integers", is_integer) for name in (*FLOAT_ALONE, "neg")),
    *(Unable(name, "no such kernel") for name in ("gelu", "pow", "reduce_prod", "sign")),
    Unable("gather_nd", "no int16 and int32", lambda n: int_to(n, "int16", "int32")),
    Unable("reduce_min", "no int16", is_int16),
    Unable("select_v2", "not of these types", lambda n: int_to(n, "bool", "uint8", "int32")),
    Unable("*", "the wheel cannot set an input without dimensions", lambda n: any(
        not v.shape and not v.is_const for v in n.operands
    )),
    Unable("batch_to_space_nd", "no int16 and int32", small),
    Unable("cast", "no float16, uint8, uint16 and int64", lambda n: bool(
        types_of(n) & {DType.FLOAT16, DType.UINT8, DType.UINT16, DType.INT64}
    )),
    Unable("depth_to_space", "no int16 and int32", small),
    Unable("expand_dims", "no int32", lambda n: n["x"].dtype is DType.INT32),
    Unable("gather", "no int16 and int32", lambda n: n["x"].dtype in (DType.INT16, DType.INT32)),
    Unable("mirror_pad", "no int16 and int32", small),
    Unable("pad", "no more than 5 dimensions", lambda n: rank(n) > 5),
    Unable("quantize", "not between these types", lambda n: (n["x"].dtype.value, n["y"].dtype.value) in {
        ("float32", "uint8"), ("int16", "uint8"), ("int32", "int32"), ("int32", "uint8"),
        ("uint8", "int16"), ("uint8", "int32"), ("uint8", "uint8"),
    }),
    Unable("reduce_max", "no int16", lambda n: n["x"].dtype is DType.INT16),
    Unable("relu_n1_to_1", "no such kernel"),
    Unable("resize_bilinear", "no int16", lambda n: n["x"].dtype is DType.INT16),
    Unable("shape", "no int64", lambda n: int_to(n, "int64")),
    Unable("space_to_batch_nd", "no int16 and int32", small),
    Unable("space_to_depth", "no int16 and int32", small),
    Unable("strided_slice", "no more than 4 dimensions", lambda n: rank(n) > 4),
    Unable("tile", "no such kernel"),
    Unable("transpose", "no int32, no more than 5 dimensions", lambda n: n["x"].dtype is DType.INT32 or rank(n) > 5),
    Unable("transpose_conv", "no relu_n1_to_1 behind it", lambda n: n.op.attributes()["act"] == "relu_n1_to_1"),
)  # fmt: skip

LITERT_UNABLE = (
    *(Unable(name, "no integers", is_integer) for name in ("cos", "cumsum", "floor", "pow", "sign", "sin", "square")),
    *(Unable(name, "its reference resolver does not have it") for name in ("ceil", "round")),
    Unable("squared_difference", "no int16", is_int16),
    Unable("depth_to_space", "no int16", lambda n: n["x"].dtype is DType.INT16),
    Unable("elu", "its reference resolver does not have it"),
    Unable("pad", "no more than 5 dimensions", lambda n: rank(n) > 5),
    Unable("quantize", "not between these types", lambda n: (n["x"].dtype.value, n["y"].dtype.value) in {
        ("int16", "uint8"), ("int32", "int32"), ("int32", "uint8"), ("int8", "int32"), ("uint8", "int32"),
    }),
    Unable("space_to_depth", "no int16", lambda n: n["x"].dtype is DType.INT16),
    Unable("tile", "its reference resolver does not have version 3", lambda n: n["x"].dtype is DType.INT8),
)  # fmt: skip

TFLM_DIFFERS = (
    Unable("cumsum", "its sums begin with that of the stored 0", lambda n: is_integer(n) and n["x"].q.zp != 0),
    Unable("div", "its last shift is too wide for small quotients", divides_small),
    Unable("relu6", "it clamps the stored elements and ignores a new scale: LiteRT is followed", rescales),
    Unable(
        "space_to_batch_nd", "it pads with the stored element 0: LiteRT is followed, which pads with the real number",
        lambda n: n["y"].dtype is DType.INT8 and any(any(pad) for pad in n.op.attributes()["pads"])
    ),
)  # fmt: skip

LITERT_DIFFERS = (
    Unable(
        "*", "it quantizes the inputs of float layers with int8 weights as it runs: the definition does not",
        lambda n: n.op.name in LAYERS and is_float(n) and n["w"].dtype is DType.INT8
    ),
    Unable("div", "its last shift is too wide for small quotients", divides_small),
    Unable(
        "exp", "its table goes wrong where a step leaves the range by far",
        lambda n: is_int16(n) and n["x"].q.s > 0.01
    ),
    Unable("neg", "it negates the stored elements, whatever the zero points are", is_integer),
    Unable("sqrt", "it computes in float32 and cuts off", is_int16),
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
    if not REGISTRY[node.op.name].states:
        inputs = [within_domain(node, sample) for sample in inputs]
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
