"""The least version of each operator that has what a call of it needs.

Interpreters refuse a version that they do not know, so a file that states no more than it uses runs on the oldest ones.
The numbers are those of TensorFlow Lite's own converter (``tools/versioning/op_version.cc``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chipfit.graph import DType, TensorType

Types = Sequence[TensorType | None]

_INT8 = {"int8": 2}
_INT8_INT16 = {"int8": 2, "int16": 3}
_PAD = {**_INT8_INT16, "rank > 4": 4, "bool": 5}
_RESIZE = {"int8": 2, "halfPixelCenters": 3, "int16": 4}
_BLOCKS = {"int8": 2, "rank < 4": 3, "int16": 4}
_EXTREMUM = {"int8": 2, "broadcasts > 4": 3, "int16": 4}

#: operator -> what it may need -> the version that brought it; what is not named came with version 1
_SINCE: Mapping[str, Mapping[str, int]] = {
    "ADD": {**_INT8_INT16, "int64": 4},
    "ABS": {**_INT8_INT16, "int32": 5},
    "ARG_MAX": {"int8": 2, "bool": 3},
    "ARG_MIN": {"int8": 2, "bool": 3},
    "AVERAGE_POOL_2D": _INT8_INT16,
    "BATCH_MATMUL": _INT8_INT16,
    "BATCH_TO_SPACE_ND": _BLOCKS,
    "BROADCAST_TO": {"float32": 2, "int32": 2, "int64": 2, "bool": 2, "int8": 3, "int16": 3},
    "CAST": {"casts uint32": 2, "casts int8": 3, "casts uint16": 4, "casts float16": 5, "casts float64": 5},
    "CONCATENATION": {**_INT8_INT16, "uint32": 4},
    "CONV_2D": {
        "dilated": 2,
        "hybrid": 2,
        "int8": 3,
        "int16": 4,
        "hybrid by channel": 5,
        "grouped": 6,
        "quantizedBiasType": 8,
    },
    "DEPTHWISE_CONV_2D": {"dilated": 2, "int8": 3, "hybrid": 4, "int16": 5, "hybrid by channel": 6},
    "DEQUANTIZE": {"int8": 2, "int16": 3, "float16": 3, "by channel": 5},
    "DIV": {"broadcasts > 4": 2},
    "EQUAL": _INT8,
    "EXP": {"int8": 2, "int16": 2},
    "FULLY_CONNECTED": {
        "hybrid": 3,
        "int8": 4,
        "keepNumDims": 5,
        "two inputs": 6,
        "int16": 7,
        "quantizedBiasType": 11,
        "hybrid by channel": 12,
    },
    "GATHER": {"int8": 2, "bool": 3, "int16": 4, "batchDims": 5, "int16 indices": 6},
    "GATHER_ND": {"int16": 3, "int16 indices": 4, "bool": 5},
    "GELU": _INT8,
    "GREATER": _INT8,
    "GREATER_EQUAL": _INT8,
    "LEAKY_RELU": {"int16": 2},
    "LESS": {"int8": 2, "int16": 3},
    "LESS_EQUAL": _INT8,
    "LOG": {"int8": 2, "int16": 2},
    "LOG_SOFTMAX": _INT8,
    "LOGISTIC": _INT8_INT16,
    "MAXIMUM": _EXTREMUM,
    "MAX_POOL_2D": _INT8_INT16,
    "MEAN": _INT8_INT16,
    "MINIMUM": _EXTREMUM,
    "MIRROR_PAD": _INT8_INT16,
    "MUL": {"int8": 2, "int8 scaled up": 3, "int16": 4, "int64": 5, "uint32": 7},
    "NOT_EQUAL": _INT8,
    "PACK": {**_INT8_INT16, "uint32": 4},
    "PAD": _PAD,
    "PADV2": _PAD,
    "QUANTIZE": {"to int16": 2, "by channel": 3},
    "REDUCE_MAX": _INT8_INT16,
    "REDUCE_MIN": _INT8_INT16,
    "RELU": {**_INT8_INT16, "uint8": 2},
    "RELU6": _INT8_INT16,
    "RESIZE_BILINEAR": _RESIZE,
    "RESIZE_NEAREST_NEIGHBOR": {**_RESIZE, "alignCorners": 3},
    "RSQRT": _INT8_INT16,
    "REVERSE_V2": {"bool": 2, "int8": 3},
    "SLICE": {"int8": 2, "int16": 4, "rank > 4": 5, "uint32": 6},
    "SOFTMAX": _INT8_INT16,
    "SPACE_TO_BATCH_ND": _BLOCKS,
    "SPACE_TO_DEPTH": _INT8,
    "SPLIT": {"int8": 2, "int32": 3, "int16": 4},
    "SPLIT_V": _INT8,
    "SQRT": {"int8": 2, "int16": 2},
    "SQUARED_DIFFERENCE": _INT8,
    "STRIDED_SLICE": {"int8": 2, "bool": 3, "rank > 4": 4, "uint32": 7},
    "SUB": {"int8": 2, "broadcasts > 4": 3, "int64": 4, "int16": 5},
    "SUM": _INT8,
    "SVDF": {"int8": 3},
    "TANH": _INT8_INT16,
    "TILE": {"int8": 3},
    "TRANSPOSE": {"int8": 2, "bool": 3, "rank > 4": 4, "int16": 5, "rank > 5": 6},
    "TRANSPOSE_CONV": {"int8": 2, "int16": 3, "four inputs": 3},
    "UNPACK": {"int8": 2, "uint8": 2, "bool": 3, "int16": 4},
}


#: where the tensor stands that an operator works on, if other parameters come first
_FIRST = {"SPLIT": 1, "TRANSPOSE_CONV": 2}


def least_version(builtin: str, inputs: Types, outputs: Types, options: Mapping[str, Any]) -> int:
    """``inputs``, ``outputs``: None where a tensor is absent or a handle; ``options``: by the schema's names."""
    since = _SINCE.get(builtin, {})
    return max((since.get(need, 1) for need in _needs(builtin, inputs, outputs, options)), default=1)


