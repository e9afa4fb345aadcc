"""The .tflite importer on real models, and on small ones written for one question each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated

from chipfit import oracle
from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.graph import DType, Graph, Node, Quant, TensorType, Value
from chipfit.graph.text import print_graph
from chipfit.importers import load_graph, load_tflite
from chipfit.interpret import evaluate, initial_state
from chipfit.ops import REGISTRY, random_input
from oracles import litert_run, needs_litert, needs_tflm

schema: Any = schema_py_generated

RECURRENT_MODELS = ["tflm_dtln_noise_suppression", "tflm_keyword_scrambled_svdf_8bit", "tflm_mnist_lstm_int8"]
INT8_MODELS = [
    "arduino_magic_wand_int8",
    "esphome_okay_nabu_v2_stream",
    "esphome_vad_v2_stream",
    "imagenet_mnv2_10_224_int8ptq",
    "mlperf_ad_toycar_int8",
    "mlperf_ic_resnet8_int8",
    "mlperf_kws_dscnn_int8",
    "mlperf_streaming_wakeword_int8",
    "mlperf_vww_mnv1_025_96_int8",
    *RECURRENT_MODELS,
    "tflm_hello_world_int8",
    "tflm_micro_speech_int8",
    "tflm_person_detect_int8",
    "tinyengine_mcunet_vww_int8",
    "tinyengine_mcunetv2_large_int8",
    "tinyengine_mnist_lenet300_ptq",
]
INT16_MODELS = ["tflm_seanet_conv10_int16"]
FLOAT_MODELS = [
    "imagenet_mnv1_025_224_f32",
    "mediapipe_face_short_range_f16w",
    "mlperf_ad_toycar_f32",
    "mlperf_ic_resnet8_f32",
    "mlperf_vww_mnv1_025_96_f32",
    "tflm_hello_world_f32",
    "tflm_mnist_lstm_f32",
]
HYBRID = "mlperf_kws_dscnn_f32"
"""Its 1x1 convolutions have int8 weights: LiteRT quantizes their inputs as it runs."""
#: model -> error code, and operators or words that the message must name
UNSUPPORTED = {
    "coral_movenet_lightning_ptq": ("O001", ["2 operators", "FLOOR_DIV version 1"]),
    "imagenet_mnv1_025_224_uint8": ("O002", ["29 operators", "CONV_2D", "DEPTHWISE_CONV_2D", "uint8"]),
    "tflm_audio_preprocessor_int8": ("O001", ["CUSTOM 'SignalWindow'", "CUSTOM 'SignalRfft'", "DIV"]),
}


def golden(models_dir: Path, name: str) -> tuple[list[Any], list[Any]]:
    """Inputs and outputs of a model; the outputs are TFLite Micro's where it runs the model."""
    with np.load(models_dir / "golden" / f"{name}.npz") as arrays:
        inputs = [arrays[k] for k in sorted(arrays) if k.startswith("in")]
        tflm = [arrays[k] for k in sorted(arrays) if k.startswith("out_tflm")]
        litert = [arrays[k] for k in sorted(arrays) if k.startswith("out") and not k.startswith("out_tflm")]
    return inputs, tflm or litert


