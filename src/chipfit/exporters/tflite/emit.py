"""One table: the operator's name -> the function that writes it as TensorFlow Lite operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.exporters.tflite.loops import emit_scan
from chipfit.exporters.tflite.recurrent import emit_lstm, emit_svdf
from chipfit.exporters.tflite.weights import is_hybrid, weights
from chipfit.exporters.tflite.window import (
    activation,
    bias_type,
    emit_average_pool,
    emit_conv,
    emit_depthwise_conv,
    emit_max_pool,
    emit_transpose_conv,
)
from chipfit.exporters.tflite.writer import ModelWriter, schema
from chipfit.graph import Array, DType, Node

Emitter = Callable[[ModelWriter, Node], None]
Fields = Callable[[Node], dict[str, Any]]


def _plain(builtin: str, options: str | None = None, fields: Fields | None = None) -> Emitter:
    """Inputs and outputs are TensorFlow Lite's in order; only the options are to be filled."""

    def emit(writer: ModelWriter, node: Node) -> None:
        main = writer.main
        main.emit(
            builtin,
            [main.tensor(v) for v in node.inputs],
            [main.tensor(v) for v in node.outputs],
            options,
            fields(node) if fields else {},
        )

    return emit


def _with_constants(builtin: str, options: str | None, constants: Fields, fields: Fields | None = None) -> Emitter:
    """As :func:`_plain`, with constant tensors behind the inputs; ``constants`` gives their names and elements."""

    def emit(writer: ModelWriter, node: Node) -> None:
        main = writer.main
        extra = [main.constant(f"{node.name}/{name}", _int32(data)) for name, data in constants(node).items()]
        main.emit(
            builtin,
            [main.tensor(v) for v in node.inputs] + extra,
            [main.tensor(v) for v in node.outputs],
            options,
            fields(node) if fields else {},
        )

    return emit


def _int32(data: Any) -> Array:
    return np.array(data, np.int32)


def _act_field(node: Node) -> dict[str, Any]:
    return {"fusedActivationFunction": activation(node)}


def _sum_fields(node: Node) -> dict[str, Any]:
    """Scales of int16 are any numbers; the schema's default says that they are powers of two."""
    general = {"potScaleInt16": False} if node.operands[0].dtype is DType.INT16 else {}
    return {**_act_field(node), **general}


def _attribute(field: str, attribute: str) -> Fields:
    return lambda node: {field: node.op.attributes()[attribute]}


def _attributes(*names: str) -> Fields:
    return lambda node: {name: node.op.attributes()[name] for name in names}


def _reducer(builtin: str) -> Emitter:
    return _with_constants(
        builtin,
        "ReducerOptions",
        lambda node: {"axes": node.op.attributes()["axes"]},
        _attribute("keepDims", "keep_dims"),
    )


def _resize(builtin: str, options: str) -> Emitter:
    def fields(node: Node) -> dict[str, Any]:
        a = node.op.attributes()
        return {"alignCorners": a["align_corners"], "halfPixelCenters": a["half_pixel_centers"]}

    return _with_constants(builtin, options, lambda node: {"size": node.op.attributes()["size"]}, fields)


def _emit_fully_connected(writer: ModelWriter, node: Node) -> None:
    main, keep = writer.main, node.op.attributes()["keep_dims"]
    main.emit(
        "FULLY_CONNECTED",
        [main.tensor(node["x"]), weights(writer, node), main.tensor(node.get("b"))],
        [main.tensor(node["y"])],
        "FullyConnectedOptions",
        {**_act_field(node), "keepNumDims": keep, "asymmetricQuantizeInputs": is_hybrid(node), **bias_type(node)},
    )


def _emit_reshape(writer: ModelWriter, node: Node) -> None:
    main, shape = writer.main, list(node["y"].shape)
    inputs = [main.tensor(node["x"]), main.constant(f"{node.name}/shape", _int32(shape))]
    main.emit("RESHAPE", inputs, [main.tensor(node["y"])], "ReshapeOptions", {"newShape": shape})


def _emit_pad(writer: ModelWriter, node: Node) -> None:
    main, a = writer.main, node.op.attributes()
    x, y = node["x"], node["y"]
    inputs = [main.tensor(x), main.constant(f"{node.name}/pads", _int32(a["pads"]).reshape(-1, 2))]
    if a["value"] is None:
        main.emit("PAD", inputs, [main.tensor(y)], "PadOptions", {})
        return
    value = main.constant(f"{node.name}/value", np.array([a["value"]], x.dtype.numpy), x.type.quant)
    main.emit("PADV2", [*inputs, value], [main.tensor(y)], "PadV2Options", {})


def _emit_mirror_pad(writer: ModelWriter, node: Node) -> None:
    main, a = writer.main, node.op.attributes()
    pads = main.constant(f"{node.name}/pads", _int32(a["pads"]).reshape(-1, 2))
    mode = getattr(schema.MirrorPadMode, a["mode"].upper())
    main.emit(
        "MIRROR_PAD", [main.tensor(node["x"]), pads], [main.tensor(node["y"])], "MirrorPadOptions", {"mode": mode}
    )


