"""Convolutions and pools. TensorFlow Lite knows only SAME and VALID: other padding becomes an operator of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.exporters.tflite.weights import weights
from chipfit.exporters.tflite.writer import ModelWriter, schema
from chipfit.graph import DType, Node, Quant, Shape, TensorType
from chipfit.ops._window import same_pads

ACTIVATIONS = {"none": "NONE", "relu": "RELU", "relu6": "RELU6", "relu_n1_to_1": "RELU_N1_TO_1"}


def activation(node: Node) -> int:
    return getattr(schema.ActivationFunctionType, ACTIVATIONS[node.op.attributes()["act"]])


def bias_type(node: Node) -> dict[str, Any]:
    """The option by which a layer on int16 says that its bias, and so its sums, have 32 bits."""
    b = node.get("b")
    narrow = node["x"].dtype is DType.INT16 and b is not None and b.dtype is DType.INT32
    return {"quantizedBiasType": schema.TensorType.INT32} if narrow else {}


def emit_conv(writer: ModelWriter, node: Node) -> None:
    w = node["w"]
    source, padding = _padded_input(writer, node, (w.shape[1], w.shape[2]), "PAD")
    _emit_weighted(writer, node, "CONV_2D", "Conv2DOptions", source, {"padding": padding})


def emit_depthwise_conv(writer: ModelWriter, node: Node) -> None:
    w = node["w"]
    source, padding = _padded_input(writer, node, (w.shape[1], w.shape[2]), "PAD")
    fields = {"padding": padding, "depthMultiplier": w.shape[3] // node["x"].shape[3]}
    _emit_weighted(writer, node, "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", source, fields)


def emit_transpose_conv(writer: ModelWriter, node: Node) -> None:
    """What neither SAME nor VALID cuts off becomes a SLICE, an activation an operator of its own.

    LiteRT refuses an output of which a convolution would not make the input's size; TensorFlow Lite Micro ignores a
    fused activation on integers.
    """
    main, y, act = writer.main, node["y"], node.op.attributes()["act"]
    if act == "relu_n1_to_1" and y.dtype is DType.INT16:
        raise ChipfitError("O002", f"transpose_conv '{node.name}' ends in RELU_N1_TO_1, which has no form on int16")
    padding, shape = _transposed_form(node)
    steps = (shape != y.shape) + (act != "none")
    tensors = [main.activation(f"{node.name}/sums", replace(y.type, shape=shape))] if steps else []
    tensors += [main.activation(f"{node.name}/kept", y.type)] if steps == 2 else []
    tensors.append(main.tensor(y))
    inputs = [
        main.constant(f"{node.name}/shape", np.array(shape, np.int32)),
        weights(writer, node),
        main.tensor(node["x"]),
        *_bias(writer, node),
    ]
    stride = node.op.attributes()["stride"]
    fields = {"padding": padding, "strideH": stride[0], "strideW": stride[1]}
    main.emit("TRANSPOSE_CONV", inputs, [tensors[0]], "TransposeConvOptions", fields)
    if shape != y.shape:
        top, left, _, _ = node.op.attributes()["pad"]
        begin = main.constant(f"{node.name}/begin", np.array([0, top, left, 0], np.int32))
        size = main.constant(f"{node.name}/size", np.array(y.shape, np.int32))
        main.emit("SLICE", [tensors[0], begin, size], [tensors[1]], "SliceOptions")
    if act != "none":
        main.emit(ACTIVATIONS[act], [tensors[-2]], [tensors[-1]])


def _transposed_form(node: Node) -> tuple[int, Shape]:
    """SAME or VALID, and the shape of the output: that of y, or the whole sums of which y is a part."""
    (n, *inside, _), y, stride = node["x"].shape, node["y"].shape, node.op.attributes()["stride"]
    kernel, (top, left, below, right) = node["w"].shape[1:3], node.op.attributes()["pad"]
    same = tuple(same_pads(out, k, s, 1)[0] for out, k, s in zip(y[1:3], kernel, stride, strict=True))
    if (top, left) == same and all(-(-out // s) == h for out, s, h in zip(y[1:3], stride, inside, strict=True)):
        return schema.Padding.SAME, y
    whole = (
        (h - 1) * s + k - min(0, after) for h, s, k, after in zip(inside, stride, kernel, (below, right), strict=True)
    )
    return schema.Padding.VALID, (n, *whole, y[3])


def emit_max_pool(writer: ModelWriter, node: Node) -> None:
    kernel = node.op.attributes()["kernel"]
    _emit_pool(writer, node, "MAX_POOL_2D", *_padded_input(writer, node, kernel, "PADV2"))


def emit_average_pool(writer: ModelWriter, node: Node) -> None:
    """Borders don't count in an average: padding that is neither SAME nor VALID cannot be said."""
    kernel = node.op.attributes()["kernel"]
    padding = _padding(node, kernel)
    if padding is None:
        raise ChipfitError(
            "O002",
            f"average_pool2d '{node.name}' has the padding {list(node.op.attributes()['pad'])}, which is neither SAME "
            "nor VALID: it has no .tflite form",
        )
    _emit_pool(writer, node, "AVERAGE_POOL_2D", writer.main.tensor(node["x"]), padding)