@pytest.mark.parametrize("name", INT8_MODELS + INT16_MODELS)
def test_integer_model_equals_tflite_micro(models_dir: Path, name: str) -> None:
    graph = load_graph(models_dir / f"{name}.tflite")
    inputs, expected = golden(models_dir, name)
    for got, want in zip(evaluate(graph, inputs), expected, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", FLOAT_MODELS)
def test_float_model_is_near_litert(models_dir: Path, name: str) -> None:
    path = models_dir / f"{name}.tflite"
    inputs, _ = golden(models_dir, name)
    for got, want in zip(evaluate(load_graph(path), inputs), litert_run(path.read_bytes(), inputs), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())


@needs_tflm
@pytest.mark.parametrize("name", ["esphome_okay_nabu_v2_stream", "esphome_vad_v2_stream", *RECURRENT_MODELS])
def test_streaming_model_keeps_state(models_dir: Path, name: str) -> None:
    path = models_dir / f"{name}.tflite"
    graph, rng = load_graph(path), np.random.default_rng(2)
    frames = [[random_input(rng, v.type) for v in graph.inputs] for _ in range(20)]
    state = initial_state(graph)
    for frame, expected in zip(frames, oracle.tflm_run(path.read_bytes(), frames), strict=True):
        np.testing.assert_array_equal(evaluate(graph, frame, state)[0], expected[0])


@pytest.mark.parametrize("name", [*INT8_MODELS, *INT16_MODELS, *FLOAT_MODELS, HYBRID])
def test_round_trip(models_dir: Path, name: str) -> None:
    graph = load_graph(models_dir / f"{name}.tflite")
    again = load_tflite(to_tflite(graph), graph.name)
    assert print_graph(again, data=True) == print_graph(graph, data=True)


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_model_lists_all_offenders(models_dir: Path, name: str) -> None:
    code, words = UNSUPPORTED[name]
    with pytest.raises(ChipfitError) as error:
        load_graph(models_dir / f"{name}.tflite")
    assert error.value.code == code
    assert error.value.hint
    assert [w for w in words if w not in error.value.message] == []


# ---------------------------------------------------------------------------------------------- small models


def op(name: str, **attributes: Any) -> Any:
    cls: Any = REGISTRY[name]
    return cls(**attributes)


def float_value(name: str, *shape: int) -> Value:
    return Value(name, TensorType(shape, DType.FLOAT32))


def changed(graph: Graph, change: Callable[[Any], None]) -> bytes:
    """The graph as a .tflite without a signature, after ``change`` of the schema's model record."""
    model = schema.ModelT.InitFromPackedBuf(to_tflite(graph))
    model.signatureDefs = None
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def relu_graph() -> Graph:
    x, y = float_value("x", 1, 4), float_value("y", 1, 4)
    return Graph("g", [x], [y], [Node(op("relu"), [x], [y])])


def refused(data: bytes) -> ChipfitError:
    with pytest.raises(ChipfitError) as error:
        load_tflite(data, "m")
    assert error.value.hint
    return error.value


def error_of(data: bytes) -> ChipfitError | None:
    try:
        load_tflite(data, "m")
    except ChipfitError as error:
        return error
    return None


def set_tensor(index: int, **fields: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in fields.items():
            setattr(model.subgraphs[0].tensors[index], name, value)

    return change


def set_code(builtin: str, custom: str | None = None) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        code = model.operatorCodes[0]
        code.builtinCode = getattr(schema.BuiltinOperator, builtin)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.customCode = custom

    return change


def test_every_builtin_operator_is_recognised() -> None:
    """Each is imported, or named in O001 or O002 (or F003 where this graph has not the inputs it needs)."""
    for name in (n for n in vars(schema.BuiltinOperator) if not n.startswith("_")):
        error = error_of(changed(relu_graph(), set_code(name)))
        if error is None:
            continue
        assert error.code in ("O001", "O002", "F003", "G001", "G003"), error
        assert error.code != "O001" or name in error.message
        assert error.hint


def test_operator_newer_than_the_schema() -> None:
    def change(model: Any) -> None:
        model.operatorCodes[0].builtinCode = 1000

    error = refused(changed(relu_graph(), change))
    assert error.code == "O001"
    assert "builtin operator 1000" in error.message


def test_flex_operator() -> None:
    error = refused(changed(relu_graph(), set_code("CUSTOM", "FlexErf")))
    assert (error.code, "SELECT_TF_OPS" in error.hint) == ("O001", True)
    assert "'x' float32[1,4] -> 'y' float32[1,4]" in error.message


def test_names_are_made_unique() -> None:
    x, y, z = float_value("a", 1, 4), float_value("b", 1, 4), float_value("c", 1, 4)
    graph = Graph("g", [x], [z], [Node(op("relu"), [x], [y]), Node(op("tanh"), [y], [z])])

    def change(model: Any) -> None:
        for tensor, name in zip(model.subgraphs[0].tensors, ["same", "same", None], strict=True):
            tensor.name = name

    assert [v.name for v in load_tflite(changed(graph, change), "m").values()] == ["same", "same_1", "t2"]


def test_names_lose_what_breaks_a_line() -> None:
    graph = load_tflite(changed(relu_graph(), set_tensor(0, name="in\nput\x00")), "m")
    assert graph.inputs[0].name == "in_put_"


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"shape": [-1, 4]}, "O002", "unknown shape"),
        ({"shape": [-7, 4]}, "F003", "shape"),
        ({"shape": [1 << 30, 1 << 30]}, "F005", "1 GiB"),
        ({"shape": [0, 4]}, "O002", "no elements"),
        ({"shape": [1] * 9}, "O002", "9 dimensions"),
        ({"type": 5}, "O002", "STRING"),
        ({"type": 17}, "O002", "INT4"),
        ({"type": 99}, "F003", "element type 99"),
        ({"buffer": 77}, "F003", "buffer 77"),
        ({"sparsity": schema.SparsityParametersT()}, "O002", "sparse"),
        ({"shape": [1, 5]}, "G003", "shape"),
    ],
)
def test_bad_tensors(fields: dict[str, Any], code: str, words: str) -> None:
    error = refused(changed(relu_graph(), set_tensor(1, **fields)))
    assert error.code == code
    assert words in error.message


def test_dynamic_batch_uses_the_static_shape() -> None:
    graph = load_tflite(changed(relu_graph(), set_tensor(0, shapeSignature=[-1, 4])), "m")
    assert graph.inputs[0].shape == (1, 4)