def _emit_strided_slice(writer: ModelWriter, node: Node) -> None:
    main, a = writer.main, node.op.attributes()
    # a negative end would count from the back: "before element 0" can only be said by the mask
    end_mask = sum(1 << i for i, end in enumerate(a["end"]) if end < 0)
    shrink_mask = sum(1 << i for i in a["shrink_axes"])
    constants = [main.constant(f"{node.name}/{name}", _int32(a[name])) for name in ("begin", "end", "strides")]
    main.emit(
        "STRIDED_SLICE",
        [main.tensor(node["x"]), *constants],
        [main.tensor(node["y"])],
        "StridedSliceOptions",
        {"endMask": end_mask, "shrinkAxisMask": shrink_mask},
    )


def _emit_split(writer: ModelWriter, node: Node) -> None:
    main, a = writer.main, node.op.attributes()
    x, outputs = main.tensor(node["x"]), [main.tensor(v) for v in node.outputs]
    axis = main.constant(f"{node.name}/axis", _int32(a["axis"]))
    count = {"numSplits": len(outputs)}
    if len(set(a["sizes"])) == 1:
        main.emit("SPLIT", [axis, x], outputs, "SplitOptions", count)
        return
    sizes = main.constant(f"{node.name}/sizes", _int32(a["sizes"]))
    main.emit("SPLIT_V", [x, sizes, axis], outputs, "SplitVOptions", count)


def _emit_read_variable(writer: ModelWriter, node: Node) -> None:
    handle = writer.handle(node.op.attributes()["variable"])
    if handle is not None:
        writer.main.emit("READ_VARIABLE", [handle], [writer.main.tensor(node["y"])], "ReadVariableOptions")


def _emit_assign_variable(writer: ModelWriter, node: Node) -> None:
    handle = writer.handle(node.op.attributes()["variable"])
    if handle is not None:
        writer.main.emit("ASSIGN_VARIABLE", [handle, writer.main.tensor(node["x"])], [], "AssignVariableOptions")


def _tensor_type(dtype: DType) -> int:
    return getattr(schema.TensorType, dtype.name)


def _cast_fields(node: Node) -> dict[str, Any]:
    return {"inDataType": _tensor_type(node["x"].dtype), "outDataType": _tensor_type(node["y"].dtype)}


def _axis_and_count(field: str, count: Callable[[Node], int]) -> Fields:
    return lambda node: {"axis": node.op.attributes()["axis"], field: count(node)}


def _arg_extremum(builtin: str, options: str) -> Emitter:
    return _with_constants(
        builtin, options, _attribute("axis", "axis"), lambda node: {"outputType": _tensor_type(node["y"].dtype)}
    )


def _adjoints(node: Node) -> dict[str, Any]:
    a = node.op.attributes()
    return {"adjX": a["adj_x"], "adjY": a["adj_y"]}


def _cumsum_fields(node: Node) -> dict[str, Any]:
    a = node.op.attributes()
    return {"exclusive": a["exclusive"], "reverse": a["reverse"]}


#: operators of the same name without options: the name of their empty table, None where there is none
_PLAIN: dict[str, str | None] = {
    "abs": "AbsOptions",
    "neg": "NegOptions",
    "exp": "ExpOptions",
    "log": None,
    "sqrt": None,
    "rsqrt": None,
    "square": "SquareOptions",
    "sin": None,
    "cos": "CosOptions",
    "floor": None,
    "ceil": None,
    "round": None,
    "sign": "SignOptions",
    "squared_difference": "SquaredDifferenceOptions",
    "pow": "PowOptions",
    "equal": "EqualOptions",
    "not_equal": "NotEqualOptions",
    "greater": "GreaterOptions",
    "greater_equal": "GreaterEqualOptions",
    "less": "LessOptions",
    "less_equal": "LessEqualOptions",
    "logical_and": "LogicalAndOptions",
    "logical_or": "LogicalOrOptions",
    "logical_not": "LogicalNotOptions",
    "select_v2": "SelectV2Options",
    "gather_nd": "GatherNdOptions",
}


