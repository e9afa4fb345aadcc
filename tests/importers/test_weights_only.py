"""Files with small weights at float activations: read, written, and what LiteRT makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated

import chipfit
from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.graph import DType, Graph, Node, TensorType, Value
from chipfit.graph.text import print_graph
from chipfit.importers import load_tflite
from chipfit.interpret import evaluate
from chipfit.ops import REGISTRY, graph_of, random_input
from chipfit.ops._weights_only import has_small_weights
from chipfit.ops.dequantize import Dequantize
from chipfit.passes import float_weights
from oracles import hybrid_noise, litert_run, needs_litert, needs_tflm, tflm_run

schema: Any = schema_py_generated
LAYERS = ("conv2d", "depthwise_conv2d", "fully_connected")


def small_graphs(name: str, *, dequantize: bool) -> list[Graph]:
    """The samples with small weights; ``dequantize``: through a DEQUANTIZE."""
    graphs: list[Graph] = []
    for node in REGISTRY[name].samples(np.random.default_rng(0)):
        if not has_small_weights(node) or (name == "conv2d" and node.get("b") is None):
            continue
        w, y = node["w"], node["y"]
        if w.type.quant is not None and w.q.axis is not None and len(w.q.scale) == 1:
            continue  # a list of one scale is read as one
        real = Value("real", TensorType(w.shape, DType.FLOAT32))
        layer = Node(node.op, [real if v is w else v for v in node.inputs], [y])
        explicit = Graph(name, [node["x"]], [y], [Node(Dequantize(), [w], [real]), layer])
        graphs.append(explicit if dequantize else graph_of(node))
    return graphs


def int8_scales(graph: Graph) -> int:
    """Scales of int8 weights; 0 for others."""
    w = next(v for n in graph.nodes for v in n.operands if v.is_const)
    return len(w.q.scale) if w.dtype is DType.INT8 else 0


def inputs_of(graph: Graph) -> list[Any]:
    return [random_input(np.random.default_rng(3), v.type) for v in graph.inputs]


@needs_litert
@pytest.mark.parametrize("name", LAYERS)
def test_a_dequantize_comes_back_and_runs(name: str) -> None:
    same = 0
    for graph in small_graphs(name, dequantize=True):
        graph.verify()
        if name == "depthwise_conv2d" and graph.nodes[-1].get("b") is None:
            continue  # files have a bias of zeros: LiteRT needs one
        data = to_tflite(graph)
        again = load_tflite(data, name)
        if len(again.nodes) == len(graph.nodes):  # padding of its own becomes a PAD
            assert print_graph(again, data=True) == print_graph(graph, data=True)
            same += 1
        inputs = inputs_of(graph)
        for want, got in zip(evaluate(graph, inputs), litert_run(data, inputs), strict=True):
            np.testing.assert_allclose(got.reshape(want.shape), want, rtol=0, atol=1e-5 * np.abs(want).max())
    assert same > 4


@needs_litert
@pytest.mark.parametrize("name", LAYERS)
def test_a_hybrid_layer_comes_back_and_runs(name: str) -> None:
    """LiteRT quantizes its inputs: near, and not nearer than that."""
    for graph in small_graphs(name, dequantize=False):
        w = graph.nodes[0]["w"]
        if w.dtype is not DType.INT8:
            continue
        data = to_tflite(graph)
        again = load_tflite(data, name)
        if len(again.nodes) == 1 and (name != "depthwise_conv2d" or w.q.axis is not None):
            assert print_graph(again, data=True) == print_graph(graph, data=True)
        inputs = inputs_of(graph)
        (want,), (same,), (got,) = evaluate(graph, inputs), evaluate(again, inputs), litert_run(data, inputs)
        np.testing.assert_array_equal(want, same)
        np.testing.assert_allclose(got.reshape(want.shape), want, rtol=0, atol=hybrid_noise(graph.nodes[0], inputs[0]))


def test_one_scale_of_a_depthwise_layer_is_written_for_each_channel() -> None:
    node = next(
        g.nodes[0]
        for g in small_graphs("depthwise_conv2d", dequantize=False)
        if g.nodes[0]["w"].type.quant and g.nodes[0]["w"].q.axis is None and g.nodes[0]["w"].shape[3] > 1
    )
    graph = graph_of(node)
    q = load_tflite(to_tflite(graph), "g").nodes[0]["w"].q
    assert (q.axis, q.scale) == (3, node["w"].q.scale * node["w"].shape[3])


def edited(graph: Graph, dtype: int, **quantization: Any) -> bytes:
    """The file with another type and quantization of the tensor that holds the layer's weights."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(to_tflite(graph)))
    main = model.subgraphs[0]
    tensor = main.tensors[main.operators[0].inputs[1]]
    tensor.type = dtype
    for key, value in quantization.items():
        setattr(tensor.quantization, key, value)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def hybrid(name: str, *, per_channel: bool) -> Graph:
    for graph in small_graphs(name, dequantize=False):
        w = graph.nodes[0]["w"]
        if w.dtype is DType.INT8 and (w.q.axis is not None) == per_channel and w.type.size > 8:
            return graph
    raise AssertionError(name)


