"""What a file says besides the network: the names of its signature, and metadata."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import interpreter, schema_py_generated

from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.graph import DType, Graph, Node, TensorType, Value
from chipfit.importers import load_graph, load_tflite, tflite_attached
from chipfit.ops import REGISTRY

schema: Any = schema_py_generated
litert: Any = interpreter


def two_inputs() -> Graph:
    """p = relu(sum), sum = left + right; both are outputs."""
    left, right, total, p = (Value(n, TensorType((1, 4), DType.FLOAT32)) for n in ("left:0", "right:0", "sum", "p"))
    nodes = [Node(REGISTRY["add"](), [left, right], [total]), Node(REGISTRY["relu"](), [total], [p])]
    return Graph("g", [left, right], [p, total], nodes)


def with_signatures(change: Callable[[Any], None]) -> bytes:
    model = schema.ModelT.InitFromPackedBuf(to_tflite(two_inputs()))
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def renamed(names: dict[str, str], key: str = "serving_default") -> Callable[[Any], None]:
    def change(model: Any) -> None:
        signature = model.signatureDefs[0]
        signature.signatureKey = key
        for entry in (*signature.inputs, *signature.outputs):
            entry.name = names.get(entry.name.decode(), entry.name)
        signature.inputs.reverse()

    return change


def names_of(values: Sequence[Value]) -> list[str]:
    return [v.name for v in values]


def test_a_written_model_is_called_by_the_names_of_its_graph() -> None:
    model = litert.Interpreter(model_content=to_tflite(two_inputs()))
    run = model.get_signature_runner("serving_default")
    x = np.arange(-2, 2, dtype=np.float32).reshape(1, 4)
    outputs = run(**{"left:0": x, "right:0": x + 1})
    np.testing.assert_array_equal(outputs["sum"], 2 * x + 1)
    np.testing.assert_array_equal(outputs["p"], np.maximum(2 * x + 1, 0))


def test_the_signature_names_inputs_and_outputs() -> None:
    data = with_signatures(renamed({"left:0": "left", "right:0": "right", "p": "sum", "sum": "total"}))
    graph = load_tflite(data, "g")
    # its order is another one, and one name belongs to an inner tensor, too
    assert names_of(graph.inputs) == ["left", "right"]
    assert names_of(graph.outputs) == ["sum", "total"]
    again = load_tflite(to_tflite(graph), "g")
    assert (names_of(again.inputs), names_of(again.outputs)) == (["left", "right"], ["sum", "total"])


def test_a_number_is_no_better_than_a_word() -> None:
    data = with_signatures(renamed({"left:0": "args_0", "p": "output_0"}))
    graph = load_tflite(data, "g")
    assert names_of(graph.inputs) == ["args_0", "right:0"]  # "left:0" is no plain name
    assert names_of(graph.outputs) == ["p", "sum"]


def test_an_inner_tensor_gives_way() -> None:
    def change(model: Any) -> None:
        renamed({"p": "sum"})(model)
        model.signatureDefs[0].outputs = [e for e in model.signatureDefs[0].outputs if e.name == "sum"]
        model.subgraphs[0].outputs = [e.tensorIndex for e in model.signatureDefs[0].outputs]

    graph = load_tflite(with_signatures(change), "g")
    assert [v.name for v in graph.values()] == ["left:0", "right:0", "sum_1", "sum"]


def test_a_name_without_letters_is_none() -> None:
    assert names_of(load_tflite(with_signatures(renamed({"left:0": " "})), "g").inputs) == ["left:0", "right:0"]


def test_signature_of_another_subgraph_is_not_ours() -> None:
    def change(model: Any) -> None:
        renamed({"left:0": "a"})(model)
        model.signatureDefs[0].subgraphIndex = 1

    data = with_signatures(change)
    assert names_of(load_tflite(data, "g").inputs) == ["left:0", "right:0"]
    assert tflite_attached(data).signature is None


def test_key_and_metadata_can_be_written_back() -> None:
    data = to_tflite(two_inputs(), {"min_runtime_version": b"1.14.0", "empty": b""}, "classify")
    attached = tflite_attached(data)
    assert attached.signature == "classify"
    assert attached.metadata == {"min_runtime_version": b"1.14.0", "empty": b""}
    again = to_tflite(load_tflite(data, "g"), attached.metadata, attached.signature)
    assert tflite_attached(again) == attached


@pytest.mark.parametrize("slot", ["signatureDefs", "metadata"])
def test_a_damaged_table_is_an_error(slot: str) -> None:
    data = bytearray(to_tflite(two_inputs(), {"a": b"1"}))
    raw = schema.Model.GetRootAs(bytes(data))
    entry = raw.SignatureDefs(0) if slot == "signatureDefs" else raw.Metadata(0)
    # the offset of the table's vtable: far outside of the file
    data[entry._tab.Pos : entry._tab.Pos + 4] = (1 << 30).to_bytes(4, "little")
    with pytest.raises(ChipfitError) as error:
        tflite_attached(bytes(data))
    assert (error.value.code, bool(error.value.hint)) == ("F003", True)


def test_names_of_a_real_model(models_dir: Path) -> None:
    graph = load_graph(models_dir / "tflm_hello_world_int8.tflite")
    assert (names_of(graph.inputs), names_of(graph.outputs)) == (["dense_input"], ["dense_2"])
    attached = tflite_attached((models_dir / "tflm_hello_world_int8.tflite").read_bytes())
    assert attached.signature == "serving_default"
    assert set(attached.metadata) == {"min_runtime_version", "CONVERSION_METADATA"}
