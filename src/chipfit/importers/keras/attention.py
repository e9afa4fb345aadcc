"""Attention: projections are dense layers, what is compared and mixed are products of computed matrices."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Value
from chipfit.importers.keras.activations import activate
from chipfit.importers.keras.layer import BUILD_FIRST, Function, LayerImporter

_NO_MASK = "masks are not followed: give the model inputs of one length"


def _projection(o: LayerImporter, dense: Any, x: Value, part: str, count: int = 1, factor: float = 1.0) -> Value:
    """A dense layer over the last ``count`` axes of x, its kernel (those axes, outputs...), times ``factor``."""
    if dense is None or dense.kernel is None:
        raise ChipfitError("O002", "it has no weights yet", BUILD_FIRST)
    kernel = o.array(dense.kernel).astype(np.float32)
    outputs = kernel.shape[count:]

    def weights() -> Array:
        return (kernel.reshape(prod(kernel.shape[:count]), -1) * np.float32(factor)).T

    bias = None
    if dense.bias is not None:
        offsets = np.broadcast_to(o.array(dense.bias).astype(np.float32), outputs).reshape(-1) * np.float32(factor)
        bias = o.weight(f"{part}/bias", lambda: offsets)
    flat = o.reshape(x, (*x.shape[: len(x.shape) - count], prod(x.shape[len(x.shape) - count :])))
    y = o.emit("fully_connected", [flat, o.weight(f"{part}/kernel", weights), bias], keep_dims=len(flat.shape) > 2)
    return o.reshape(y, (*flat.shape[:-1], *outputs))


def _einsum_dense(o: LayerImporter) -> Value:
    """Only where the last axes of the input meet the first ones of the kernel: then it is a dense layer."""
    inputs, _, output = o.layer.equation.replace(" ", "").replace("...", "").partition("->")
    x, kernel = inputs.split(",")
    shared = [axis for axis in x if axis in kernel]
    count = len(shared)
    is_dense = count and x.endswith(kernel[:count]) and output == x[: len(x) - count] + kernel[count:]
    if not is_dense or any(axis in output for axis in shared):
        raise o.refuse("equation", "multiply along the last axes, as a Dense layer does: 'abc,cd->abd'")
    bias = o.layer.bias
    if bias is not None and prod(bias.shape) != prod(bias.shape[-len(kernel[count:]) :]):
        raise o.refuse("bias_axes", "use one bias for each output")
    value = o.real(o.x)
    return activate(o, _projection(o, o.layer, value, "dense", count), o.layer.activation)


def _mixed(o: LayerImporter, query: Value, key: Value, value: Value) -> tuple[Value, Value]:
    """softmax(query @ key.T) @ value for each matrix, and the softmax."""
    scores = o.emit("softmax", [o.emit("batch_matmul", [query, key], adj_y=True)])
    return o.emit("batch_matmul", [scores, value]), scores


def _refuse_masks(o: LayerImporter, *names: str) -> None:
    for name in names:
        if o.kwargs.get(name) is not None and o.kwargs.get(name) is not False:
            raise ChipfitError("O002", f"it is called with {name}", _NO_MASK)


def _multi_head_attention(o: LayerImporter) -> list[Value]:
    """The scale of the products is a part of the query's weights. Heads are matrices side by side."""
    layer = o.layer
    _refuse_masks(o, "query_mask", "value_mask", "key_mask", "attention_mask", "use_causal_mask")
    for attribute in ("_use_gate", "_sliding_window"):
        if getattr(layer, attribute, None):
            raise o.refuse(attribute)
    names = ("query", "value", "key")
    given = {name: o.argument(i, name) for i, name in enumerate(names)}
    query, value = (o.real(o.tensor(given[name])) for name in names[:2])
    key = value if given["key"] is None else o.real(o.tensor(given["key"]))
    if any(len(v.shape) != 3 for v in (query, key, value)):
        raise ChipfitError("O002", f"its query is {query.type}, 3 dimensions can be compiled")

    def heads(x: Value, part: str, factor: float = 1.0) -> Value:
        projected = _projection(o, getattr(layer, f"_{part}_dense"), x, part, factor=factor)
        return o.transpose(projected, (0, 2, 1, 3))

    factor = float(layer._inverse_sqrt_key_dim)
    context, scores = _mixed(o, heads(query, "query", factor), heads(key, "key"), heads(value, "value"))
    joined = o.transpose(context, (0, 2, 1, 3))
    y = _projection(o, layer._output_dense, joined, "output", count=2)
    return [y, scores] if o.kwargs.get("return_attention_scores") else [y]


def _attention(o: LayerImporter) -> Value:
    layer, inputs = o.layer, [o.real(v) for v in o.inputs]
    _refuse_masks(o, "mask", "use_causal_mask", "return_attention_scores")
    if layer.score_mode != "dot":
        raise o.refuse("score_mode", "use score_mode='dot'")
    query, value, key = inputs[0], inputs[1], inputs[-1] if len(inputs) > 2 else inputs[1]
    if getattr(layer, "scale", None) is not None:
        query = o.emit("mul", [query, o.weight("scale", lambda: o.variable("scale").reshape(-1))])
    return _mixed(o, query, key, value)[0]


ATTENTION: dict[str, Function] = {
    "EinsumDense": _einsum_dense,
    "MultiHeadAttention": _multi_head_attention,
    "Attention": _attention,
}
