"""The name table: TensorFlow Lite's builtin operator -> the function that makes our nodes of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.importers.tflite import arithmetic, recurrent, shapes, windows
from chipfit.importers.tflite.ethos_u import CUSTOM_CODE, ethos_u
from chipfit.importers.tflite.loops import import_while
from chipfit.importers.tflite.operator import OperatorImporter

Function = Callable[[OperatorImporter], None]


def _plain(name: str) -> Function:
    """Same inputs and outputs, no attributes."""
    return lambda o: o.emit(name, o.inputs)


def _with_activation(name: str, options: str) -> Function:
    return lambda o: o.emit(name, o.inputs, act=o.activation(o.options(options)))


def _with_number(name: str, options: str, field: str) -> Function:
    """One attribute that is a real number, of the same name in both."""

    def function(o: OperatorImporter) -> None:
        number = float(getattr(o.options(options), field))
        if not math.isfinite(number):
            raise o.damaged(f"{field} is {number}")
        attributes: dict[str, Any] = {field: number}
        o.emit(name, o.inputs, **attributes)

    return function


def _fully_connected(o: OperatorImporter) -> None:
    options = o.options("FullyConnectedOptions")
    if options.weightsFormat:
        raise ChipfitError("O002", "its weights are shuffled", "convert the model again with default options")
    o.emit(
        "fully_connected",
        [o.input(0), o.weights(2), o.optional(2)],
        act=o.activation(options),
        keep_dims=bool(options.keepNumDims),
    )


def _reduction(name: str) -> Function:
    def function(o: OperatorImporter) -> None:
        rank = len(o.input(0).shape)
        axes = sorted({o.axis(a, rank) for a in o.integers(1, "the axes")})
        o.emit(name, [o.input(0)], axes=tuple(axes), keep_dims=bool(o.options("ReducerOptions").keepDims))

    return function


def _resize(name: str, options_kind: str) -> Function:
    def function(o: OperatorImporter) -> None:
        options, size = o.options(options_kind), o.integers(1, "the size")
        if len(size) != 2:
            raise o.damaged(f"the size is {list(size)}")
        o.emit(
            name,
            [o.of_rank(0, 4)],
            size=o.positive("the size", *size),
            align_corners=bool(options.alignCorners),
            half_pixel_centers=bool(options.halfPixelCenters),
        )

    return function


def _arg_extremum(name: str) -> Function:
    def function(o: OperatorImporter) -> None:
        x = o.input(0)
        o.emit(name, [x], axis=o.axis(o.integer(1, "the axis"), len(x.shape)))

    return function


# ---------------------------------------------------------------------------------------------- variables


def _call_once(o: OperatorImporter) -> None:
    o.subgraph.initialize_variables(int(o.options("CallOnceOptions").initSubgraphIndex))


def _var_handle(o: OperatorImporter) -> None:
    options = o.options("VarHandleOptions")
    if not o.record.outputs:
        raise o.damaged("it has no output")
    names = [(name or b"").decode("utf-8", errors="replace") for name in (options.container, options.sharedName)]
    o.subgraph.handles[o.record.outputs[0]] = o.subgraph.variables.declare(names[0], names[1])


def _variable(o: OperatorImporter) -> str:
    """The variable whose handle is the first input."""
    handle = o.subgraph.handles.get(o.record.inputs[0]) if o.record.inputs else None
    if handle is None:
        raise o.damaged("its first input is no handle of a variable")
    return handle


def _read_variable(o: OperatorImporter) -> None:
    name = _variable(o)
    o.subgraph.variables.use(name, o.output())
    o.emit("read_variable", [], variable=name)


def _assign_variable(o: OperatorImporter) -> None:
    name, x = _variable(o), o.input(1)
    o.subgraph.variables.use(name, x)
    o.emit("assign_variable", [x], variable=name)


OPERATORS: dict[str, Function] = {
    "CONV_2D": windows.conv2d,
    "DEPTHWISE_CONV_2D": windows.depthwise_conv2d,
    "TRANSPOSE_CONV": windows.transpose_conv,
    "AVERAGE_POOL_2D": windows.pool("average_pool2d"),
    "MAX_POOL_2D": windows.pool("max_pool2d"),
    "FULLY_CONNECTED": _fully_connected,
    "ADD": _with_activation("add", "AddOptions"),
    "SUB": _with_activation("sub", "SubOptions"),
    "MUL": _with_activation("mul", "MulOptions"),
    "DIV": _with_activation("div", "DivOptions"),
    "MINIMUM": _plain("minimum"),
    "MAXIMUM": _plain("maximum"),
    **{name.upper(): _plain(name) for name in arithmetic.PLAIN},
    "GELU": arithmetic.gelu,
    "SELECT": arithmetic.select,
    "BATCH_MATMUL": arithmetic.batch_matmul,
    "CUMSUM": arithmetic.cumsum,
    "EMBEDDING_LOOKUP": arithmetic.embedding_lookup,
    "MEAN": _reduction("mean"),
    "SUM": _reduction("sum"),
    "REDUCE_MAX": _reduction("reduce_max"),
    "REDUCE_MIN": _reduction("reduce_min"),
    "REDUCE_PROD": _reduction("reduce_prod"),
    "SOFTMAX": _with_number("softmax", "SoftmaxOptions", "beta"),
    "LOG_SOFTMAX": _plain("log_softmax"),
    "LOGISTIC": _plain("logistic"),
    "TANH": _plain("tanh"),
    "RELU": _plain("relu"),
    "RELU6": _plain("relu6"),
    "RELU_N1_TO_1": _plain("relu_n1_to_1"),
    "HARD_SWISH": _plain("hard_swish"),
    "ELU": _plain("elu"),
    "LEAKY_RELU": _with_number("leaky_relu", "LeakyReluOptions", "alpha"),
    "PRELU": _plain("prelu"),
    "QUANTIZE": _plain("quantize"),
    "DEQUANTIZE": _plain("dequantize"),
    "CAST": _plain("cast"),
    "RESHAPE": shapes.reshape,
    "SQUEEZE": shapes.squeeze,
    "EXPAND_DIMS": shapes.expand_dims,
    "PAD": shapes.pad,
    "PADV2": shapes.pad,
    "MIRROR_PAD": shapes.mirror_pad,
    "TRANSPOSE": shapes.transpose,
    "REVERSE_V2": shapes.reverse_v2,
    "TILE": shapes.tile,
    "BROADCAST_TO": shapes.broadcast_to,
    "DEPTH_TO_SPACE": shapes.blocks("depth_to_space", "DepthToSpaceOptions"),
    "SPACE_TO_DEPTH": shapes.blocks("space_to_depth", "SpaceToDepthOptions"),
    "SPACE_TO_BATCH_ND": shapes.batches("space_to_batch_nd", "pads"),
    "BATCH_TO_SPACE_ND": shapes.batches("batch_to_space_nd", "crops"),
    "CONCATENATION": shapes.concatenation,
    "SLICE": shapes.slice_,
    "STRIDED_SLICE": shapes.strided_slice,
    "SPLIT": shapes.split,
    "SPLIT_V": shapes.split_v,
    "PACK": shapes.pack,
    "UNPACK": shapes.unpack,
    "GATHER": shapes.gather,
    "RESIZE_NEAREST_NEIGHBOR": _resize("resize_nearest", "ResizeNearestNeighborOptions"),
    "RESIZE_BILINEAR": _resize("resize_bilinear", "ResizeBilinearOptions"),
    "ARG_MAX": _arg_extremum("arg_max"),
    "ARG_MIN": _arg_extremum("arg_min"),
    "SHAPE": _plain("shape"),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": recurrent.unidirectional_sequence_lstm,
    "SVDF": recurrent.svdf,
    "WHILE": import_while,
    "CALL_ONCE": _call_once,
    "VAR_HANDLE": _var_handle,
    "READ_VARIABLE": _read_variable,
    "ASSIGN_VARIABLE": _assign_variable,
}

CUSTOM: dict[str, Function] = {CUSTOM_CODE: ethos_u}
"""The same of custom operators."""
