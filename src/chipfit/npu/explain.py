"""Why an operator stays on the processor, and what would bring it to the NPU, in words."""

from __future__ import annotations

import re

from chipfit.npu.report import CpuOperator
from chipfit.npu.vela import LeftToCpu

FIX = "`--fix` does it"

_ACTIVATION = "another activation: RELU, RELU6, HARD_SWISH, LEAKY_RELU, LOGISTIC or TANH"

_BY_OPERATOR = {
    "SVDF": "train it as FULLY_CONNECTED for each step and DEPTHWISE_CONV_2D over the last steps: the same sum",
    "WHILE": "unroll the loop: `chipfit compile` does so with the model that was trained, not with this file",
    "READ_VARIABLE": f"let the state be an input and an output of the model: {FIX}",
    "ASSIGN_VARIABLE": f"let the state be an input and an output of the model: {FIX}",
    "VAR_HANDLE": f"let the state be an input and an output of the model: {FIX}",
    "CALL_ONCE": f"let the state be an input and an output of the model: {FIX}",
    "LOG_SOFTMAX": "leave it out: the order of the classes stays the same; or end with SOFTMAX",
    "ARGMAX": "leave it to the application, or take it along the last axis over at most 127 channels",
    "ARG_MAX": "leave it to the application, or take it along the last axis over at most 127 channels",
    "RESIZE_BILINEAR": "enlarge by 2, 4 or 8 in both directions",
    "RESIZE_NEAREST_NEIGHBOR": "enlarge by 2, 4 or 8 in both directions",
    "TRANSPOSE_CONV": "a stride of 1x1 or 2x2 with padding SAME or VALID; or RESIZE_NEAREST_NEIGHBOR and CONV_2D",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "no peepholes, projection and normalised gates; or unroll it before conversion",
    "DEQUANTIZE": f"let the application take the stored integers: {FIX} at a model's ends; inside, quantize all of it",
    "GELU": _ACTIVATION,
    "ELU": _ACTIVATION,
    "COS": _ACTIVATION,
    "SIN": _ACTIVATION,
    "None": f"Vela has no name for it; what sets a state before the first run goes with the states: {FIX}",
}

_BY_REASON = (
    (r"Float32", f"quantize the model to int8 or int16; at its ends, let the application convert: {FIX}"),
    (r"Int32|32-bit|Int64|64-bit", "let the tensor be int8 or int16: a model's outputs need no wider integers"),
    (r"dynamic|constant shape", "give the model a fixed batch of 1 and fixed shapes when it is converted"),
    (r"depth-reduction|Reduction over depth|Batch must|Reduced axis", f"average over rows and columns alone: {FIX}"),
    (r"quantization param", "quantize all of the model: this tensor has no scale"),
    (r"Per-axis", "one scale for the whole tensor; only weights of convolutions have one for each channel"),
    (r"[Ss]tride", "strides of 1 to 3, or padding VALID without dilation"),
    (r"[Kk]ernel", "a smaller window: several poolings or convolutions one after the other"),
    (r"[Bb]ias", "a constant bias of int32 along the channels"),
    (r"[Ww]eight|[Ww]eigth", "constant weights of 8 bits"),
    (r"Parameter|must be constant", "let the sizes, paddings or axes be constants"),
    (r"[Aa]xis", "operate along the last axis"),
)

_UNKNOWN = "no rewrite is known that keeps the bytes: another operator, or the processor"


def explained(left: LeftToCpu) -> CpuOperator:
    """An operator that Vela left to the processor, with the rewrite that would move it."""
    return CpuOperator(left.op, left.output, left.reasons, rewrite_of(left.op, " ".join(left.reasons)))


def rewrite_of(op: str, reasons: str) -> str:
    """What would bring an operator to the NPU."""
    if op in _BY_OPERATOR:
        return _BY_OPERATOR[op]
    return next((text for pattern, text in _BY_REASON if re.search(pattern, reasons)), _UNKNOWN)
