"""Operators state the least version that has what they need: interpreters refuse one that they do not know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated

from chipfit.exporters import to_tflite
from chipfit.exporters.tflite.versions import least_version
from chipfit.graph import DType, Quant, TensorType
from chipfit.importers import load_graph

schema: Any = schema_py_generated

PER_TENSOR = Quant.per_tensor(0.5)


def tensor(dtype: str, *shape: int, channels: bool = False) -> TensorType:
    quant = Quant((0.5,) * shape[0], (0,) * shape[0], 0) if channels else PER_TENSOR
    return TensorType(shape, DType(dtype), None if dtype.startswith("float") else quant)


def f32(*shape: int) -> TensorType:
    return tensor("float32", *shape)


def s8(*shape: int, channels: bool = False) -> TensorType:
    return tensor("int8", *shape, channels=channels)


def s16(*shape: int) -> TensorType:
    return tensor("int16", *shape)


IMAGE, WEIGHTS, MATRIX = (1, 4, 4, 2), (3, 1, 1, 2), (3, 4)
DILATED = {"dilationHFactor": 2, "dilationWFactor": 1}
PLAIN = {"dilationHFactor": 1, "dilationWFactor": 1}
CASES: list[tuple[str, list[TensorType | None], list[TensorType], dict[str, Any], int]] = [
    ("CONV_2D", [f32(*IMAGE), f32(*WEIGHTS), f32(3)], [f32(*IMAGE)], PLAIN, 1),
    ("CONV_2D", [f32(*IMAGE), s8(*WEIGHTS), f32(3)], [f32(*IMAGE)], PLAIN, 2),
    ("CONV_2D", [s8(*IMAGE), s8(*WEIGHTS, channels=True), None], [s8(*IMAGE)], DILATED, 3),
    ("CONV_2D", [f32(*IMAGE), s8(*WEIGHTS, channels=True), f32(3)], [f32(*IMAGE)], PLAIN, 5),
    ("CONV_2D", [s8(1, 4, 4, 4), s8(*WEIGHTS), None], [s8(*IMAGE)], PLAIN, 6),
    ("CONV_2D", [s16(*IMAGE), s8(*WEIGHTS), None], [s16(*IMAGE)], PLAIN, 4),
    ("DEPTHWISE_CONV_2D", [f32(*IMAGE), f32(1, 3, 3, 2), None], [f32(*IMAGE)], DILATED, 2),
    ("DEPTHWISE_CONV_2D", [f32(*IMAGE), s8(1, 3, 3, 2, channels=True), None], [f32(*IMAGE)], PLAIN, 6),
    ("FULLY_CONNECTED", [s8(1, 4), s8(*MATRIX), s8(3)], [s8(1, 3)], {"keepNumDims": False}, 4),
    ("FULLY_CONNECTED", [s8(1, 4), s8(*MATRIX), s8(3)], [s8(1, 3)], {"keepNumDims": True}, 5),
    ("FULLY_CONNECTED", [f32(1, 4), f32(*MATRIX), None], [f32(1, 3)], {}, 6),
    ("FULLY_CONNECTED", [f32(1, 4), s8(*MATRIX), f32(3)], [f32(1, 3)], {}, 3),
    ("FULLY_CONNECTED", [f32(1, 4), s8(*MATRIX, channels=True), f32(3)], [f32(1, 3)], {}, 12),
    ("ADD", [s16(1, 4), s16(1, 4)], [s16(1, 4)], {"potScaleInt16": False}, 3),
    ("SUB", [s16(1, 4), s16(1, 4)], [s16(1, 4)], {"potScaleInt16": False}, 5),
    ("MUL", [s8(1, 4), s8(1, 4)], [TensorType((1, 4), DType.INT8, Quant.per_tensor(0.26))], {}, 2),
    ("MUL", [s8(1, 4), s8(1, 4)], [TensorType((1, 4), DType.INT8, Quant.per_tensor(0.25))], {}, 3),
    ("MUL", [s16(1, 4), s16(1, 4)], [s16(1, 4)], {}, 4),
    ("MAXIMUM", [s8(1, 1, 1, 1, 4), s8(4)], [s8(1, 1, 1, 1, 4)], {}, 3),
    ("QUANTIZE", [s8(1, 4)], [s16(1, 4)], {}, 2),
    ("DEQUANTIZE", [tensor("float16", 1, 4)], [f32(1, 4)], {}, 3),
    ("DEQUANTIZE", [s8(3, 4, channels=True)], [f32(3, 4)], {}, 5),
    ("PAD", [s16(1, 1, 1, 1, 4), tensor("int32", 5, 2)], [s16(1, 1, 1, 1, 4)], {}, 4),
    ("SPLIT", [tensor("int32", 1), s16(1, 4)], [s16(1, 2), s16(1, 2)], {}, 4),
    ("CAST", [s8(1, 4)], [tensor("float16", 1, 4)], {}, 5),
    ("RESIZE_NEAREST_NEIGHBOR", [s8(*IMAGE)], [s8(*IMAGE)], {"alignCorners": True, "halfPixelCenters": False}, 3),
    ("RESIZE_BILINEAR", [s8(*IMAGE)], [s8(*IMAGE)], {"alignCorners": True, "halfPixelCenters": False}, 2),
    ("ABS", [s16(1, 4)], [s16(1, 4)], {}, 3),
    ("EXP", [s16(1, 4)], [s16(1, 4)], {}, 2),
    ("RSQRT", [s16(1, 4)], [s16(1, 4)], {}, 3),
    ("GELU", [s8(1, 4)], [s8(1, 4)], {"approximate": True}, 2),
    ("BATCH_MATMUL", [s16(2, 3, 4), s16(2, 4, 5)], [s16(2, 3, 5)], {"adjX": False, "adjY": False}, 3),
    ("DIV", [f32(1, 1, 1, 1, 4), f32(4)], [f32(1, 1, 1, 1, 4)], {}, 2),
    ("SQUARED_DIFFERENCE", [s16(1, 4), s16(1, 4)], [s16(1, 4)], {}, 1),
    ("LESS", [s8(1, 4), s8(1, 4)], [tensor("bool", 1, 4)], {}, 2),
    ("READ_VARIABLE", [None], [s8(1, 4)], {}, 1),
    ("RESHAPE", [s8(1, 4), tensor("int32", 1)], [s8(4)], {"newShape": [4]}, 1),
]  # fmt: skip


@pytest.mark.parametrize(("builtin", "inputs", "outputs", "options", "version"), CASES)
def test_version(
    builtin: str, inputs: list[TensorType | None], outputs: list[TensorType], options: dict[str, Any], version: int
) -> None:
    assert least_version(builtin, inputs, outputs, options) == version


#: made by current converters, which state the least versions; older ones stated others
@pytest.mark.parametrize(
    "name",
    [
        "arduino_magic_wand_int8",
        "esphome_vad_v2_stream",
        "imagenet_mnv2_10_224_int8ptq",
        "mlperf_ad_toycar_int8",
        "mlperf_ic_resnet8_f32",
        "mlperf_ic_resnet8_int8",
        "mlperf_kws_dscnn_int8",
        "mlperf_streaming_wakeword_int8",
        "mlperf_vww_mnv1_025_96_int8",
        "tflm_hello_world_f32",
    ],
)
def test_real_models_keep_their_versions(models_dir: Path, name: str) -> None:
    file = models_dir / f"{name}.tflite"
    assert versions_of(to_tflite(load_graph(file))) == versions_of(file.read_bytes())


def versions_of(data: bytes) -> list[tuple[int, int]]:
    """Builtin code and version of each operator of the main subgraph."""
    model = schema.ModelT.InitFromPackedBuf(data)
    codes = [(max(c.builtinCode, c.deprecatedBuiltinCode), c.version) for c in model.operatorCodes]
    return sorted(codes[o.opcodeIndex] for o in model.subgraphs[0].operators)
