"""SVDF."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Node, Quant, Shape, TensorType
from chipfit.ops._activation import Activation, activation_float, activation_range_float
from chipfit.ops._base import Call, Kernel, Op, Port, float_type, for_types, int8_type, make_node, register
from chipfit.ops._svdf import check_svdf, dsp_call, dsp_reason, eval_svdf_int, integer_call, shape_fields


@register
@dataclass(frozen=True)
class Svdf(Op):
    """A dense layer whose last ``memory`` results are kept, and one filter in time for each of them.

    x: (batch, in); feature: (filters, in); w: (filters, memory), the weights in time; b: (units,); filters = units *
    rank; state: (batch, filters * memory), the oldest result of each filter first. The newest result is (x - zx) @
    feature.T, rescaled to the state's scale; next: the state with it, without the oldest. y: (batch, units), for each
    unit the sum over its ``rank`` filters of next * w, plus b. All but x and the state is constant. A model that keeps
    its state reads ``state`` from a variable, and assigns ``next`` to it.

    int8 inputs, outputs and feature weights, one scale each; state and w int8 or int16, both the same; b int32; ``act``
    is not applied: TFLite leaves it to the range of y. Or all float32, with ``act``. Source: TFLite SVDF, integers as
    in the TFLite Micro reference kernel: the newest result is clamped to the range of its type before the zero point
    is added, which can wrap around in an int8 state. LiteRT takes no integers unless ``act`` is relu.
    """

    name: ClassVar[str] = "svdf"
    inputs: ClassVar[tuple[str, ...]] = ("x", "feature", "w", "b", "state")
    outputs: ClassVar[tuple[str, ...]] = ("y", "next")
    states: ClassVar[tuple[tuple[str, str], ...]] = (("state", "next"),)

    rank: int = 1
    act: Activation = "none"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel("cf_svdf_s8_dsp", for_types("int8"), frozenset({"dsp"}), dsp_reason, dsp_call, weights="int8"),
        Kernel("cf_svdf_s8", for_types("int8"), weights="int8"),
        Kernel("cf_svdf_s8_s16", for_types("int8"), weights="int16"),
        Kernel("cf_svdf_f32", for_types("float32")),
    )

    def infer(self, node: Node) -> Sequence[Shape]:
        x, feature, w = node["x"], node["feature"], node["w"]
        if len(x.shape) != 2 or len(feature.shape) != 2 or len(w.shape) != 2 or 0 in (*x.shape, *w.shape):
            raise ChipfitError("G003", f"{self.name}: {x}, {feature} and {w} need 2 dimensions each")
        (batch, columns), (filters, memory) = x.shape, w.shape
        if self.rank < 1 or filters % self.rank:
            raise ChipfitError("G003", f"{self.name}: {filters} filters are no multiple of rank {self.rank}")
        units = filters // self.rank
        expected = {"feature": (filters, columns), "b": (units,), "state": (batch, filters * memory)}
        for port, shape in expected.items():
            value = node[port]
            if value.shape != shape:
                raise ChipfitError("G003", f"{self.name}: '{value.name}' is {value.type}, expected {list(shape)}")
        return [(batch, units), node["state"].shape]

    def check(self, node: Node) -> None:
        self.infer(node)  # what follows computes with the weights
        check_svdf(node)

    def eval_float(self, node: Node, *x: Array) -> tuple[Array, ...]:
        inputs, feature, w, b, state = x
        newest = inputs @ feature.T
        kept = np.concatenate([state.reshape(-1, *w.shape)[:, :, 1:], newest[:, :, None]], axis=2)
        sums = (kept * w).sum(axis=2).reshape(-1, len(b), self.rank).sum(axis=2)
        return activation_float(self.act, sums + b), kept

    def eval_int(self, node: Node, *x: Array) -> tuple[Array, ...]:
        return eval_svdf_int(node, *x)

    def macs(self, node: Node) -> int:
        filters, memory = node["w"].shape
        batch, columns = node["x"].shape
        return batch * filters * (columns + memory)

    def call(self, node: Node) -> Call:
        if not node["x"].dtype.is_float:
            return integer_call(node)
        low, high = activation_range_float(self.act)
        ports = [Port(name) for name in (*self.inputs, *self.outputs)]
        return Call(ports, {**shape_fields(node), "act_min": low, "act_max": high})

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        cases: list[tuple[int, int, int, int, Svdf]] = [
            (1, 1, 1, 1, cls()),
            (1, 9, 4, 4, cls(act="relu")),
            (2, 17, 6, 8, cls(rank=2)),
            (3, 5, 15, 7, cls(rank=3, act="relu6")),
            (1, 40, 33, 12, cls()),
            (1, 8, 7, 4, cls(act="relu_n1_to_1")),
        ]
        for batch, columns, units, memory, op in cases:
            for dtype in (DType.INT8, DType.INT16):
                for _ in range(2):
                    yield _int8_sample(rng, op, (batch, columns), (units * op.rank, memory), dtype)
            filters = units * op.rank
            feature, w = (rng.normal(0, 0.4, (filters, n)).astype(np.float32) for n in (columns, memory))
            b = rng.normal(0, 1, units).astype(np.float32)
            inputs = {"x": float_type(batch, columns), "feature": feature, "w": w, "b": b}
            yield make_node(op, {**inputs, "state": float_type(batch, filters * memory)}, (DType.FLOAT32, None))


def _int8_sample(rng: np.random.Generator, op: Svdf, x_shape: Shape, w_shape: Shape, dtype: DType) -> Node:
    """The newest results now and then leave the range of the state."""
    (batch, columns), (filters, memory) = x_shape, w_shape
    x = int8_type(rng, *x_shape)
    feature = rng.integers(-127, 128, (filters, columns), dtype=np.int8)
    feature_quant = Quant.per_tensor(float(rng.uniform(0.002, 0.02)))
    most = dtype.range[1]
    # of a sum over inputs of 8 bits
    spread = x.q.s * feature_quant.s * 73 * 74 * float(np.sqrt(columns))
    zero = int(rng.integers(-60, 60)) if dtype is DType.INT8 else 0
    state = Quant.per_tensor(spread * 2.2 / most, zero)
    # the greatest sums in time fit into 32 bits
    reach = min(most, (1 << 30) // (2 * most * memory * op.rank))
    w = rng.integers(-reach, reach + 1, w_shape).astype(dtype.numpy)
    w_quant = Quant.per_tensor(float(rng.uniform(0.5, 2.0)) / reach)
    units = filters // op.rank
    b_quant = Quant.per_tensor(state.s * w_quant.s)
    b = np.round(rng.normal(0, spread, units) / b_quant.s).astype(np.int32)
    y = Quant.per_tensor(spread * float(np.sqrt(memory * op.rank)) / 60, int(rng.integers(-128, 128)))
    inputs = {
        "x": x,
        "feature": (TensorType(feature.shape, DType.INT8, feature_quant), feature),
        "w": (TensorType(w_shape, dtype, w_quant), w),
        "b": (TensorType(b.shape, DType.INT32, b_quant), b),
        "state": TensorType((batch, filters * memory), dtype, state),
    }
    return make_node(op, inputs, (DType.INT8, y), (dtype, state))
