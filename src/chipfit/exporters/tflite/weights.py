"""The weights of layers, in the forms in which TensorFlow Lite has small ones at float activations."""

from __future__ import annotations

from dataclasses import replace

from chipfit.exporters.tflite.writer import ModelWriter
from chipfit.graph import DType, Node, Quant, TensorType, Value


def weights(writer: ModelWriter, node: Node) -> int:
    """The tensor that a layer reads as its weights.

    int8 weights of a float layer make it what TensorFlow Lite calls hybrid. Such a depthwise convolution needs a scale
    for each channel: with one scale LiteRT computes nonsense; one in groups it then refuses. float16 weights pass
    through a DEQUANTIZE, since no kernel takes them.
    """
    main, w = writer.main, node["w"]
    if w.dtype is DType.FLOAT16:
        real = main.activation(f"{w.name}/real", TensorType(w.shape, DType.FLOAT32))
        main.emit("DEQUANTIZE", [main.tensor(w)], [real], "DequantizeOptions")
        return real
    axis = _axis_of_scales(node) if is_hybrid(node) and w.q.axis is None else None
    if axis is not None:
        channels = w.shape[axis]
        w = Value(w.name, replace(w.type, quant=Quant(w.q.scales(channels), (0,) * channels, axis)), w.data)
    return main.tensor(w)


def _axis_of_scales(node: Node) -> int | None:
    """The axis along which LiteRT's kernel must find a scale for each channel; None: one scale will do."""
    if node.op.name == "depthwise_conv2d":
        return 3
    return 0 if node.op.name == "conv2d" and node["w"].shape[3] != node["x"].shape[3] else None


def is_hybrid(node: Node) -> bool:
    """Whether a layer has float activations and int8 weights."""
    return node["x"].dtype is DType.FLOAT32 and node["w"].dtype is DType.INT8