def test_wrong_version() -> None:
    def change(model: Any) -> None:
        model.version = 4

    assert refused(changed(relu_graph(), change)).code == "F004"


def test_operators_out_of_order() -> None:
    x, y, z = (float_value(n, 1, 4) for n in "xyz")
    graph = Graph("g", [x], [z], [Node(op("relu"), [x], [y]), Node(op("tanh"), [y], [z])])

    def change(model: Any) -> None:
        model.subgraphs[0].operators.reverse()

    error = refused(changed(graph, change))
    assert (error.code, "before it is produced" in error.message) == ("G001", True)


def test_cycle() -> None:
    x, y, z = (float_value(n, 1, 4) for n in "xyz")
    graph = Graph("g", [x], [z], [Node(op("add"), [x, x], [y]), Node(op("tanh"), [y], [z])])

    def change(model: Any) -> None:
        model.subgraphs[0].operators[0].inputs = [0, 2]

    assert refused(changed(graph, change)).code == "G001"


@pytest.mark.parametrize("activation", ["TANH", "SIGN_BIT"])
def test_fused_activations_that_kernels_lack(activation: str) -> None:
    x, y = float_value("x", 1, 4), float_value("y", 1, 4)
    graph = Graph("g", [x], [y], [Node(op("add"), [x, x], [y])])

    def change(model: Any) -> None:
        options = model.subgraphs[0].operators[0].builtinOptions
        options.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)

    error = refused(changed(graph, change))
    assert (error.code, activation in error.message) == ("O002", True)


def test_reshape_with_a_wildcard() -> None:
    x, y = float_value("x", 2, 6), float_value("y", 4, 3)
    graph = Graph("g", [x], [y], [Node(op("reshape", shape=(4, 3)), [x], [y])])

    def change(model: Any) -> None:
        model.buffers[1].data = np.array([-1, 3], "<i4").view(np.uint8)

    assert load_tflite(changed(graph, change), "m").nodes[0].op == op("reshape", shape=(4, 3))


def test_reshape_by_options_alone() -> None:
    x, y = float_value("x", 2, 6), float_value("y", 4, 3)
    graph = Graph("g", [x], [y], [Node(op("reshape", shape=(4, 3)), [x], [y])])

    def change(model: Any) -> None:
        model.subgraphs[0].operators[0].inputs = [0]

    assert load_tflite(changed(graph, change), "m").nodes[0].op == op("reshape", shape=(4, 3))


def test_parameter_computed_from_a_shape() -> None:
    """What Keras writes for Flatten: SHAPE, STRIDED_SLICE, PACK, RESHAPE."""
    x, y = float_value("x", 1, 2, 3), float_value("y", 1, 6)
    s, n = Value("s", TensorType((3,), DType.INT32)), Value("n", TensorType((), DType.INT32))
    rest = Value("rest", TensorType((), DType.INT32), np.array(6, np.int32))
    target = Value("target", TensorType((2,), DType.INT32))
    nodes = [
        Node(op("shape"), [x], [s]),
        Node(op("strided_slice", begin=(0,), end=(1,), strides=(1,), shrink_axes=(0,)), [s], [n]),
        Node(op("pack", axis=0), [n, rest], [target]),
        Node(op("reshape", shape=(1, 6)), [x], [y]),
    ]

    def change(model: Any) -> None:
        main = model.subgraphs[0]
        names = [t.name.decode() for t in main.tensors]
        main.operators[3].inputs = [0, names.index("target")]

    graph = load_tflite(changed(Graph("g", [x], [y], nodes), change), "m")
    assert graph.nodes[-1].op == op("reshape", shape=(1, 6))


def test_parameter_that_is_an_input() -> None:
    x, y = float_value("x", 2, 6), float_value("y", 4, 3)
    graph = Graph("g", [x], [y], [Node(op("reshape", shape=(4, 3)), [x], [y])])

    def change(model: Any) -> None:
        main = model.subgraphs[0]
        main.inputs = [0, int(main.operators[0].inputs[1])]
        main.tensors[main.inputs[1]].buffer = 0

    error = refused(changed(graph, change))
    assert (error.code, "RESHAPE" in error.message, "the shape" in error.message) == ("O002", True, True)


Masks = dict[str, int]


