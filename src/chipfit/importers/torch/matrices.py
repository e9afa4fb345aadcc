"""Matrix products: dense layers, products of two tensors, attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Value
from chipfit.importers.torch.call import CallImporter, Function
from chipfit.importers.torch.elementwise import promoted

_MASKED = -1e4
"""What is added to a score that does not count: its exponential is 0, and scores still have a range of their own."""


def _dense(o: CallImporter, x: Value, w: Value, bias: Value | None) -> Value:
    """x @ w.T + bias. x: (..., in), w: (out, in)."""
    shape = (*x.shape[:-1], w.shape[0])
    rows = x if len(x.shape) > 1 else o.reshape(x, (1, *x.shape))
    y = o.emit("fully_connected", [rows, w, bias], keep_dims=len(rows.shape) > 2)
    return o.reshape(y, shape)


def _linear(o: CallImporter) -> Value:
    return _dense(o, o.real, o.operand("weight"), o.optional("bias"))


def _transposed(o: CallImporter, w: Value) -> Value:
    """A constant matrix, once, however many products ask for it."""
    return o.channels.weights(w, (1, 0), w.shape, o.base)


def product(o: CallImporter, a: Value, b: Value) -> Value:
    """a @ b as torch.matmul has it: vectors are rows or columns, other axes are broadcast."""
    if b.is_const and len(b.shape) == 2:
        return _dense(o, a, _transposed(o, b), None)
    shape = list(np.broadcast_shapes(a.shape[:-2], b.shape[:-2]))
    shape += a.shape[-2:-1] if len(a.shape) > 1 else ()
    shape += b.shape[-1:] if len(b.shape) > 1 else ()
    rank = max(2, len(a.shape), len(b.shape))
    if len(b.shape) == 1:
        b = o.reshape(b, (*b.shape, 1))
    a, b = (v if len(v.shape) == rank else o.reshape(v, (1,) * (rank - len(v.shape)) + v.shape) for v in (a, b))
    return o.reshape(o.emit("batch_matmul", [a, b]), shape)


def _matmul(second: str) -> Function:
    return lambda o: product(o, *(o.cast(v, DType.FLOAT32) for v in (o.x, o.operand(second))))


def _plus(o: CallImporter, y: Value) -> Value:
    """beta * self + alpha * y."""
    alpha, beta = float(o.get("alpha", 1)), float(o.get("beta", 1))
    if alpha != 1:
        y = o.emit("mul", [y, o.real_number("alpha", alpha)])
    if beta == 0:
        return y
    offset = o.real if beta == 1 else o.emit("mul", [o.real, o.real_number("beta", beta)])
    return o.emit("add", promoted(o, y, offset))


def _addmm(o: CallImporter) -> Value:
    """A dense layer, where the second matrix and what is added are constant."""
    a, b, offset = o.operand("mat1"), o.operand("mat2"), o.real
    is_dense = b.is_const and offset.is_const and offset.shape == b.shape[1:]
    if is_dense and o.get("alpha", 1) == 1 and o.get("beta", 1) == 1:
        return _dense(o, a, _transposed(o, b), offset)
    return _plus(o, product(o, a, b))


def _baddbmm(o: CallImporter) -> Value:
    return _plus(o, product(o, o.operand("batch1"), o.operand("batch2")))


def _masked(o: CallImporter, scores: Value) -> Value:
    """Scores plus a mask: numbers, or false for what does not count. Causal: nothing that comes later counts."""
    mask: Any = o.args.get("attn_mask")
    if o.flag("is_causal"):
        offset = np.where(np.tril(np.ones(scores.shape[-2:], np.bool_)), 0, _MASKED).astype(np.float32)
        return o.emit("add", [scores, o.with_rank(o.constant("mask", offset), len(scores.shape))])
    if mask is None:
        return scores
    value = o.tensor(mask)
    if not value.is_const:
        if value.dtype is DType.BOOL:
            raise ChipfitError("O002", "its attn_mask is computed and boolean", "use a mask of numbers that is added")
        return o.emit("add", promoted(o, scores, value))
    data = np.where(value.array, 0.0, _MASKED) if value.dtype is DType.BOOL else np.maximum(value.array, _MASKED)
    return o.emit("add", [scores, o.with_rank(o.constant("mask", data.astype(np.float32)), len(scores.shape))])


def _attention(o: CallImporter) -> Value:
    """softmax(scale * query @ key.T + mask) @ value. Source: torch scaled_dot_product_attention."""
    if o.get("dropout_p", 0.0):
        raise ChipfitError("O002", "it drops scores at random", "export the model in evaluation mode: module.eval()")
    if o.flag("enable_gqa"):
        raise ChipfitError("O002", "enable_gqa cannot be compiled", "repeat the heads of key and value before")
    query, key, value = (o.cast(o.operand(name), DType.FLOAT32) for name in ("query", "key", "value"))
    scale = float(o.get("scale", 1 / math.sqrt(query.shape[-1])))
    scaled = o.emit("mul", [query, o.real_number("scale", scale)])
    scores = product(o, scaled, o.swapped(key))
    return product(o, o.emit("softmax", [_masked(o, scores)]), value)


MATRICES: dict[str, Function] = {
    "linear": _linear,
    "addmm": _addmm,
    "mm": _matmul("mat2"),
    "bmm": _matmul("mat2"),
    "matmul": _matmul("other"),
    "mv": _matmul("vec"),
    "dot": _matmul("tensor"),
    "baddbmm": _baddbmm,
    "scaled_dot_product_attention": _attention,
}
