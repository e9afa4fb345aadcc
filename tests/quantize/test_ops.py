"""Every operator that has an int8 form: quantized, near the float model; exported, the same bytes everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from chipfit import oracle
from chipfit.exporters import to_tflite
from chipfit.graph import Array, DType, Graph, Node
from chipfit.graph.text import print_graph
from chipfit.importers import load_tflite
from chipfit.interpret import evaluate
from chipfit.ops import REGISTRY, graph_of, random_input
from chipfit.quantize import parse_recipe, quantize_graph, samples_of
from chipfit.quantize.parameters import dequantize_array, quantize_array
from chipfit.quantize.prepare import ports_of
from chipfit.recurrent import unroll
from ops.test_oracle import LITERT_DIFFERS as LITERT_DIFFERS_BY_NODE
from ops.test_oracle import LITERT_UNABLE, TFLM_DIFFERS, TFLM_UNABLE, reason_against
from oracles import needs_litert, needs_tflm, within_domain

SAMPLES = 12
STATEFUL = {"read_variable", "assign_variable"}
LITERT_DIFFERS = {"abs", "div", "fully_connected", "logistic", "sum"}
"""The operators' docstrings say how."""
JUMPS = {"ceil", "floor", "round", "sign"}
"""The rounding of an input near a jump is the jump."""


def float_nodes(name: str) -> list[Node]:
    nodes = REGISTRY[name].samples(np.random.default_rng(3))
    return [n for n in nodes if _is_float(n) and all(role for _, role in ports_of(n)) and _has_integer_form(n)][:4]


def _has_integer_form(node: Node) -> bool:
    """The power of two computed tensors has none."""
    return node.op.name != "pow" or any(v.is_const and v.type.size == 1 for v in node.operands)


def _is_float(node: Node) -> bool:
    first = node.operands[0]
    return first.dtype is DType.FLOAT32 and all(
        v.type.quant is None and v.dtype is not DType.FLOAT16 for v in node.operands
    )


OPS = sorted(
    name
    for name, op in REGISTRY.items()
    if (op.quant.rest or op.quant.ports) and name not in STATEFUL and float_nodes(name)
)


def quantized(node: Node, recipe: str = "int8") -> tuple[Graph, list[list[Array]], list[list[Array]]]:
    """The integer graph of a node, float inputs, and the same as the graph takes them (indices stay)."""
    graph, rng = graph_of(node), np.random.default_rng(5)
    inputs = [[random_input(rng, v.type) for v in graph.inputs] for _ in range(SAMPLES)]
    inputs = [within_domain(node, sample) for sample in inputs]
    result = quantize_graph(graph, samples_of(inputs, graph.inputs), parse_recipe(recipe)).graph
    stored = [
        [
            x if v.type.quant is None else quantize_array(x, v.q, v.dtype)
            for x, v in zip(sample, result.inputs, strict=True)
        ]
        for sample in inputs
    ]
    return result, inputs, stored


def test_most_operators_have_an_int8_form() -> None:
    """Neither the list of operators nor that of float samples has dried up."""
    assert {"conv2d", "depthwise_conv2d", "fully_connected", "add", "mul", "concatenation", "softmax", "mean"} <= set(
        OPS
    )
    assert len(OPS) > 30


@pytest.mark.parametrize(("recipe", "share"), [("int8", 0.04), ("int16x8", 0.02)])
@pytest.mark.parametrize("name", OPS)
def test_near_the_float_model(name: str, recipe: str, share: float) -> None:
    if recipe == "int16x8" and not REGISTRY[name].quant.int16:
        pytest.skip(f"{name} has no int16 form")
    if name in JUMPS:
        pytest.skip(f"{name} is not continuous")
    for node in float_nodes(name):
        graph, inputs, stored = quantized(node, recipe)
        assert all(v.dtype is not DType.FLOAT32 for v in graph.values())
        for sample, given in zip(inputs, stored, strict=True):
            for value, expected, actual in zip(
                graph.outputs, evaluate(graph_of(node), sample), evaluate(graph, given), strict=True
            ):
                if value.type.quant is None:
                    continue
                error = np.abs(dequantize_array(actual, value.q) - expected).max(initial=0.0)
                reach = np.abs(expected).max(initial=0.0)
                assert error <= 2.5 * value.q.s + share * reach, (node, error, value.q)


@pytest.mark.parametrize("name", OPS)
def test_the_file_gives_the_graph_back(name: str) -> None:
    for node in float_nodes(name):
        graph, _, stored = quantized(node)
        once = load_tflite(to_tflite(graph), graph.name)
        twice = load_tflite(to_tflite(once), graph.name)
        assert print_graph(once, data=True) == print_graph(twice, data=True)
        for expected, actual in zip(evaluate(graph, stored[0]), evaluate(once, stored[0]), strict=True):
            np.testing.assert_array_equal(expected, actual)


def assert_same(mine: Sequence[Array], its: Sequence[Array]) -> None:
    for expected, actual in zip(mine, its, strict=True):
        np.testing.assert_array_equal(expected, actual)


@needs_tflm
@needs_litert
@pytest.mark.parametrize("name", OPS)
def test_foreign_interpreters_give_the_same_bytes(name: str) -> None:
    for node in float_nodes(name):
        graph, _, stored = quantized(node)
        model, main = to_tflite(graph), graph.nodes[-1]
        expected = [evaluate(graph, sample) for sample in stored[:3]]
        if reason_against((*TFLM_UNABLE, *TFLM_DIFFERS), main) is None:
            for mine, its in zip(expected, oracle.tflm_run(model, stored[:3]), strict=True):
                assert_same(mine, its)
        names = {n.op.name for n in unroll(graph).nodes}
        if reason_against((*LITERT_UNABLE, *LITERT_DIFFERS_BY_NODE), main) is None and not names & LITERT_DIFFERS:
            for mine, its in zip(expected, oracle.litert_run(model, stored[:3]), strict=True):
                assert_same(mine, its)