@needs_litert
def test_uint8_weights_of_old_files_are_int8() -> None:
    graph = hybrid("fully_connected", per_channel=False)
    data = edited(graph, schema.TensorType.UINT8)
    again = load_tflite(data, "g")
    assert again.nodes[0]["w"].type == graph.nodes[0]["w"].type
    np.testing.assert_array_equal(again.nodes[0]["w"].array, graph.nodes[0]["w"].array)
    inputs = inputs_of(graph)
    want, got = evaluate(again, inputs)[0], litert_run(data, inputs)[0]
    np.testing.assert_allclose(got.reshape(want.shape), want, rtol=0, atol=hybrid_noise(graph.nodes[0], inputs[0]))


@pytest.mark.parametrize("per_channel", [False, True])
def test_uint8_weights_of_another_meaning_are_refused(per_channel: bool) -> None:
    graph = hybrid("fully_connected", per_channel=per_channel)
    count = len(graph.nodes[0]["w"].q.scale)
    zeros = {} if per_channel else {"zeroPoint": np.full(count, 128)}
    with pytest.raises(ChipfitError, match="old uint8 quantization"):
        load_tflite(edited(graph, schema.TensorType.UINT8, **zeros), "g")


@needs_litert
def test_a_hybrid_model_of_a_converter(models_dir: Path) -> None:
    """Its reference is near LiteRT's with the weights in float32, and further from LiteRT's hybrid kernels."""
    model = chipfit.load(models_dir / "mlperf_kws_dscnn_f32.tflite")
    kinds = [n["w"].dtype for n in model.graph.nodes if n.op.name == "conv2d"]
    assert kinds == [DType.INT8] * 5
    assert model.source is not None
    inputs = [np.random.default_rng(5).normal(0, 10, (1, 49, 10, 1)).astype(np.float32)]
    (want,) = model.run(*inputs)
    (real,) = litert_run(to_tflite(float_weights(load_tflite(model.source, "m"))), inputs)
    np.testing.assert_allclose(real, want, rtol=0, atol=1e-5 * np.abs(want).max())
    (noisy,) = litert_run(model.source, inputs)
    assert 1e-5 < np.abs(noisy - want).max() < 0.05


@needs_tflm
@pytest.mark.parametrize("dequantize", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_tflite_micro_cannot_run_them(name: str, dequantize: bool) -> None:
    """It has no hybrid layers, none of float16; and a DEQUANTIZE of many scales takes the first, without a word."""
    for graph in small_graphs(name, dequantize=dequantize)[:6]:
        w, inputs = graph.nodes[0].operands[0 if dequantize else 1], inputs_of(graph)
        if dequantize and w.dtype is DType.INT8:
            if len(w.q.scale) < 2:
                continue
            (want,), (got,) = evaluate(graph, inputs), tflm_run(to_tflite(graph), inputs)
            assert np.abs(want - got.reshape(want.shape)).max() > 1e-4 * np.abs(want).max()
            continue
        with pytest.raises((RuntimeError, ValueError)):
            tflm_run(to_tflite(graph), inputs)


@needs_litert
@pytest.mark.parametrize("dequantize", [False, True])
def test_verify_passes(dequantize: bool) -> None:
    (graph, *_) = [g for g in small_graphs("conv2d", dequantize=dequantize) if int8_scales(g) > 1]
    model = chipfit.load(to_tflite(graph))
    assert has_small_weights(model.graph.nodes[0])
    report = model.verify(3, boards=("host", "nucleo-l4r5zi"))
    assert report.passed
    ran = {c.against for c in report.comparisons if not c.skipped}
    assert len(ran) == 3
    assert ("LiteRT, int8 weights as float32" in ran) == (not dequantize)
    assert {c.against for c in report.comparisons if c.skipped} == {"TFLite Micro"}