def _emit_weighted(
    writer: ModelWriter, node: Node, builtin: str, options: str, source: int, fields: dict[str, Any]
) -> None:
    main, a = writer.main, node.op.attributes()
    inputs = [source, weights(writer, node), *_bias(writer, node)]
    fields = {
        **fields,
        **_strides(node),
        "dilationHFactor": a["dilation"][0],
        "dilationWFactor": a["dilation"][1],
        **(bias_type(node) if builtin == "CONV_2D" else {}),
    }
    main.emit(builtin, inputs, [main.tensor(node["y"])], options, fields)


def _bias(writer: ModelWriter, node: Node) -> list[int]:
    """LiteRT refuses convolutions without a bias, or crashes (depthwise, on real numbers): zeros stand for it."""
    main, bias = writer.main, node.get("b")
    if bias is not None:
        return [main.tensor(bias)]
    x, w, y = node["x"], node["w"], node["y"]
    if x.dtype.is_float:
        zeros = np.zeros(y.shape[3], np.float32)
        return [] if node.op.name == "transpose_conv" else [main.constant(f"{node.name}/bias", zeros)]
    scales = tuple(float(np.float32(x.q.s * s)) for s in w.q.scale)
    quant = Quant(scales, (0,) * len(scales), None if w.q.axis is None else 0)
    kind = np.int64 if x.dtype is DType.INT16 else np.int32
    return [main.constant(f"{node.name}/bias", np.zeros(y.shape[3], kind), quant)]


def _emit_pool(writer: ModelWriter, node: Node, builtin: str, source: int, padding: int) -> None:
    height, width = node.op.attributes()["kernel"]
    fields = {"padding": padding, "filterHeight": height, "filterWidth": width, **_strides(node)}
    writer.main.emit(builtin, [source], [writer.main.tensor(node["y"])], "Pool2DOptions", fields)


def _strides(node: Node) -> dict[str, Any]:
    height, width = node.op.attributes()["stride"]
    return {"strideH": height, "strideW": width, "fusedActivationFunction": activation(node)}


def _padding(node: Node, kernel: tuple[int, int]) -> int | None:
    """The schema's SAME or VALID, None where the padding is neither."""
    a = node.op.attributes()
    top, left, bottom, right = a["pad"]
    if (top, left, bottom, right) == (0, 0, 0, 0):
        return schema.Padding.VALID
    _, height, width, _ = node["x"].shape
    dilation = a.get("dilation", (1, 1))
    same_h = same_pads(height, kernel[0], a["stride"][0], dilation[0])
    same_w = same_pads(width, kernel[1], a["stride"][1], dilation[1])
    return schema.Padding.SAME if ((top, bottom), (left, right)) == (same_h, same_w) else None


def _padded_input(writer: ModelWriter, node: Node, kernel: tuple[int, int], builtin: str) -> tuple[int, int]:
    """The tensor to read and SAME or VALID. An own PAD (zeros) or PADV2 (least element) goes before where needed."""
    main, x = writer.main, node["x"]
    source, padding = main.tensor(x), _padding(node, kernel)
    if padding is not None:
        return source, padding
    top, left, bottom, right = node.op.attributes()["pad"]
    n, height, width, channels = x.shape
    type_ = TensorType((n, height + top + bottom, width + left + right, channels), x.dtype, x.type.quant)
    padded = main.activation(f"{node.name}/padded", type_)
    pads = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    inputs = [source, main.constant(f"{node.name}/pads", pads)]
    if builtin == "PADV2":
        least = np.finfo(np.float32).min if x.dtype.is_float else x.dtype.range[0]
        inputs.append(main.constant(f"{node.name}/least", np.array([least], x.dtype.numpy), x.type.quant))
    options = {"PAD": "PadOptions", "PADV2": "PadV2Options"}[builtin]
    main.emit(builtin, inputs, [padded], options)
    return padded, schema.Padding.VALID