EMITTERS: dict[str, Emitter] = {
    "conv2d": emit_conv,
    "depthwise_conv2d": emit_depthwise_conv,
    "transpose_conv": emit_transpose_conv,
    "fully_connected": _emit_fully_connected,
    "add": _plain("ADD", "AddOptions", _sum_fields),
    "sub": _plain("SUB", "SubOptions", _sum_fields),
    "mul": _plain("MUL", "MulOptions", _act_field),
    "div": _plain("DIV", "DivOptions", _act_field),
    "minimum": _plain("MINIMUM", "MaximumMinimumOptions"),
    "maximum": _plain("MAXIMUM", "MaximumMinimumOptions"),
    "average_pool2d": emit_average_pool,
    "max_pool2d": emit_max_pool,
    "mean": _reducer("MEAN"),
    "sum": _reducer("SUM"),
    "reduce_max": _reducer("REDUCE_MAX"),
    "reduce_min": _reducer("REDUCE_MIN"),
    "reduce_prod": _reducer("REDUCE_PROD"),
    **{name: _plain(name.upper(), options) for name, options in _PLAIN.items()},
    "gelu": _plain("GELU", "GeluOptions", _attribute("approximate", "approximate")),
    "batch_matmul": _plain("BATCH_MATMUL", "BatchMatMulOptions", _adjoints),
    "cumsum": _with_constants("CUMSUM", "CumsumOptions", _attribute("axis", "axis"), _cumsum_fields),
    "softmax": _plain("SOFTMAX", "SoftmaxOptions", _attribute("beta", "beta")),
    "log_softmax": _plain("LOG_SOFTMAX", "LogSoftmaxOptions"),
    "logistic": _plain("LOGISTIC"),
    "tanh": _plain("TANH"),
    "relu": _plain("RELU"),
    "relu6": _plain("RELU6"),
    "relu_n1_to_1": _plain("RELU_N1_TO_1"),
    "hard_swish": _plain("HARD_SWISH", "HardSwishOptions"),
    "elu": _plain("ELU"),
    "leaky_relu": _plain("LEAKY_RELU", "LeakyReluOptions", _attribute("alpha", "alpha")),
    "prelu": _plain("PRELU"),
    "quantize": _plain("QUANTIZE", "QuantizeOptions"),
    "dequantize": _plain("DEQUANTIZE", "DequantizeOptions"),
    "cast": _plain("CAST", "CastOptions", _cast_fields),
    "reshape": _emit_reshape,
    "squeeze": _plain("SQUEEZE", "SqueezeOptions", lambda node: {"squeezeDims": list(node.op.attributes()["axes"])}),
    "expand_dims": _with_constants("EXPAND_DIMS", "ExpandDimsOptions", _attribute("axis", "axis")),
    "pad": _emit_pad,
    "mirror_pad": _emit_mirror_pad,
    "transpose": _with_constants("TRANSPOSE", "TransposeOptions", _attribute("perm", "perm")),
    "reverse_v2": _with_constants("REVERSE_V2", "ReverseV2Options", _attribute("axes", "axes")),
    "tile": _with_constants("TILE", "TileOptions", _attribute("multiples", "multiples")),
    "broadcast_to": _with_constants("BROADCAST_TO", "BroadcastToOptions", _attribute("shape", "shape")),
    "depth_to_space": _plain("DEPTH_TO_SPACE", "DepthToSpaceOptions", _attribute("blockSize", "block")),
    "space_to_depth": _plain("SPACE_TO_DEPTH", "SpaceToDepthOptions", _attribute("blockSize", "block")),
    "space_to_batch_nd": _with_constants("SPACE_TO_BATCH_ND", "SpaceToBatchNDOptions", _attributes("block", "pads")),
    "batch_to_space_nd": _with_constants("BATCH_TO_SPACE_ND", "BatchToSpaceNDOptions", _attributes("block", "crops")),
    "concatenation": _plain(
        "CONCATENATION", "ConcatenationOptions", lambda node: {**_attribute("axis", "axis")(node), **_act_field(node)}
    ),
    "slice": _with_constants(
        "SLICE",
        "SliceOptions",
        lambda node: {"begin": node.op.attributes()["begin"], "size": node.op.attributes()["size"]},
    ),
    "strided_slice": _emit_strided_slice,
    "split": _emit_split,
    "pack": _plain("PACK", "PackOptions", _axis_and_count("valuesCount", lambda node: len(node.inputs))),
    "unpack": _plain("UNPACK", "UnpackOptions", _axis_and_count("num", lambda node: len(node.outputs))),
    "gather": _plain(
        "GATHER",
        "GatherOptions",
        lambda node: {"axis": node.op.attributes()["axis"], "batchDims": node.op.attributes()["batch_dims"]},
    ),
    "resize_nearest": _resize("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"),
    "resize_bilinear": _resize("RESIZE_BILINEAR", "ResizeBilinearOptions"),
    "arg_max": _arg_extremum("ARG_MAX", "ArgMaxOptions"),
    "arg_min": _arg_extremum("ARG_MIN", "ArgMinOptions"),
    "shape": _plain("SHAPE", "ShapeOptions", lambda node: {"outType": _tensor_type(node["y"].dtype)}),
    "unidirectional_sequence_lstm": emit_lstm,
    "svdf": emit_svdf,
    "scan": lambda writer, node: emit_scan(writer, node, emit_node),
    "read_variable": _emit_read_variable,
    "assign_variable": _emit_assign_variable,
}


def require_form(node: Node) -> None:
    """Raise ChipfitError O002 where TensorFlow Lite has no form for an operator."""
    if node.op.name not in EMITTERS:
        types = ", ".join(str(v.type) for v in node.operands)
        raise ChipfitError("O002", f"{node.op.name} '{node.name}' ({types}) has no .tflite form")


def emit_node(writer: ModelWriter, node: Node) -> None:
    """Write the operators of a node, also one inside of a SCAN."""
    require_form(node)
    EMITTERS[node.op.name](writer, node)
