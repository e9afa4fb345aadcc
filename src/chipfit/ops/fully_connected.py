"""FULLY_CONNECTED."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import INT32_MAX, requantize
from chipfit.graph import Array, DType, Node, Quant, Shape, TensorType
from chipfit.ops._activation import Activation, activation_float
from chipfit.ops._avr import dense_kernel
from chipfit.ops._base import Arg, Call, Const, Kernel, Op, Port, float_type, for_types, int8_type, make_node, register
from chipfit.ops._channels import constant_operands
from chipfit.ops._checks import require_weight_scales
from chipfit.ops._dense import dense_multipliers, dense_range
from chipfit.ops._dense_dsp import dense_dsp_call, dense_dsp_reason
from chipfit.ops._dense_mla import dense_mla_call
from chipfit.ops._dense_mve import dense_mve_call
from chipfit.ops._dense_scalar import dense_scalar_call, dense_scalar_reason, dense_thumb1_call
from chipfit.ops._layers_s16 import arguments_s16, check_s16, is_s16, requantize_s16
from chipfit.ops._layers_s16_dsp import DENSE_KERNELS_S16
from chipfit.ops._roles import Roles, weighted
from chipfit.ops._samples_s16 import s16_sample
from chipfit.ops._small import dense_small_call, dense_small_reason
from chipfit.ops._steps import rows_in_order
from chipfit.ops._traversal import Traversal
from chipfit.ops._weights_only import float_call, float_kernels, real_weights, small_weight_samples
from chipfit.ops._window import require_int8_weights


def _copied_rows(node: Node, backward: bool) -> Traversal | None:
    """Kernels that copy a row of x before they write its outputs."""
    return None if backward else rows_in_order(node, staged=True)


def _rows(node: Node, backward: bool) -> Traversal | None:
    """Kernels that read a row of x again for every few outputs."""
    return None if backward else rows_in_order(node, staged=False)


def _of_one_row(call: Callable[[Node, slice], Call]) -> Callable[[Node, int, int], Call | None]:
    """``Kernel.part`` of kernels that write the outputs of a row one after the other."""

    def part(node: Node, first: int, end: int) -> Call | None:
        is_single = node["y"].type.size == node["w"].shape[0]
        return call(node, slice(first, end)) if is_single else None

    return part


@register
@dataclass(frozen=True)
class FullyConnected(Op):
    """y = act((x - zx) @ w.T + b), requantized per tensor or per output.

    x: any shape whose size is a multiple of ``in``; w: (out, in), may be computed; b: (out,), int32 (float32 in float
    models), optional. y: (rows, out), or x's shape with the last axis replaced if ``keep_dims``.
    In float models w can be int8 (symmetric, one scale or one per output channel) or float16: arithmetic stays float32,
    with the real weights. LiteRT instead quantizes x as it runs where w is int8, so its results differ by that noise.
    Source: TFLite FULLY_CONNECTED; integers as in the TFLite Micro reference kernel, which rounds twice. LiteRT's
    reference kernel multiplies by the scale in double precision and rounds once, so its outputs can differ by one.
    """

    name: ClassVar[str] = "fully_connected"
    inputs: ClassVar[tuple[str, ...]] = ("x", "w", "b?")
    quant: ClassVar[Roles] = weighted(axis=0)

    act: Activation = "none"
    keep_dims: bool = False

    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel(
            "cf_conv2d_s8_dsp_small",
            for_types("int8"),
            frozenset({"dsp"}),
            dense_small_reason,
            dense_small_call,
            compact=True,
        ),
        Kernel(
            "cf_fully_connected_s8_mve",
            for_types("int8"),
            frozenset({"mve"}),
            constant_operands,
            dense_mve_call,
            per_mac=0.16,
            traversal=_rows,
        ),
        Kernel(
            "cf_fully_connected_s8_dsp_wide",
            for_types("int8"),
            frozenset({"dsp"}),
            lambda n: dense_dsp_reason(n, "wide"),
            lambda n: dense_dsp_call(n, "wide"),
            weight_bytes=2.0,
            per_mac=0.72,
            traversal=_copied_rows,
        ),
        Kernel(
            "cf_fully_connected_s8_dsp",
            for_types("int8"),
            frozenset({"dsp"}),
            lambda n: dense_dsp_reason(n, "pairs"),
            lambda n: dense_dsp_call(n, "pairs"),
            per_mac=0.91,
            traversal=_copied_rows,
            part=_of_one_row(lambda n, part: dense_dsp_call(n, "pairs", part)),
        ),
        Kernel(
            "cf_fully_connected_s8_dsp",
            for_types("int8"),
            frozenset({"dsp"}),
            lambda n: dense_dsp_reason(n, "bytes"),
            lambda n: dense_dsp_call(n, "bytes"),
            per_mac=1.05,
            form="no scratch",
            traversal=_rows,
            part=_of_one_row(lambda n, part: dense_dsp_call(n, "bytes", part)),
        ),
        Kernel(
            "cf_fully_connected_s8_mla",
            for_types("int8"),
            frozenset({"mla"}),
            dense_scalar_reason,
            dense_mla_call,
            traversal=_rows,
            part=_of_one_row(dense_mla_call),
        ),
        Kernel(
            "cf_fully_connected_s8_scalar",
            for_types("int8"),
            frozenset({"mulh"}),
            dense_scalar_reason,
            dense_scalar_call,
            traversal=_rows,
            part=_of_one_row(dense_scalar_call),
        ),
        Kernel(
            "cf_fully_connected_s8_thumb1",
            for_types("int8"),
            frozenset({"thumb1"}),
            dense_scalar_reason,
            dense_thumb1_call,
            traversal=_copied_rows,
            part=_of_one_row(dense_thumb1_call),
        ),
        dense_kernel(_rows),
        Kernel("cf_fully_connected_s8", for_types("int8"), traversal=_rows),
        *DENSE_KERNELS_S16,
        *float_kernels("fully_connected", _rows),
    )

    def infer(self, node: Node) -> Sequence[Shape]:
        x, w, b = node["x"], node["w"], node.get("b")
        if len(w.shape) != 2 or 0 in w.shape or x.type.size % w.shape[1]:
            raise ChipfitError("G003", f"{self.name}: '{x.name}' {x.type} does not fit the weights '{w.name}' {w.type}")
        out, columns = w.shape
        if b is not None and b.shape != (out,):
            raise ChipfitError("G003", f"{self.name}: bias '{b.name}' is {b.type}, expected ({out},)")
        if not self.keep_dims:
            return [(x.type.size // columns, out)]
        if not x.shape or x.shape[-1] != columns:
            raise ChipfitError(
                "G003", f"{self.name}: '{x.name}' {x.type} does not end in {columns}, as '{w.name}' does"
            )
        return [(*x.shape[:-1], out)]

    def check(self, node: Node) -> None:
        if is_s16(node):
            check_s16(node, axis=0)
            return
        require_int8_weights(node)
        require_weight_scales(node, axis=0)

    def eval_float(self, node: Node, *x: Array) -> Array:
        acc = x[0].reshape(-1, x[1].shape[1]) @ real_weights(node["w"], x[1]).T
        return activation_float(self.act, acc + x[2] if len(x) > 2 else acc)

    def eval_int(self, node: Node, *x: Array) -> Array:
        y = node["y"]
        # float64 holds every sum of int8 products exactly (far below 2**53), and uses fast matrix products
        rows = x[0].reshape(-1, x[1].shape[1]).astype(np.float64) - node["x"].q.zp
        acc = (rows @ x[1].astype(np.float64).T).astype(np.int64)
        if len(x) > 2:
            acc = acc + x[2].astype(np.int64)
        if is_s16(node):
            return requantize_s16(node, acc)
        m, shift = dense_multipliers(node)
        return requantize(acc, m, shift, y.q.zp, *dense_range(node))

    def macs(self, node: Node) -> int:
        return node["y"].type.size * node["w"].shape[1]

    def call(self, node: Node) -> Call:
        w, y = node["w"], node["y"]
        out, columns = w.shape
        shape = {"rows": y.type.size // out, "in": columns, "out": out}
        if y.dtype is DType.FLOAT32:
            return float_call(node, shape)
        if is_s16(node):
            args, fields = arguments_s16(node)
            return Call(args, {**shape, **fields})
        m, shift = dense_multipliers(node)
        low_q, high_q = dense_range(node)
        bias, in_zero = _folded_bias(node)
        quant = {"in_zero": in_zero, "per_output": int(len(m) > 1), "out_zero": y.q.zp}
        args = [Port("x"), Port("w"), bias, Const("m", m, "weights"), Const("shift", shift, "weights"), Port("y")]
        return Call(args, {**shape, **quant, "act_min": low_q, "act_max": high_q})

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        cases: list[tuple[Shape, Shape, FullyConnected]] = [
            ((1, 1), (1, 1), cls()),
            ((1, 16), (4, 16), cls(act="relu")),
            ((3, 17), (5, 17), cls(act="relu6")),
            ((1, 3, 4, 2), (7, 24), cls()),
            ((2, 3, 8), (3, 8), cls(keep_dims=True)),
            ((4, 6), (11, 6), cls(act="relu_n1_to_1", keep_dims=True)),
            ((12,), (2, 12), cls()),
            ((1, 640), (8, 640), cls(act="relu")),
            ((2, 100), (6, 100), cls()),
        ]
        for x_shape, w_shape, op in cases:
            for kind in ("per_tensor", "per_output", "no_bias", "computed"):
                yield _int8_sample(rng, op, x_shape, w_shape, kind)
            w = rng.normal(0, 0.3, w_shape).astype(np.float32)
            b = rng.normal(0, 1, w_shape[0]).astype(np.float32)
            yield (node := make_node(op, {"x": float_type(*x_shape), "w": w, "b": b}, (DType.FLOAT32, None)))
            yield from small_weight_samples(rng, node, axis=0)
            yield s16_sample(rng, op, x_shape, w_shape, 0)
            yield s16_sample(rng, op, x_shape, w_shape, 0, bias="int32", per_tensor=True)
            yield s16_sample(rng, op, x_shape, w_shape, 0, bias="none", gain=6.0)
        for x_shape, w_shape in [((1, 1100), (5, 1100)), ((3, 530), (7, 530))]:
            yield s16_sample(rng, cls(), x_shape, w_shape, 0, heavy=True)
            yield s16_sample(rng, cls(act="relu"), x_shape, w_shape, 0, heavy=True, gain=1e5)
        yield s16_sample(rng, cls(), (2, 24), (6, 24), 0, far=True)
        yield s16_sample(rng, cls(), (2, 24), (6, 24), 0, per_tensor=True, computed=True)
        yield make_node(cls(), {"x": float_type(2, 3), "w": float_type(5, 3)}, (DType.FLOAT32, None))


def _folded_bias(node: Node) -> tuple[Arg, int]:
    """The bias argument and the input zero point that is left to subtract.

    ``(x - zx) @ w.T + b = x @ w.T + (b - zx * sum(w))``: with constant weights the zero point costs nothing at run
    time. Not done where a sum of the kernel could then leave int32.
    """
    zero, w, b = node["x"].q.zp, node["w"], node.get("b")
    if zero == 0 or not w.is_const or (b is not None and not b.is_const):
        return Port("b"), zero
    weights = w.array.astype(np.int64)
    folded = -zero * weights.sum(axis=1) + (0 if b is None else b.array.astype(np.int64))
    if int((np.abs(folded) + 128 * np.abs(weights).sum(axis=1)).max()) > INT32_MAX:
        return Port("b"), zero
    return Const("b", folded.astype(np.int32), "weights"), 0


def _int8_sample(rng: np.random.Generator, op: FullyConnected, x_shape: Shape, w_shape: Shape, kind: str) -> Node:
    x = int8_type(rng, *x_shape)
    out, columns = w_shape
    scales = tuple(float(s) for s in rng.uniform(1e-4, 2e-2, out if kind == "per_output" else 1).astype(np.float32))
    zeros, axis = (0,) * len(scales), (0 if kind == "per_output" else None)
    w_type = TensorType(w_shape, DType.INT8, Quant(scales, zeros, axis))
    w = rng.integers(-127, 128, w_shape, dtype=np.int8)
    b = rng.integers(-3000, 3000, out, dtype=np.int32)
    b_type = TensorType(b.shape, DType.INT32, Quant(tuple(x.q.s * s for s in scales), zeros, axis))
    # about the spread of the sums, so that outputs fill the range instead of clamping
    spread = x.q.s * max(scales) * 73 * 73 * math.sqrt(columns) / 64
    y = Quant.per_tensor(spread * float(rng.uniform(0.5, 2.0)), int(rng.integers(-128, 128)))
    weights = w_type if kind == "computed" else (w_type, w)
    return make_node(op, {"x": x, "w": weights, "b": None if kind == "no_bias" else (b_type, b)}, (DType.INT8, y))
