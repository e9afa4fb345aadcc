"""Files as old and foreign converters write them load, quantize and export like any other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated

from chipfit import load
from chipfit.demo import model_path
from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.graph.text import print_graph
from chipfit.importers import load_graph, load_tflite
from chipfit.quantize import Recipe, quantize_graph, samples_of
from oracles import litert_run, needs_litert, needs_tflm, tflm_run

schema: Any = schema_py_generated
STRING = 5


def no_signature(model: Any) -> None:
    model.signatureDefs = model.metadata = model.description = None


def deprecated_codes_only(model: Any) -> None:
    """As before operator codes had 32 bits."""
    for code in model.operatorCodes:
        code.deprecatedBuiltinCode, code.builtinCode = max(code.deprecatedBuiltinCode, code.builtinCode), 0


def empty_buffers(model: Any) -> None:
    """Every tensor that is computed has a buffer of its own, without bytes in it."""
    for tensor in model.subgraphs[0].tensors:
        if model.buffers[tensor.buffer].data is None:
            model.buffers.append(schema.BufferT())
            model.buffers[-1].data = b""
            tensor.buffer = len(model.buffers) - 1


def orphan_tensors(model: Any) -> None:
    """Tensors that nobody makes and nobody reads: what an optimizer left behind."""
    tensors = model.subgraphs[0].tensors
    for shape, kind, name in (
        ([1, 3], schema.TensorType.FLOAT32, tensors[0].name),
        ([0], schema.TensorType.INT32, "empty"),
        ([2, -1], schema.TensorType.FLOAT32, "dynamic"),
        ([1], STRING, None),
    ):
        orphan = schema.TensorT()
        orphan.shape, orphan.type, orphan.name, orphan.buffer = shape, kind, name, 0
        tensors.append(orphan)


def all_of_it(model: Any) -> None:
    for change in (no_signature, deprecated_codes_only, empty_buffers, orphan_tensors):
        change(model)


def changed(change: Callable[[Any], None]) -> bytes:
    model = schema.ModelT.InitFromPackedBuf(model_path("float32").read_bytes())
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


CHANGES = (no_signature, deprecated_codes_only, empty_buffers, orphan_tensors, all_of_it)


@pytest.mark.parametrize("change", CHANGES)
def test_the_network_is_the_same(change: Callable[[Any], None]) -> None:
    graph = load_tflite(changed(change), "m")
    ports = [v.name for v in (*graph.inputs, *graph.outputs)]
    assert len(set(ports)) == len(ports)
    original = load_graph(model_path("float32"), "m")
    # without a signature its names are those of the tensors
    for value, other in zip((*graph.inputs, *graph.outputs), (*original.inputs, *original.outputs), strict=True):
        value.name = other.name
    assert print_graph(graph, data=True) == print_graph(original, data=True)


def behind_the_tables(beyond: int = 0) -> bytes:
    """The file with all elements behind the tables, where files of more than 2 GB have them."""
    elements = bytearray()
    model = schema.ModelT.InitFromPackedBuf(model_path("float32").read_bytes())

    def packed(start: int) -> bytes:
        at = start
        for buffer, data in stored:
            buffer.data, buffer.offset, buffer.size = None, at, len(data) + beyond
            at += len(data)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    stored = [(b, bytes(b.data)) for b in model.buffers if b.data is not None and len(b.data)]
    for _, data in stored:
        elements += data
    # offsets have a fixed size: the tables are as long with the true ones
    return packed(len(packed(1 << 20))) + bytes(elements)


def test_elements_behind_the_tables() -> None:
    graph, original = load_tflite(behind_the_tables(), "m"), load_graph(model_path("float32"), "m")
    assert print_graph(graph, data=True) == print_graph(original, data=True)
    with pytest.raises(ChipfitError, match="ends at byte"):
        load_tflite(behind_the_tables(beyond=1 << 20), "m")


@needs_tflm
@needs_litert
def test_it_can_be_quantized() -> None:
    model = load(changed(all_of_it))
    x = np.random.default_rng(0).uniform(0, 1, (16, *model.graph.inputs[0].shape[1:])).astype(np.float32)
    graph = quantize_graph(model.graph, samples_of(x, model.graph.inputs), Recipe(steps=frozenset())).graph
    written = to_tflite(graph)
    again = load(written)
    assert {v.dtype.value for n in again.graph.nodes for v in n.outputs} == {"int8"}
    sample = model.samples(1)[0]
    stored = np.clip(np.rint(sample[0] / graph.inputs[0].q.s) + graph.inputs[0].q.zp, -128, 127).astype(np.int8)
    expected = again.run(stored)[0]
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(tflm_run(written, [stored])[0], expected)
    np.testing.assert_array_equal(litert_run(written, [stored])[0], expected)
