"""ONNX models for tests, made of nodes, and their comparison with onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from chipfit.graph import Array, Graph
from chipfit.importers import load_graph
from chipfit.interpret import evaluate
from chipfit.passes import PIPELINE

TOLERANCE = 1e-4
"""Relative to the greatest output: the most by which float32 sums in another order may differ."""

onnx: Any = pytest.importorskip("onnx", reason="the package onnx is not installed")
H: Any = onnx.helper

Feed = Mapping[str, Array]


def runtime_or_skip() -> Any:
    """onnxruntime; the tests of the module are skipped where it is missing."""
    return pytest.importorskip("onnxruntime", reason="onnxruntime, which is compared with, is not installed")


def node(op: str, inputs: str, outputs: str, domain: str = "", **attributes: Any) -> Any:
    """A node; names are separated by blanks, ``-`` is an input that is left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return H.make_node(op, names, outputs.split(), domain=domain, name=f"{op}_{outputs.split()[0]}", **attributes)


def model(
    nodes: Sequence[Any],
    inputs: Mapping[str, Sequence[Any]],
    constants: Mapping[str, Any],
    outputs: Sequence[str],
    opset: int = 17,
    types: Mapping[str, Any] | None = None,
) -> Any:
    """A ModelProto. ``types``: numpy types of inputs and outputs that are not float32."""
    kinds = {name: H.np_dtype_to_tensor_dtype(np.dtype(t)) for name, t in (types or {}).items()}

    def info(name: str, shape: Sequence[Any] | None) -> Any:
        return H.make_tensor_value_info(name, kinds.get(name, onnx.TensorProto.FLOAT), shape)

    graph = H.make_graph(
        list(nodes),
        "net",
        [info(name, shape) for name, shape in inputs.items()],
        [info(name, None) for name in outputs],
        [onnx.numpy_helper.from_array(np.asarray(data), name) for name, data in constants.items()],
    )
    domains = [H.make_opsetid("", opset), H.make_opsetid("com.microsoft", 1), H.make_opsetid("ai.onnx.ml", 3)]
    return H.make_model(graph, opset_imports=domains, ir_version=8 if opset < 19 else 10)


def feeds(proto: Any, seed: int = 0) -> dict[str, Array]:
    """Random inputs: normal reals, integers of the type's range that both can represent."""
    rng = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    names = {tensor.name for tensor in proto.graph.initializer}
    for info in proto.graph.input:
        if info.name in names:
            continue
        shape = [d.dim_value or 1 for d in info.type.tensor_type.shape.dim]
        dtype = H.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        if dtype == np.bool_:
            found[info.name] = rng.integers(0, 2, shape).astype(dtype)
        elif dtype.kind in "iu":
            low, high = (0, 5) if dtype.itemsize > 2 else (np.iinfo(dtype).min, np.iinfo(dtype).max + 1)
            found[info.name] = rng.integers(low, high, shape).astype(dtype)
        else:
            found[info.name] = rng.normal(0, 1, shape).astype(dtype)
    return found


def wanted(proto: Any, given: Feed) -> list[Array]:
    """What onnxruntime says, without any optimization of its own."""
    runtime = runtime_or_skip()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = runtime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(y) for y in session.run(None, dict(given))]


def outputs_of(graph: Graph, given: Feed) -> list[Array]:
    return list(evaluate(graph, [given[v.name].astype(v.dtype.numpy) for v in graph.inputs]))


def close(found: Sequence[Array], expected: Sequence[Array], tolerance: float = TOLERANCE) -> None:
    assert len(found) == len(expected)
    for y, e in zip(found, expected, strict=True):
        assert y.shape == e.shape
        limit = tolerance * max(1e-3, float(np.max(np.abs(e.astype(np.float64)), initial=0.0)))
        np.testing.assert_allclose(y.astype(np.float64), e.astype(np.float64), rtol=0, atol=limit)


def check(proto: Any, given: Feed | None = None, tolerance: float = TOLERANCE) -> Graph:
    """The graph of the model, before and behind the pipeline as onnxruntime computes it."""
    given = feeds(proto) if given is None else given
    expected = wanted(proto, given)
    graph = load_graph(proto)
    assert [v.name for v in graph.inputs] == list(given)
    close(outputs_of(graph, given), expected, tolerance)
    PIPELINE.run(graph)
    close(outputs_of(graph, given), expected, tolerance)
    return graph


def one(
    op: str,
    *shapes: Sequence[int],
    constants: Sequence[Any] = (),
    outputs: str = "y",
    opset: int = 17,
    domain: str = "",
    types: Mapping[str, Any] | None = None,
    **attributes: Any,
) -> Any:
    """A model of one node: inputs of these shapes, then constants (None: left out)."""
    inputs = {f"x{i}": shape for i, shape in enumerate(shapes)}
    named = {f"c{i}": data for i, data in enumerate(constants) if data is not None}
    names = [*inputs, *(f"c{i}" if data is not None else "-" for i, data in enumerate(constants))]
    nodes = [node(op, " ".join(names), outputs, domain, **attributes)]
    return model(nodes, inputs, named, outputs.split(), opset, types)


def random(*shape: int, seed: int = 3, scale: float = 0.5) -> Array:
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


def integers(*numbers: int) -> Array:
    return np.array(numbers, np.int64)