@needs_litert
@pytest.mark.parametrize(
    ("begin", "end", "strides", "masks"),
    [
        ((1, 0, 2), (3, 3, 5), (1, 1, 2), {}),
        ((-1, -2, -1), (-4, -4, -6), (-1, -1, -2), {}),
        ((9, 0, 0), (-9, 9, 99), (-1, 1, 1), {}),
        ((1, 1, 1), (2, 2, 2), (1, 1, 1), {"beginMask": 5, "endMask": 3}),
        ((0, 2, 0), (0, 0, 0), (1, 1, -1), {"beginMask": 5, "endMask": 5, "shrinkAxisMask": 2}),
        ((-1, 0, 0), (0, 0, 5), (1, 1, 1), {"shrinkAxisMask": 1, "endMask": 2}),
        ((0, 1), (0, 4), (1, 2), {"ellipsisMask": 1}),
        ((1, 0), (3, 0), (1, 1), {"ellipsisMask": 2}),
        ((1, 0, 0, 2), (3, 0, 0, 4), (1, 1, 1, 1), {"ellipsisMask": 2, "newAxisMask": 4}),
        ((0, 1), (0, 3), (1, 1), {"newAxisMask": 1}),
        ((1,), (2,), (1,), {}),
    ],
)
def test_strided_slice_as_litert_understands_it(
    begin: tuple[int, ...], end: tuple[int, ...], strides: tuple[int, ...], masks: Masks
) -> None:
    """The masks are resolved as the foreign interpreter does; the output's shape is its own."""
    x, y = float_value("x", 4, 3, 5), float_value("y", 4, 3, 5)
    node = Node(op("strided_slice", begin=(0, 0, 0), end=(4, 3, 5), strides=(1, 1, 1)), [x], [y])

    def change(shape: tuple[int, ...]) -> Callable[[Any], None]:
        def inner(model: Any) -> None:
            main = model.subgraphs[0]
            for index, numbers in zip(main.operators[0].inputs[1:], (begin, end, strides), strict=True):
                main.tensors[index].shape = [len(numbers)]
                model.buffers[main.tensors[index].buffer].data = np.array(numbers, "<i4").view(np.uint8)
            for field, bits in masks.items():
                setattr(main.operators[0].builtinOptions, field, bits)
            main.tensors[main.outputs[0]].shape = list(shape)

        return inner

    graph = Graph("g", [x], [y], [node])
    array = np.arange(60, dtype=np.float32).reshape(4, 3, 5)
    expected = litert_run(changed(graph, change((4, 3, 5))), [array])[0]
    got = evaluate(load_tflite(changed(graph, change(expected.shape)), "m"), [array])[0]
    np.testing.assert_array_equal(got, expected)


def dense_graph(w_axis: int | None) -> Graph:
    x = Value("x", TensorType((1, 2), DType.INT8, Quant.per_tensor(0.5, 1)))
    w_quant = Quant.per_tensor(0.25) if w_axis is None else Quant((0.25, 0.5, 1.0), (0, 0, 0), w_axis)
    w = Value("w", TensorType((3, 2), DType.INT8, w_quant), np.ones((3, 2), np.int8))
    y = Value("y", TensorType((1, 3), DType.INT8, Quant.per_tensor(1.0, 0)))
    return Graph("g", [x], [y], [Node(op("fully_connected"), [x, w, None], [y])])


def set_quantization(tensor: str, **fields: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        found = next(t for t in model.subgraphs[0].tensors if t.name.decode() == tensor)
        for name, value in fields.items():
            setattr(found.quantization, name, value)

    return change


@pytest.mark.parametrize(
    ("tensor", "fields", "code"),
    [
        ("x", {"scale": [float("nan")]}, "F003"),
        ("x", {"scale": [0.0]}, "F003"),
        ("x", {"scale": [-1.0]}, "F003"),
        ("x", {"zeroPoint": [300]}, "F003"),
        ("w", {"quantizedDimension": 5}, "F003"),
        ("w", {"quantizedDimension": 1}, "F003"),
        ("w", {"zeroPoint": [0, 0]}, "F003"),
        ("w", {"zeroPoint": [1, 1, 1]}, "O002"),
        ("x", {"scale": None, "zeroPoint": None}, "O002"),
    ],
)
def test_bad_quantization(tensor: str, fields: dict[str, Any], code: str) -> None:
    assert refused(changed(dense_graph(0), set_quantization(tensor, **fields))).code == code


def test_one_zero_point_stands_for_all_channels() -> None:
    graph = load_tflite(changed(dense_graph(0), set_quantization("w", zeroPoint=[0])), "m")
    assert graph.nodes[0]["w"].q.zero_point == (0, 0, 0)


def test_shuffled_weights() -> None:
    def change(model: Any) -> None:
        model.subgraphs[0].operators[0].builtinOptions.weightsFormat = 1

    assert refused(changed(dense_graph(None), change)).code == "O002"


def test_an_operator_needs_its_own_options() -> None:
    def change(model: Any) -> None:
        operator = model.subgraphs[0].operators[0]
        operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.PadOptions, schema.PadOptionsT()

    error = refused(changed(dense_graph(None), change))
    assert (error.code, "PadOptions" in error.message) == ("F003", True)