def _needs(builtin: str, inputs: Types, outputs: Types, options: Mapping[str, Any]) -> Iterator[str]:
    given = [t for t in inputs if t is not None]
    at = _FIRST.get(builtin, 0)
    x = given[at] if at < len(given) else None
    if x is None:
        return
    yield x.dtype.value
    yield from (f"rank > {rank}" for rank in (4, 5) if len(x.shape) > rank)
    if len(x.shape) < 4:
        yield "rank < 4"
    if len(given) == 2:
        yield "two inputs"
    if len(given) == 4:
        yield "four inputs"
    yield from (name for name, value in options.items() if value)
    if any(options.get(name, 1) != 1 for name in ("dilationHFactor", "dilationWFactor")):
        yield "dilated"
    yield from (f"casts {t.dtype.value}" for t in (x, *outputs) if t is not None)
    yield from (f"to {t.dtype.value}" for t in outputs if t is not None)
    if any(t is not None and t.quant is not None and t.quant.axis is not None for t in (x, *outputs)):
        yield "by channel"
    if len(given) > 1:
        yield from _needs_of_second(builtin, x, given[1], outputs)


def _needs_of_second(builtin: str, x: TensorType, second: TensorType, outputs: Types) -> Iterator[str]:
    """What the second operand asks for: of two tensors, weights or indices."""
    yield f"{second.dtype.value} indices"
    if x.shape != second.shape and max(len(x.shape), len(second.shape)) > 4:
        yield "broadcasts > 4"
    if x.dtype is DType.FLOAT32 and second.dtype is DType.INT8:
        yield "hybrid"
        if second.quant is not None and second.quant.axis is not None:
            yield "hybrid by channel"
    if builtin == "CONV_2D" and second.shape[3] != x.shape[3]:
        yield "grouped"
    y = outputs[0]
    if builtin == "MUL" and x.dtype is DType.INT8 and y is not None and x.q.s * second.q.s >= y.q.s:
        yield "int8 scaled up"
