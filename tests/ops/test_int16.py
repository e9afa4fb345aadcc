"""int16 forms of operators: who has one, what they refuse, how near they are to real numbers, and rows of two bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit import oracle
from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.graph import DType, Graph, Node, Quant, TensorType, Value
from chipfit.ops import REGISTRY, Op, graph_of, make_node, op_of
from chipfit.ops._base import dequantize, int16_type, random_input
from chipfit.ops._roles import NO_ROLES, Fixed
from chipfit.ops.add import Add
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.leaky_relu import LeakyRelu
from chipfit.ops.logistic import Logistic
from chipfit.ops.max_pool2d import MaxPool2D
from chipfit.ops.maximum import Maximum
from chipfit.ops.mean import Mean
from chipfit.ops.mul import Mul
from chipfit.ops.pad import Pad
from chipfit.ops.quantize import Quantize
from chipfit.ops.relu import Relu
from chipfit.ops.relu6 import Relu6
from chipfit.ops.softmax import Softmax
from chipfit.ops.sub import Sub
from chipfit.ops.sum import Sum
from chipfit.ops.tanh import Tanh
from oracles import needs_tflm

WITH_ROLES = sorted(name for name, op in REGISTRY.items() if op.quant != NO_ROLES)
WITHOUT_INT16 = [
    "arg_max",
    "arg_min",
    "ceil",
    "cumsum",
    "div",
    "elu",
    "equal",
    "floor",
    "greater",
    "greater_equal",
    "hard_swish",
    "less",
    "less_equal",
    "log_softmax",
    "not_equal",
    "prelu",
    "relu_n1_to_1",
    "round",
    "sign",
]
CURVES = {"cos", "exp", "gelu", "log", "pow", "rsqrt", "sin", "sqrt", "squared_difference"}
"""How near these are depends on their ranges: see test_curves.py."""
COMPUTED = [name for name in WITH_ROLES if REGISTRY[name].kernels]
"""Not those that run a graph inside of them, whose operators have a meaning of their own."""
WIDE = Quant.per_tensor(0.0003)


def is_int16(node: Node) -> bool:
    return {v.dtype for v in [*node.operands[:1], *node.outputs]} - {DType.BOOL} == {DType.INT16}


def nodes_of(name: str) -> Iterator[Node]:
    return REGISTRY[name].samples(np.random.default_rng(11))


@pytest.mark.parametrize("name", WITH_ROLES)
def test_roles_say_who_has_a_form(name: str) -> None:
    """Samples in int16 where the roles promise it; elsewhere such a node is refused."""
    roles = REGISTRY[name].quant
    assert roles.int16 == (name not in WITHOUT_INT16)
    assert roles.int16 == any(is_int16(node) for node in nodes_of(name))
    if not roles.int16:
        node = next(n for n in nodes_of(name) if n.operands[0].dtype is DType.INT8)
        widened: list[Value | None] = [Value(v.name, TensorType(v.shape, DType.INT16, WIDE)) for v in node.operands]
        outputs = [Value(v.name, TensorType(v.shape, DType.INT16, WIDE)) for v in node.outputs]
        with pytest.raises(ChipfitError) as caught:
            op_of(node).check(Node(node.op, widened, outputs))
        assert caught.value.code == "O002"


@pytest.mark.parametrize("name", ["softmax", "logistic", "tanh"])
def test_prescribed_outputs(name: str) -> None:
    fixed = REGISTRY[name].quant.of("y")
    assert isinstance(fixed, Fixed)
    assert fixed.of(DType.INT16) == Quant.per_tensor(1 / 32768)
    assert fixed.of(DType.INT8) == Quant.per_tensor(fixed.scale, fixed.zero_point)
    assert fixed.of(DType.FLOAT32) is None
    op = next(nodes_of(name)).op
    assert isinstance(op, Op)
    x = TensorType((1, 8), DType.INT16, WIDE)
    graph_of(make_node(op, {"x": x}, (DType.INT16, fixed.of(DType.INT16)))).verify()
    with pytest.raises(ChipfitError, match="TensorFlow Lite prescribes 3"):
        graph_of(make_node(op, {"x": x}, (DType.INT16, WIDE))).verify()


def refused(op: Op, x: TensorType, y: Quant, *, operands: int = 1) -> str:
    with pytest.raises(ChipfitError) as caught:
        graph_of(make_node(op, [x] * operands, (DType.INT16, y))).verify()
    assert caught.value.code == "O002"
    return caught.value.message


@pytest.mark.parametrize(
    ("op", "operands"), [(Add(), 2), (Sub(), 2), (Mul(), 2), (Maximum(), 2), (Relu(), 1), (MaxPool2D(), 1), (Mean(), 1)]
)
def test_zero_points_are_refused(op: Op, operands: int) -> None:
    x = TensorType((1, 2, 2, 1), DType.INT16, Quant.per_tensor(0.01, 5))
    assert "zero point 5; int16 activations are symmetric" in refused(op, x, x.q, operands=operands)


def test_what_would_leave_32_bits_is_refused() -> None:
    image = TensorType((1, 256, 257, 1), DType.INT16, WIDE)
    for op in (Sum((1, 2)), Mean((1, 2)), AveragePool2D((256, 257), (256, 257))):
        assert "sums 65,792 elements" in refused(op, image, WIDE)
    row = TensorType((1, 65536), DType.INT16, WIDE)
    assert "rows of 65,536 elements" in refused(Softmax(), row, Quant.per_tensor(1 / 32768))
    for scale in (1e-9, 6.0):
        x = TensorType((1, 8), DType.INT16, Quant.per_tensor(scale))
        for op in (Logistic(), Tanh()):
            assert "is outside of 2e-9 to 5" in refused(op, x, Quant.per_tensor(1 / 32768))
    assert "too small" in refused(Add(), TensorType((8,), DType.INT16, WIDE), Quant.per_tensor(1e-8), operands=2)


def test_padding_keeps_the_range_of_int16() -> None:
    op = Pad(((1, 0),), -5.0)
    assert op.quantized(Quant.per_tensor(0.001), DType.INT16) == Pad(((1, 0),), -5000)
    assert op.quantized(Quant.per_tensor(0.001)) == Pad(((1, 0),), -128)


@pytest.mark.parametrize(
    "name", sorted({*COMPUTED} - {*WITHOUT_INT16, *CURVES, "pad", "read_variable", "resize_bilinear"})
)
def test_near_the_real_function(name: str) -> None:
    """Within a rounding of the output, or what :data:`STEPS` says."""
    rng = np.random.default_rng(3)
    for node in nodes_of(name):
        if not is_int16(node) or any(v.dtype is not DType.INT16 for v in node.operands) or not node.outputs:
            continue
        x = [v.array if v.is_const else random_input(rng, v.type) for v in node.operands]
        got = op_of(node).evaluate(node, *x)
        real = op_of(node).eval_float(node, *(dequantize(a, v.q) for a, v in zip(x, node.operands, strict=True)))
        for y, value, expected in zip(got, node.outputs, real if isinstance(real, tuple) else (real,), strict=True):
            low, high = (value.q.s * end for end in DType.INT16.range)
            steps = np.abs(dequantize(y, value.q) - np.clip(expected.reshape(y.shape), low, high)) / value.q.s
            assert steps.max(initial=0.0) <= STEPS.get(name, 1.01), f"{node.op} {node.outputs[0].type}"


STEPS = {"softmax": 600.0, "logistic": 8.0, "tanh": 16.0}
"""Of 65,536: what tables of 256 or 512 numbers miss. softmax cuts off at exp(-10), which adds up in a long row."""


@needs_tflm
@pytest.mark.parametrize("op", [Logistic(), Tanh(), Relu(), LeakyRelu(0.1)], ids=lambda op: op.name)
@pytest.mark.parametrize("scale", [2.0**-12, 2.0**-11, 0.0003, 0.00001, 0.01])
def test_every_element_as_in_tflite_micro(op: Op, scale: float) -> None:
    x = TensorType((1, 65536), DType.INT16, Quant.per_tensor(scale))
    y = Quant.per_tensor(1 / 32768 if op.name in ("logistic", "tanh") else scale * 0.77)
    node = make_node(op, {"x": x}, (DType.INT16, y))
    every = np.arange(-32768, 32768).astype(np.int16).reshape(1, -1)
    ((got,),) = oracle.tflm_run(to_tflite(graph_of(node)), [[every]])
    np.testing.assert_array_equal(op.evaluate(node, every)[0], got)


# ---------------------------------------------------------------------------------------------- rows


def image_net(pools: bool) -> Graph:
    """int8 in and out; between them layers on int16 that all have rows, and the mean over all of them."""
    rng = np.random.default_rng(6)
    graph = Graph("wide")

    def layer(op: Op, *operands: Value, dtype: DType = DType.INT16, quant: Quant | None = None) -> Value:
        node = Node(op, list(operands), [])
        (shape,) = op.infer(node)
        own = quant or Quant.per_tensor(float(rng.uniform(0.6, 1.5)) * WIDE.s)
        y = Value(f"t{len(graph.nodes)}", TensorType(tuple(shape), dtype, own))
        node.outputs = [y]
        graph.nodes.append(node)
        return y

    def constant() -> Value:
        return Value(f"c{len(graph.nodes)}", int16_type(rng, 12), rng.integers(-32768, 32768, (12,), dtype=np.int16))

    graph.inputs = [Value("x", TensorType((1, 16, 14, 12), DType.INT8, Quant.per_tensor(0.05, -3)))]
    x = layer(Quantize(), graph.inputs[0], quant=WIDE)
    scaled = layer(Mul(), x, constant())
    y = layer(Add("relu"), scaled, constant())
    y = layer(LeakyRelu(0.2), y)
    y = layer(Sub(), y, scaled)
    if pools:
        y = layer(MaxPool2D((2, 2), (2, 2)), y, quant=y.q)
        y = layer(AveragePool2D((3, 3), (1, 1), (1, 1, 1, 1)), y, quant=y.q)
    y = layer(Maximum(), y, Value("floor", int16_type(rng, 1, scale=y.q.s), np.array([-9], np.int16)), quant=y.q)
    y = layer(Relu6(), y)
    y = layer(Mean((1, 2)), y)
    y = layer(Quantize(), y, dtype=DType.INT8, quant=Quant.per_tensor(0.03, 4))
    graph.outputs = [y]
    graph.verify()
    return graph


@pytest.mark.parametrize("board", ["nucleo-l4r5zi", "raspberry-pi-pico", "esp32-c3"])
@pytest.mark.parametrize("pools", [False, True])
def test_a_network_of_rows(board: str, pools: bool, tmp_path: Path) -> None:
    model = chipfit.Model(image_net(pools))
    samples = model.samples(3)
    expected = model.run_samples(samples)[0].tobytes()
    arenas: dict[str, int] = {}
    for optimize in ("balanced", "ram"):
        firmware = model.compile(board, tmp_path / optimize, optimize=optimize)
        assert firmware.run(samples).outputs[0].tobytes() == expected
        arenas[optimize] = firmware.report.ram.arena
    assert arenas["ram"] < arenas["balanced"] / 2
    assert pools or "cf_row_sums_s16" in (tmp_path / "ram" / "model.c").read_text()
