"""UNIDIRECTIONAL_SEQUENCE_LSTM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Node, Quant, Shape, TensorType
from chipfit.ops._base import Call, Kernel, Op, float_type, for_types, int8_type, int16_type, make_node, register
from chipfit.ops._lstm import BIASES, GATES, HIDDEN_WEIGHTS, INPUT_WEIGHTS, check_lstm, eval_lstm_int, weights_of
from chipfit.ops._lstm_calls import dsp_call, dsp_reason, portable_call
from chipfit.ops._sigmoid import logistic_float


@register
@dataclass(frozen=True)
class UnidirectionalSequenceLstm(Op):
    """An LSTM layer over all steps: i, f, o = logistic(x @ w.T + b + h @ r.T), g = tanh(the same); for each step
    c = f * c + i * g, clipped to -cell_clip .. cell_clip where that is positive, and h = o * tanh(c), an output.

    x: (batch, steps, in), or (steps, batch, in) if ``time_major``; for each gate in the order i, f, g, o: w: (units,
    in), r: (units, units), b: (units,), all constant; h, c: (batch, units), the state before the first step. y: h of
    all steps, in the layout of x; hn, cn: the state after the last step. A model that keeps its state reads h and c
    from variables, and assigns hn and cn to them.

    int8 or int16 activations (int16: zero points 0) and int8 weights with one scale each; bias int32, with int16
    activations int64; cell state int16, its scale a power of two; h, hn and y have the same scale. Or all float32.
    Source: TFLite UNIDIRECTIONAL_SEQUENCE_LSTM as TFLite Micro has it: no peepholes, no projection, no normalization,
    no coupled gates. Sums over x and over h are rounded to 16 bits each before they are added. LiteRT's int8 kernels
    round elsewhere, so that outputs differ, the more the longer the state goes on; they have no int16 activations.
    """

    name: ClassVar[str] = "unidirectional_sequence_lstm"
    inputs: ClassVar[tuple[str, ...]] = ("x", *INPUT_WEIGHTS, *HIDDEN_WEIGHTS, *BIASES, "h", "c")
    outputs: ClassVar[tuple[str, ...]] = ("y", "hn", "cn")
    states: ClassVar[tuple[tuple[str, str], ...]] = (("h", "hn"), ("c", "cn"))

    time_major: bool = False
    cell_clip: float = 0.0

    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel("cf_unidirectional_sequence_lstm_s8_dsp", for_types("int8"), frozenset({"dsp"}), dsp_reason, dsp_call),
        Kernel(
            "cf_unidirectional_sequence_lstm_s8",
            for_types("int8"),
            without=frozenset({"narrow"}),  # its gates are int16
        ),
        Kernel("cf_unidirectional_sequence_lstm_s16", for_types("int16")),
        Kernel("cf_unidirectional_sequence_lstm_f32", for_types("float32")),
    )

    def infer(self, node: Node) -> Sequence[Shape]:
        x, h = node["x"], node["h"]
        if len(x.shape) != 3 or len(h.shape) != 2 or 0 in x.shape or 0 in h.shape:
            raise ChipfitError(
                "G003", f"{self.name}: '{x.name}' {x.type} needs 3 dimensions, '{h.name}' {h.type} needs 2"
            )
        batch, units = x.shape[1 if self.time_major else 0], h.shape[1]
        expected: dict[str, Shape] = {"h": (batch, units), "c": (batch, units)}
        expected |= dict.fromkeys(INPUT_WEIGHTS, (units, x.shape[2]))
        expected |= dict.fromkeys(HIDDEN_WEIGHTS, (units, units)) | dict.fromkeys(BIASES, (units,))
        for port, shape in expected.items():
            value = node[port]
            if value.shape != shape:
                raise ChipfitError(
                    "G003",
                    f"{self.name}: '{value.name}' is {value.type}, expected {list(shape)} "
                    f"for the inputs {x.type} and {units} units",
                )
        return [(*x.shape[:2], units), h.shape, h.shape]

    def check(self, node: Node) -> None:
        self.infer(node)  # what follows computes with the weights
        check_lstm(node)

    def eval_float(self, node: Node, *x: Array) -> tuple[Array, ...]:
        steps = x[0] if self.time_major else x[0].swapaxes(0, 1)
        w, r, b = (weights_of(node, ports) for ports in (INPUT_WEIGHTS, HIDDEN_WEIGHTS, BIASES))
        h, c = x[-2:]
        clip = np.float32(self.cell_clip if self.cell_clip > 0 else np.inf)
        outputs: list[Array] = []
        for step in steps:
            i, f, g, o = (step @ w[k].T + b[k] + h @ r[k].T for k in range(len(GATES)))
            c = np.clip(logistic_float(f) * c + logistic_float(i) * np.tanh(g), -clip, clip)
            h = logistic_float(o) * np.tanh(c)
            outputs.append(h)
        return self._as_x(np.stack(outputs)), h, c

    def eval_int(self, node: Node, *x: Array) -> tuple[Array, ...]:
        steps = x[0] if self.time_major else x[0].swapaxes(0, 1)
        y, h, c = eval_lstm_int(node, steps, *x[-2:])
        return self._as_x(y), h, c

    def _as_x(self, y: Array) -> Array:
        """Outputs, steps first, in the layout of x."""
        return y if self.time_major else y.swapaxes(0, 1)

    def macs(self, node: Node) -> int:
        steps_and_batch, units = node["x"].shape[:2], node["h"].shape[1]
        return steps_and_batch[0] * steps_and_batch[1] * len(GATES) * units * (node["x"].shape[2] + units)

    def call(self, node: Node) -> Call:
        return portable_call(node)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        cases: list[tuple[int, int, int, int, UnidirectionalSequenceLstm]] = [
            (1, 1, 1, 1, cls()),
            (1, 7, 5, 3, cls(cell_clip=10.0)),
            (2, 3, 17, 9, cls(time_major=True, cell_clip=0.375)),
            (3, 2, 8, 16, cls()),
            (1, 3, 40, 33, cls(cell_clip=0.5)),
        ]
        for batch, steps, columns, units, op in cases:
            shape = (steps, batch, columns) if op.time_major else (batch, steps, columns)
            for power in (-15, -12, -11):
                x = int8_type(rng, *shape)
                yield _sample(rng, op, x, batch, units, power, int8_type(rng, batch, units, scale=1 / 127).q)
                wide = int16_type(rng, *shape)
                yield _sample(rng, op, wide, batch, units, power, Quant.per_tensor(1 / 32767))
            yield _sample(rng, op, float_type(*shape), batch, units, 0, None)
        heavy = int8_type(rng, 1, 2, 600, scale=0.002)
        yield _sample(rng, cls(), heavy, 1, 4, -12, Quant.per_tensor(1 / 128, -128), least=-128)


def _sample(
    rng: np.random.Generator,
    op: UnidirectionalSequenceLstm,
    x: TensorType,
    batch: int,
    units: int,
    power: int,
    hidden: Quant | None,
    least: int = -127,
) -> Node:
    """Sums of both kinds that reach about as far as the gates' functions bend."""
    columns = x.shape[-1]
    constants = {
        **{name: _weights(rng, x, (units, columns), least) for name in INPUT_WEIGHTS},
        **{name: _weights(rng, TensorType((), x.dtype, hidden), (units, units), least) for name in HIDDEN_WEIGHTS},
    }
    kind = {DType.INT8: np.int32, DType.INT16: np.int64}.get(x.dtype)
    for name, weights in zip(BIASES, INPUT_WEIGHTS, strict=True):
        b = rng.normal(0, 1, units)
        if kind is None:
            constants[name] = (TensorType((units,), DType.FLOAT32), b.astype(np.float32))
            continue
        quant = Quant.per_tensor(x.q.s * constants[weights][0].q.s)
        elements = np.round(b / quant.s).astype(kind)
        constants[name] = (TensorType((units,), DType.of(elements), quant), elements)
    is_float = hidden is None
    h = TensorType((batch, units), x.dtype, hidden)
    cell = None if is_float else Quant.per_tensor(2.0**power)
    c = TensorType((batch, units), DType.FLOAT32 if is_float else DType.INT16, cell)
    outputs = ((x.dtype, hidden), (x.dtype, hidden), (c.dtype, cell))
    return make_node(op, {"x": x, **constants, "h": h, "c": c}, *outputs)


def _weights(rng: np.random.Generator, x: TensorType, shape: Shape, least: int) -> tuple[TensorType, Array]:
    if x.dtype.is_float:
        return TensorType(shape, DType.FLOAT32), rng.normal(0, 1.5 / np.sqrt(shape[1]), shape).astype(np.float32)
    reach = x.q.s * (74 if x.dtype is DType.INT8 else 18900) * 73 * float(np.sqrt(shape[1]))
    quant = Quant.per_tensor(float(rng.uniform(0.5, 3.0)) / reach)
    w = rng.integers(least, 128, shape, dtype=np.int8)
    if least < -127:
        w[:2] = least
    return TensorType(shape, DType.INT8, quant), w
