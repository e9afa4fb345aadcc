"""Operators that chipfit has no implementation of: their tensors, and the nearest thing the user can do."""

from __future__ import annotations

from collections.abc import Sequence

from chipfit.importers._problems import Problem
from chipfit.importers.tflite.model import OperatorRecord, TensorRecord

_MOST_CONSTANTS = 4
_MOST_SHOWN = 8


def unknown_operator(record: OperatorRecord, tensors: Sequence[TensorRecord]) -> Problem:
    """An operator that chipfit has no implementation of."""
    inputs = [tensors[i] for i in record.inputs if i >= 0]
    constants = [t for t in inputs if t.data is not None]
    shown = [t for t in inputs if t.data is None or len(constants) <= _MOST_CONSTANTS]
    source = _listed(shown, len(inputs) - len(shown))
    result = _listed([tensors[i] for i in record.outputs], 0)
    text = f"{record.title} version {record.version} (operator {record.index}): {source} -> {result}"
    return Problem("O001", text, _advice(record))


def _listed(tensors: Sequence[TensorRecord], constants: int) -> str:
    """The tensors' names and types, and how many constants go with them."""
    names = [str(t) for t in tensors[:_MOST_SHOWN]]
    if len(tensors) > _MOST_SHOWN:
        names.append(f"{len(tensors) - _MOST_SHOWN} more")
    text = ", ".join(names) or "nothing"
    return f"{text} and {constants} constants" if constants else text


def _advice(record: OperatorRecord) -> str:
    if record.builtin == "CUSTOM" and record.custom.startswith("Flex"):
        what = (
            "without tf.lite.OpsSet.SELECT_TF_OPS, so that the converter uses builtin operators or names what it cannot"
        )
        return f"CUSTOM '{record.custom}': convert the model {what}"
    advice = _ADVICE.get(record.builtin)
    if advice is None and record.builtin.startswith("STABLEHLO_"):
        advice = "convert the model to TensorFlow Lite's own builtin operators, not to StableHLO"
    return f"{record.title}: {advice or _DEFAULT}"


_DEFAULT = "replace the layer by one of `chipfit op list`, or move it out of the model into the application"
_UNROLL = "export the model with the layer unrolled (Keras: unroll=True), or use a convolutional streaming model"
_RECIPROCAL = "divide by a constant as a multiplication by its reciprocal (MUL); fold it into the layer before"
_OUTSIDE = "end the model before it and do this step in the application"
_CONTROL = "export a model without branches and loops (fixed conditions, unrolled loops)"
_DYNAMIC = "export the model with static shapes, so that the converter folds it to a constant"
_TABLE = "use a ReLU, ReLU6, hard swish, sigmoid or tanh activation instead"
_LOOKUP = "do the lookup in the application and pass numbers to the model"
_TRAINING = "export the model for inference: this operator belongs to training"

#: builtin operator -> the nearest thing the user can do
_ADVICE: dict[str, str] = {
    "CUSTOM": "only builtin operators can be compiled; express it with them, or do this step in the application",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _UNROLL,
    "BIDIRECTIONAL_SEQUENCE_LSTM": _UNROLL,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _UNROLL,
    "BIDIRECTIONAL_SEQUENCE_RNN": _UNROLL,
    "LSTM": _UNROLL,
    "RNN": _UNROLL,
    "SVDF": "train it as a depthwise and a pointwise convolution over time, which are the same filter",
    "DIV": _RECIPROCAL,
    "FLOOR_DIV": _RECIPROCAL,
    "CONV_3D": "use CONV_2D over two of the axes",
    "CONV_3D_TRANSPOSE": "use RESIZE_NEAREST_NEIGHBOR and CONV_2D over two of the axes",
    "BATCH_MATMUL": "use a Dense layer where one factor is a constant",
    "GELU": _TABLE,
    "EXP": _TABLE,
    "RELU_0_TO_1": "use ReLU6",
    "REDUCE_MIN": "negate before and after a REDUCE_MAX (MUL by -1)",
    "ARG_MIN": "negate the input (MUL by -1) and use ARG_MAX",
    "NEG": "use MUL by -1, or fold the sign into the weights",
    "SQUARE": "multiply the tensor by itself (MUL)",
    "SQUARED_DIFFERENCE": "use SUB, then MUL of the result by itself",
    "GATHER_ND": "use GATHER along one axis, or end the model before it and do this step in the application",
    "L2_NORMALIZATION": _OUTSIDE,
    "TOPK_V2": _OUTSIDE,
    "NON_MAX_SUPPRESSION_V4": _OUTSIDE,
    "NON_MAX_SUPPRESSION_V5": _OUTSIDE,
    "RFFT2D": "compute the spectrum in the application (e.g. with CMSIS-DSP) and pass it to the model",
    "IF": _CONTROL,
    "WHILE": _CONTROL,
    "CALL": _CONTROL,
    "RANK": _DYNAMIC,
    "RANGE": _DYNAMIC,
    "FILL": _DYNAMIC,
    "BROADCAST_ARGS": _DYNAMIC,
    "ZEROS_LIKE": _DYNAMIC,
    "FAKE_QUANT": "convert the quantization-aware model with the converter, which turns it into integer tensors",
    "DENSIFY": "convert the model without sparsity: chipfit skips zero channels by itself",
    "EMBEDDING_LOOKUP_SPARSE": _LOOKUP,
    "HASHTABLE": _LOOKUP,
    "HASHTABLE_FIND": _LOOKUP,
    "HASHTABLE_IMPORT": _LOOKUP,
    "HASHTABLE_LOOKUP": _LOOKUP,
    "HASHTABLE_SIZE": _LOOKUP,
    "RANDOM_STANDARD_NORMAL": _TRAINING,
    "RANDOM_UNIFORM": _TRAINING,
    "MULTINOMIAL": _TRAINING,
}
