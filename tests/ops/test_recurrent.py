"""Recurrent layers beyond the generic tests: steps in pieces, layouts, roundings that hardly ever matter, checks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chipfit.emulate import HostLibrary, build_host_library
from chipfit.errors import ChipfitError
from chipfit.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from chipfit.graph import Array, DType, Graph, Node, Quant, TensorType, Value
from chipfit.interpret import evaluate
from chipfit.ops import REGISTRY, graph_of, make_node, op_of, random_input
from chipfit.ops._lstm import BIASES, HIDDEN_WEIGHTS, INPUT_WEIGHTS, lstm_scales
from chipfit.ops.unidirectional_sequence_lstm import UnidirectionalSequenceLstm
from ops import bundle
from ops.test_kernels import run_case

LSTM = "unidirectional_sequence_lstm"


def lstm_samples() -> list[Node]:
    return list(REGISTRY[LSTM].samples(np.random.default_rng(5)))


def with_types(node: Node, op: UnidirectionalSequenceLstm, **types: TensorType) -> Node:
    """The same layer with some other types of its inputs."""
    inputs: dict[str, Any] = {}
    for port in node.op.inputs:
        value = node[port]
        type_ = types.get(port, value.type)
        inputs[port] = type_ if value.data is None else (type_, value.data)
    return make_node(op, inputs, *((v.dtype, v.type.quant) for v in node.outputs))


def test_a_sequence_in_two_pieces() -> None:
    """State out of one call and into the next: the same as one call."""
    rng, seen = np.random.default_rng(6), 0
    for node in lstm_samples():
        op = node.op
        assert isinstance(op, UnidirectionalSequenceLstm)
        axis = 0 if op.time_major else 1
        steps = node["x"].shape[axis]
        if steps < 2:
            continue
        seen += 1
        x, h, c = (random_input(rng, node[port].type) for port in "xhc")
        weights = [node[port].array for port in node.op.inputs[1:-2]]
        whole = op.evaluate(node, x, *weights, h, c)
        outputs: list[Array] = []
        for piece in np.split(x, [1], axis=axis):
            part = with_types(node, op, x=replace(node["x"].type, shape=piece.shape))
            y, h, c = op.evaluate(part, piece, *weights, h, c)
            outputs.append(y)
        for got, expected in zip((np.concatenate(outputs, axis), h, c), whole, strict=True):
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
            else:
                np.testing.assert_array_equal(got, expected)
    assert seen > 20


def test_time_major_is_the_same_in_another_layout() -> None:
    rng = np.random.default_rng(6)
    for node in lstm_samples():
        op = node.op
        assert isinstance(op, UnidirectionalSequenceLstm)
        x, h, c = (random_input(rng, node[port].type) for port in "xhc")
        weights = [node[port].array for port in node.op.inputs[1:-2]]
        shape = (node["x"].shape[1], node["x"].shape[0], node["x"].shape[2])
        other = replace(op, time_major=not op.time_major)
        turned = with_types(node, other, x=replace(node["x"].type, shape=shape))
        y, hn, cn = op.evaluate(node, x, *weights, h, c)
        ours = other.evaluate(turned, np.ascontiguousarray(x.swapaxes(0, 1)), *weights, h, c)
        for got, expected in zip(ours, (y.swapaxes(0, 1), hn, cn), strict=True):
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
            else:
                np.testing.assert_array_equal(got, expected)


# ---------------------------------------------------------------------------------------------- products of gates


def constant_gates(units: int, biases: dict[str, Array], dtype: DType) -> Node:
    """A layer without weights: its gates are functions of its biases alone."""
    activation = TensorType((1, 1, 1), dtype, Quant.per_tensor(2.0**-7))
    one = Quant.per_tensor(2.0**-5)
    bias_dtype = np.int32 if dtype is DType.INT8 else np.int64
    inputs: dict[str, Any] = {"x": activation}
    for ports, columns in ((INPUT_WEIGHTS, 1), (HIDDEN_WEIGHTS, units)):
        for port in ports:
            inputs[port] = (TensorType((units, columns), DType.INT8, one), np.zeros((units, columns), np.int8))
    for port in BIASES:
        data = biases[port].astype(bias_dtype)
        inputs[port] = (TensorType((units,), DType.of(data), Quant.per_tensor(2.0**-12)), data)
    state = TensorType((1, units), dtype, Quant.per_tensor(2.0**-7 if dtype is DType.INT8 else 2.0**-15))
    cell = TensorType((1, units), DType.INT16, Quant.per_tensor(2.0**-12))
    kinds = ((dtype, state.quant), (dtype, state.quant), (DType.INT16, cell.quant))
    return make_node(UnidirectionalSequenceLstm(), {**inputs, "h": state, "c": cell}, *kinds)


@pytest.mark.parametrize("dtype", [DType.INT8, DType.INT16])
def test_products_that_lie_on_halves(dtype: DType, tmp_path: Path) -> None:
    """Forget gate * cell state just below, at and above each kind of half: random numbers hardly ever are there."""
    rng = np.random.default_rng(9)
    units = 60
    biases = {port: rng.integers(-9000, 9000, units) for port in BIASES}
    node = constant_gates(units, biases, dtype)
    x, h, zero = (np.zeros(node[p].shape, node[p].dtype.numpy) for p in "xhc")
    cases: list[bundle.Case] = []
    forget = forget_gates(node)
    for case in bundle.make_cases([node], bundle.ALL_FEATURES, seed=0, draws=1):
        for rest in ((1 << 14) - 2, (1 << 14) - 1, 1 << 14, (1 << 14) + 1):
            c = np.array([[cell_for(int(f), rest) for f in forget]], np.int16)
            for cell in (c, -c, zero):
                inputs = (x, h, cell)
                cases.append(replace(case, inputs=inputs, expected=evaluate(graph_of(node), inputs)))
    source = tmp_path / "bundle.c"
    source.write_text(bundle.bundle_source(cases))
    library = HostLibrary(build_host_library([source], bundle.include_dirs(), tmp_path / "bundle.so"))
    assert [text for case in cases if (text := run_case(library, case))] == []


def forget_gates(node: Node) -> Array:
    """Of a layer without weights, in units of 2**-15."""
    from chipfit.fixedpoint import logistic_of_scaled

    m, shift = lstm_scales(node).x[1]
    sums = multiply_by_quantized_multiplier(node["bf"].array.astype(np.int64), m, shift)
    return logistic_of_scaled(3 * np.clip(sums, -32768, 32767))


def cell_for(forget: int, rest: int) -> int:
    """A cell state whose product with an odd gate is ``rest`` modulo 2**15."""
    return rest * pow(forget | 1, -1, 1 << 15) % (1 << 15) if forget % 2 else rest


def test_scales_of_products_are_powers_of_two() -> None:
    """What the kernels take for granted: their multipliers are 2**30."""
    for node in lstm_samples():
        if node["x"].dtype.is_float:
            continue
        scales = lstm_scales(node)
        assert scales.forget == quantize_multiplier(2.0**-15) == (1 << 30, -14)
        assert scales.update[0] == 1 << 30
        assert scales.update[1] < 0


# ---------------------------------------------------------------------------------------------- checks


def refused(node: Node, code: str, words: str) -> None:
    with pytest.raises(ChipfitError, match=words) as caught:
        Graph("g", [v for v in node.operands if not v.is_const], list(node.outputs), [node]).verify()
    assert caught.value.code == code


def lstm_with(port: str, **fields: Any) -> Node:
    """The int8 sample of several units with another type at a port."""
    node = lstm_samples()[7]
    type_ = replace(node[port].type, **fields)
    for values, ports in ((node.inputs, node.op.inputs), (node.outputs, node.op.outputs)):
        if port in ports:
            at = ports.index(port)
            old: Any = values[at]
            data = None if old.data is None else np.zeros(type_.shape, type_.dtype.numpy)
            values[at] = Value(old.name, type_, data)
    return node


@pytest.mark.parametrize(
    ("port", "fields", "code", "words"),
    [
        ("wf", {"shape": (3, 4)}, "G003", "expected"),
        ("h", {"shape": (3,)}, "G003", "needs 2"),
        ("rg", {"dtype": DType.INT16}, "O002", "int16 elements in 'rg', expected int8"),
        ("bo", {"dtype": DType.INT64}, "O002", "int64 elements in 'bo', expected int32"),
        ("c", {"dtype": DType.INT8}, "O002", "int8 elements in 'c', expected int16"),
        ("c", {"quant": Quant.per_tensor(0.001)}, "O002", "other scales"),
        ("y", {"quant": Quant.per_tensor(0.01)}, "O002", "other scales"),
        ("wi", {"quant": Quant.per_tensor(0.01, 3)}, "O002", "zero point 3 in 'wi'"),
        ("wi", {"quant": Quant((0.1,) * 3, (0,) * 3, 0)}, "O002", "3 scales"),
    ],
)
def test_lstm_checks(port: str, fields: dict[str, Any], code: str, words: str) -> None:
    refused(lstm_with(port, **fields), code, words)


def test_cell_scale_that_is_no_power_of_two() -> None:
    node = lstm_samples()[7]
    for port, values, ports in (("c", node.inputs, node.op.inputs), ("cn", node.outputs, node.op.outputs)):
        type_ = replace(node[port].type, quant=Quant.per_tensor(0.0003))
        values[ports.index(port)] = Value(port, type_)
    refused(node, "O002", "scale 0.0003 in its cell state 'c', which must be a power of two")


def test_computed_weights() -> None:
    node = lstm_samples()[7]
    node.inputs[1] = Value("w", node["wi"].type)
    refused(node, "O002", "computed when the model runs")


@pytest.mark.parametrize(
    ("port", "fields", "code", "words"),
    [
        ("feature", {"shape": (4, 4)}, "G003", "expected"),
        ("state", {"shape": (1, 15)}, "G003", "expected"),
        ("w", {"dtype": DType.INT32}, "O002", "int32 weights in time"),
        ("state", {"dtype": DType.INT16}, "O002", "int16 elements in 'state', expected int8"),
        ("b", {"dtype": DType.INT64}, "O002", "int64 elements in 'b', expected int32"),
        ("next", {"quant": Quant.per_tensor(0.5)}, "O002", "another scale in 'next'"),
    ],
)
def test_svdf_checks(port: str, fields: dict[str, Any], code: str, words: str) -> None:
    node = [n for n in REGISTRY["svdf"].samples(np.random.default_rng(5)) if n["w"].dtype is DType.INT8][2]
    node.outputs[1].name = "next"
    for values, ports in ((node.inputs, node.op.inputs), (node.outputs, node.op.outputs)):
        if port in ports:
            at = ports.index(port)
            old: Any = values[at]
            type_ = replace(old.type, **fields)
            values[at] = Value(old.name, type_, None if old.data is None else np.zeros(type_.shape, type_.dtype.numpy))
    refused(node, code, words)


def test_svdf_result_that_wraps_around() -> None:
    """Clamped to 127 before the zero point 10 is added: 137 is -119 in int8, as in TFLite Micro."""
    kinds = {
        "x": TensorType((1, 1), DType.INT8, Quant.per_tensor(1.0)),
        "feature": (TensorType((1, 1), DType.INT8, Quant.per_tensor(1.0)), np.array([[100]], np.int8)),
        "w": (TensorType((1, 1), DType.INT8, Quant.per_tensor(1.0)), np.array([[1]], np.int8)),
        "b": (TensorType((1,), DType.INT32, Quant.per_tensor(1.0)), np.zeros(1, np.int32)),
        "state": TensorType((1, 1), DType.INT8, Quant.per_tensor(1.0, 10)),
    }
    one, state = Quant.per_tensor(1.0), Quant.per_tensor(1.0, 10)
    op: Any = REGISTRY["svdf"]
    node = make_node(op(), kinds, (DType.INT8, one), (DType.INT8, state))
    constants = [node[p].array for p in ("feature", "w", "b")]
    y, following = op_of(node).evaluate(node, np.array([[100]], np.int8), *constants, np.array([[0]], np.int8))
    assert (following.tolist(), y.tolist()) == ([[137 - 256]], [[-128]])
