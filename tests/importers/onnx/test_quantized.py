"""Quantized models: QDQ and QLinear forms become integer graphs; onnxruntime is within one step of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph
from chipfit.importers import load_graph
from chipfit.passes import PIPELINE
from importers.onnx.nets import feeds, integers, model, node, outputs_of, random, runtime_or_skip, wanted

runtime_or_skip()

IMAGE = (1, 4, 8, 10)
SCALES = {"x": 0.0309, "z": 0.0217, "y": 0.0253}
WEIGHT_SCALE = 0.01


class Quantized:
    """A model in QDQ form in the making: tensors by name, each quantized as soon as it is made."""

    def __init__(self, unsigned: bool = True, per_channel: bool = True) -> None:
        self.dtype, self.per_channel = np.uint8 if unsigned else np.int8, per_channel
        self.zero = 121 if unsigned else -7
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def scale(self, name: str, scale: Any, zero: Any) -> str:
        self.constants[f"{name}_s"], self.constants[f"{name}_z"] = np.asarray(scale, np.float32), np.asarray(zero)
        return f"{name}_s {name}_z"

    def quantize(self, name: str, scale: float, zero: int | None = None) -> str:
        """The name of the tensor behind QuantizeLinear and DequantizeLinear."""
        both = self.scale(name, scale, self.dtype(self.zero if zero is None else zero))
        self.nodes += [
            node("QuantizeLinear", f"{name} {both}", f"{name}_q"),
            node("DequantizeLinear", f"{name}_q {both}", f"{name}_d"),
        ]
        return f"{name}_d"

    def weights(self, name: str, *shape: int, axis: int = 0) -> str:
        rng = np.random.default_rng(5)
        self.constants[f"{name}_q"] = rng.integers(-127, 128, shape).astype(np.int8)
        count = shape[axis]
        scale = WEIGHT_SCALE * rng.uniform(0.5, 1.5, count) if self.per_channel else WEIGHT_SCALE
        zero = np.zeros(count, np.int8) if self.per_channel else np.int8(0)
        options: dict[str, Any] = {"axis": axis} if self.per_channel else {}
        both = self.scale(name, scale, zero)
        self.nodes.append(node("DequantizeLinear", f"{name}_q {both}", f"{name}_d", **options))
        return f"{name}_d"

    def bias(self, name: str, weights: str, count: int) -> str:
        """int32, in units of the product of scales."""
        scale = self.constants[f"{weights}_s"].reshape(-1) * np.float32(SCALES["x"])
        self.constants[f"{name}_q"] = np.random.default_rng(6).integers(-3000, 3000, count).astype(np.int32)
        scale = np.broadcast_to(scale, (count,))
        both = self.scale(name, scale, np.zeros(count, np.int32))
        self.nodes.append(node("DequantizeLinear", f"{name}_q {both}", f"{name}_d", axis=0))
        return f"{name}_d"

    def model(self, inputs: Mapping[str, Sequence[int]], output: str = "y_d", opset: int = 17) -> Any:
        return model(self.nodes, inputs, self.constants, [output], opset)


Make = Callable[[Quantized], None]


def _layer(op: str, *shape: int, bias: bool = True, axis: int = 0, **attributes: Any) -> Make:
    """A layer with weights and, perhaps, a bias."""

    def make(q: Quantized) -> None:
        names = [q.quantize("x", SCALES["x"]), q.weights("w", *shape, axis=axis)]
        if bias:
            names.append(q.bias("b", "w", shape[axis] * (attributes.get("group", 1) if op == "ConvTranspose" else 1)))
        q.nodes.append(node(op, " ".join(names), "y", **attributes))
        q.quantize("y", 0.1)

    return make


def _binary(op: str) -> Make:
    def make(q: Quantized) -> None:
        q.nodes.append(node(op, f"{q.quantize('x', SCALES['x'])} {q.quantize('z', SCALES['z'], 100)}", "y"))
        q.quantize("y", 0.0437)

    return make


def _unary(op: str, scale: float = SCALES["y"], zero: int | None = None, **attributes: Any) -> Make:
    def make(q: Quantized) -> None:
        q.nodes.append(node(op, q.quantize("x", SCALES["x"]), "y", **attributes))
        q.quantize("y", scale, zero)

    return make


def _concat(q: Quantized) -> None:
    q.nodes.append(node("Concat", f"{q.quantize('x', SCALES['x'])} {q.quantize('z', SCALES['z'], 99)}", "y", axis=1))
    q.quantize("y", SCALES["y"])


def _conv_relu(q: Quantized) -> None:
    q.constants |= {"low": np.float32(0), "high": np.float32(6)}
    q.nodes.append(node("Conv", f"{q.quantize('x', SCALES['x'])} {q.weights('w', 6, 4, 3, 3)}", "c"))
    q.nodes.append(node("Clip", "c low high", "y"))
    q.quantize("y", 6 / 255, 0 if q.dtype is np.uint8 else -128)


def _between(op: str, **attributes: Any) -> Make:
    """An operator that moves elements between a convolution and what quantizes it."""

    def make(q: Quantized) -> None:
        q.nodes.append(node("Conv", f"{q.quantize('x', SCALES['x'])} {q.weights('w', 6, 4, 3, 3)}", "c"))
        q.nodes.append(node(op, "c", "y", **attributes))
        q.quantize("y", 0.1)

    return make


#: name -> what makes it, inputs, steps by which onnxruntime may differ, and the integer operator
CASES: dict[str, tuple[Make, tuple[int, ...], int, str]] = {
    "conv": (_layer("Conv", 6, 4, 3, 3, pads=[1, 1, 1, 1]), IMAGE, 1, "conv2d"),
    "conv_groups": (_layer("Conv", 6, 2, 3, 3, group=2, strides=[2, 2]), IMAGE, 1, "conv2d"),
    "conv_depthwise": (_layer("Conv", 4, 1, 3, 3, group=4, bias=False), IMAGE, 1, "depthwise_conv2d"),
    "conv_1d": (_layer("Conv", 6, 4, 3), (1, 4, 10), 1, "conv2d"),
    "conv_relu6": (_conv_relu, IMAGE, 1, "conv2d"),
    "conv_transpose": (_layer("ConvTranspose", 4, 5, 3, 3, axis=1, strides=[2, 2]), IMAGE, 1, "transpose_conv"),
    "conv_reshaped": (_between("Flatten"), IMAGE, 1, "conv2d"),
    "conv_transposed": (_between("Transpose", perm=[0, 2, 3, 1]), IMAGE, 1, "conv2d"),
    "conv_relu_max": (_between("MaxPool", kernel_shape=[2, 2]), IMAGE, 1, "conv2d"),
    "gemm": (_layer("Gemm", 5, 6, transB=1), (1, 6), 1, "fully_connected"),
    "matmul": (_layer("MatMul", 6, 5, bias=False, axis=1), (1, 3, 6), 1, "fully_connected"),
    "add": (_binary("Add"), IMAGE, 1, "add"),
    "sub": (_binary("Sub"), IMAGE, 1, "sub"),
    "mul": (_binary("Mul"), IMAGE, 1, "mul"),
    "matmul_of_two": (_binary("MatMul"), (1, 2, 6, 6), 1, "batch_matmul"),
    "concat": (_concat, IMAGE, 1, "concatenation"),
    "max_pool": (_unary("MaxPool", kernel_shape=[2, 2]), IMAGE, 1, "max_pool2d"),
    "average_pool": (_unary("AveragePool", SCALES["x"], kernel_shape=[3, 3]), IMAGE, 1, "average_pool2d"),
    "global_average_pool": (_unary("GlobalAveragePool", 0.01), IMAGE, 1, "mean"),
    "sigmoid": (_unary("Sigmoid", 1 / 256, 0), IMAGE, 1, "logistic"),
    "tanh": (_unary("Tanh", 1 / 128, 128), IMAGE, 2, "tanh"),
    "softmax": (_unary("Softmax", 1 / 256, 0), (1, 10), 1, "softmax"),
    "leaky_relu": (_unary("LeakyRelu", alpha=0.1), IMAGE, 1, "leaky_relu"),
    "hard_swish": (_unary("HardSwish"), IMAGE, 1, "hard_swish"),
    "elu": (_unary("Elu"), IMAGE, 1, "elu"),
    "reduce_mean": (_unary("ReduceMean", 0.01, axes=[2, 3]), IMAGE, 1, "mean"),
    "transpose": (_unary("Transpose", SCALES["x"], perm=[0, 3, 1, 2]), IMAGE, 0, "transpose"),
}


def _computed(graph: Graph) -> list[Any]:
    return [n for n in graph.nodes if n.op.name not in ("quantize", "dequantize")]


def _same_steps(graph: Graph, proto: Any, step: float, most: int, given: Mapping[str, Array] | None = None) -> float:
    """Outputs differ by ``most`` steps at the most; the share of those that are equal."""
    given = {k: v * 2 for k, v in feeds(proto).items()} if given is None else given
    found, expected = outputs_of(graph, given)[0], wanted(proto, given)[0]
    assert found.shape == expected.shape
    distance = np.abs(found.astype(np.float64) - expected) / step
    assert distance.max() <= most + 1e-3
    return float((distance < 0.5).mean())


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize("name", list(CASES))
def test_layer(name: str, unsigned: bool, per_channel: bool) -> None:
    make, shape, most, op = CASES[name]
    q = Quantized(unsigned, per_channel)
    if not unsigned and name in ("sigmoid", "tanh", "softmax"):
        make = _unary(name.capitalize(), 1 / (128 if name == "tanh" else 256), 0 if name == "tanh" else -128)
    make(q)
    proto = q.model({"x": shape, **({"z": shape} if "z_s" in q.constants else {})})
    graph = load_graph(proto)
    step = float(q.constants["y_s"])
    assert op in [n.op.name for n in graph.nodes]
    assert all(v.dtype is DType.INT8 for n in _computed(graph) for v in n.outputs)
    before = outputs_of(graph, feeds(proto))
    assert _same_steps(graph, proto, step, most) > 0.95
    PIPELINE.run(graph)
    for a, b in zip(before, outputs_of(graph, feeds(proto)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert op in [n.op.name for n in graph.nodes]


def small_net(unsigned: bool) -> Any:
    """Convolutions with a shortcut, pooled and classified."""
    q = Quantized(unsigned)
    zero = 0 if unsigned else -128
    q.nodes.append(node("Conv", f"{q.quantize('x', SCALES['x'])} {q.weights('w', 8, 4, 3, 3)}", "c", pads=[1, 1, 1, 1]))
    q.nodes.append(node("Relu", "c", "r"))
    first = q.quantize("r", 0.05, zero)
    q.nodes.append(node("Conv", f"{first} {q.weights('v', 8, 1, 3, 3)}", "d", pads=[1, 1, 1, 1], group=8))
    q.nodes.append(node("Add", f"{q.quantize('d', 0.1)} {first}", "s"))
    q.nodes.append(node("GlobalAveragePool", q.quantize("s", 0.1), "g"))
    q.nodes.append(node("Flatten", q.quantize("g", 0.05), "f"))
    q.nodes.append(node("Gemm", f"f {q.weights('u', 5, 8)}", "y", transB=1))
    q.quantize("y", 0.02)
    return q.model({"x": IMAGE})


@pytest.mark.parametrize("unsigned", [False, True])
def test_net_runs_on_integer_kernels(unsigned: bool) -> None:
    proto = small_net(unsigned)
    net = chipfit.load(proto)
    assert [n.op.name for n in _computed(net.graph)] == [
        "transpose",
        "conv2d",
        "depthwise_conv2d",
        "add",
        "mean",
        "fully_connected",
    ]
    assert not net.is_float
    equal = _same_steps(net.graph, proto, 0.02, 3)
    assert equal > 0.5
    assert net.verify(3).passed


def test_uint8_at_the_ends() -> None:
    """Inputs and outputs keep the type that the model gives them; in between are int8."""
    q = Quantized()
    both = q.scale("x", 0.03, np.uint8(120))
    q.nodes.append(node("DequantizeLinear", f"x {both}", "x_d"))
    q.nodes.append(node("Conv", f"x_d {q.weights('w', 6, 4, 3, 3)}", "c"))
    q.nodes.append(node("QuantizeLinear", f"c {q.scale('y', 0.1, np.uint8(90))}", "y"))
    proto = model(q.nodes, {"x": IMAGE}, q.constants, ["y"], types={"x": np.uint8, "y": np.uint8})
    graph = load_graph(proto)
    assert (graph.inputs[0].dtype, graph.outputs[0].dtype) == (DType.UINT8, DType.UINT8)
    assert [v.name for v in (*graph.inputs, *graph.outputs)] == ["x", "y"]
    assert (graph.inputs[0].q.zp, graph.outputs[0].q.zp) == (120, 90)
    given = feeds(proto)
    found, expected = outputs_of(graph, given)[0].astype(int), wanted(proto, given)[0].astype(int)
    assert np.abs(found - expected).max() <= 1
    assert not any(v.dtype.is_float for v in graph.values())


def test_weights_alone_stay_int8() -> None:
    """A layer on real numbers whose weights are stored in 8 bits keeps them so."""
    q = Quantized()
    q.nodes.append(node("Conv", f"x {q.weights('w', 6, 4, 3, 3)}", "y"))
    proto = q.model({"x": IMAGE}, "y")
    graph = load_graph(proto)
    PIPELINE.run(graph)
    conv = next(n for n in graph.nodes if n.op.name == "conv2d")
    assert conv["w"].dtype is DType.INT8
    given = feeds(proto)
    np.testing.assert_allclose(outputs_of(graph, given)[0], wanted(proto, given)[0], atol=1e-4)


def test_quantized_constants() -> None:
    """Weights that are real numbers behind QuantizeLinear, as training with quantization exports them."""
    q = Quantized()
    q.constants |= {"w": random(6, 4, 3, 3, scale=0.3)}
    both = q.scale("w", np.full(6, 0.01), np.zeros(6, np.int8))
    q.nodes += [
        node("QuantizeLinear", f"w {both}", "w_q", axis=0),
        node("DequantizeLinear", f"w_q {both}", "w_d", axis=0),
        node("Conv", f"{q.quantize('x', SCALES['x'])} w_d", "y"),
    ]
    q.quantize("y", 0.1)
    proto = q.model({"x": IMAGE})
    graph = load_graph(proto)
    assert all(v.dtype is DType.INT8 for n in _computed(graph) for v in n.outputs)
    assert _same_steps(graph, proto, 0.1, 1) > 0.9


def q_linear(op: str, shapes: Sequence[Sequence[int]], weights: Array | None = None, **attributes: Any) -> Any:
    """QuantizeLinear, an operator of the other form, DequantizeLinear."""
    q = Quantized()
    q.zero = 0
    x = q.scale("x", SCALES["x"], np.uint8(121))
    names = ["x", *(["z"] if len(shapes) > 1 else [])]
    for name in names:
        q.nodes.append(node("QuantizeLinear", f"{name} {q.scale(name, SCALES['x'], np.uint8(121))}", f"{name}_q"))
    y = q.scale("y", attributes.pop("scale", 0.1), np.uint8(attributes.pop("zero", 100)))
    domain = attributes.pop("domain", "com.microsoft")
    inputs = [f"x_q {x}"]
    if weights is not None:
        q.constants["w"] = weights
        inputs.append(
            f"w {q.scale('w', attributes.pop('weight_scale', WEIGHT_SCALE), attributes.pop('weight_zero', np.int8(0)))}"
        )
    if len(shapes) > 1:
        inputs.append("z_q z_s z_z")
    bias = attributes.pop("bias", None)
    inputs = [y, *inputs] if op == "QLinearConcat" else inputs
    if op == "QGemm":
        q.constants["b"] = bias
        inputs += ["b"]
    if op != "QLinearConcat":
        inputs.append(y)
    if op == "QLinearConv" and bias is not None:
        q.constants["b"] = bias
        inputs += ["b"]
    q.nodes += [node(op, " ".join(inputs), "y_q", domain, **attributes), node("DequantizeLinear", f"y_q {y}", "y_d")]
    return q.model(dict(zip(names, shapes, strict=True)))


_RNG = np.random.default_rng(9)
_SIGNED = _RNG.integers(-127, 128, (6, 4, 3, 3)).astype(np.int8)
_UNSIGNED = _RNG.integers(1, 256, (6, 4, 3, 3)).astype(np.uint8)
_BIAS = _RNG.integers(-3000, 3000, 6).astype(np.int32)
_MATRIX = _RNG.integers(-127, 128, (6, 5)).astype(np.int8)

Q_LINEAR: dict[str, tuple[Any, float]] = {
    "conv": (q_linear("QLinearConv", [IMAGE], _SIGNED, bias=_BIAS, domain="", pads=[1, 1, 1, 1]), 0.1),
    "conv_uint8": (q_linear("QLinearConv", [IMAGE], _UNSIGNED, weight_zero=np.uint8(128), domain=""), 0.1),
    "conv_channels": (
        q_linear(
            "QLinearConv",
            [IMAGE],
            _SIGNED,
            weight_scale=np.linspace(0.005, 0.02, 6),
            weight_zero=np.zeros(6, np.int8),
            bias=_BIAS,
            domain="",
        ),
        0.1,
    ),
    "matmul": (q_linear("QLinearMatMul", [(1, 3, 6)], _MATRIX, domain=""), 0.1),
    "gemm": (q_linear("QGemm", [(1, 6)], _MATRIX, bias=_BIAS[:5]), 0.1),
    "gemm_transposed": (q_linear("QGemm", [(1, 6)], np.ascontiguousarray(_MATRIX.T), bias=_BIAS[:5], transB=1), 0.1),
    "add": (q_linear("QLinearAdd", [IMAGE, IMAGE]), 0.1),
    "mul": (q_linear("QLinearMul", [IMAGE, IMAGE]), 0.1),
    "concat": (q_linear("QLinearConcat", [IMAGE, IMAGE], axis=1, scale=0.0437), 0.0437),
    "sigmoid": (q_linear("QLinearSigmoid", [IMAGE], scale=1 / 256, zero=0), 1 / 256),
    "leaky_relu": (q_linear("QLinearLeakyRelu", [IMAGE], scale=0.03, alpha=0.123), 0.03),
    "softmax": (q_linear("QLinearSoftmax", [(1, 10)], scale=1 / 256, zero=0, opset=13, axis=-1), 1 / 256),
    "global_average": (q_linear("QLinearGlobalAveragePool", [IMAGE], scale=0.01), 0.01),
    "average": (q_linear("QLinearAveragePool", [IMAGE], kernel_shape=[3, 3], scale=SCALES["x"], zero=121), SCALES["x"]),
}


@pytest.mark.parametrize("name", list(Q_LINEAR))
def test_q_linear(name: str) -> None:
    proto, step = Q_LINEAR[name]
    graph = load_graph(proto)
    assert all(v.dtype is DType.INT8 for n in _computed(graph) for v in n.outputs)
    # the reference kernels of TensorFlow Lite Micro round twice, which a small slope shows
    assert _same_steps(graph, proto, step, 1) > (0.9 if name == "leaky_relu" else 0.95)


def test_integers_pass_operators_that_move_them() -> None:
    """Between QLinear operators models have plain ones, on uint8."""
    q = Quantized()
    both = q.scale("x", 0.03, np.uint8(121))
    q.nodes += [
        node("QuantizeLinear", f"x {both}", "a"),
        node("MaxPool", "a", "b", kernel_shape=[2, 2], strides=[2, 2]),
        node("Transpose", "b", "c", perm=[0, 2, 3, 1]),
        node("Reshape", "c n", "d"),
        node("DequantizeLinear", f"d {both}", "y"),
    ]
    q.constants["n"] = integers(1, -1)
    proto = q.model({"x": IMAGE}, "y")
    graph = load_graph(proto)
    assert all(v.dtype is DType.INT8 for n in _computed(graph) for v in n.outputs)
    assert _same_steps(graph, proto, 0.03, 1) > 0.97


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([node("DynamicQuantizeLinear", "x", "y s z")], "statically"),
        ([node("ConvInteger", "x w", "y")], "statically"),
        ([node("MatMulInteger", "x w", "y")], "statically"),
        ([node("QuantizeLinear", "x s sixteen", "y")], "one scale"),
        ([node("DequantizeLinear", "w s five", "d"), node("Conv", "x d", "y")], "symmetric weights"),
        ([node("QuantizeLinear", "x s five", "q"), node("Relu", "q", "r"), node("Add", "q q", "y")], "QDQ"),
    ],
)
def test_refusals(nodes: list[Any], words: str) -> None:
    constants = {
        "w": np.ones((6, 4, 3, 3), np.int8),
        "s": np.float32(0.1),
        "five": np.int8(5),
        "sixteen": np.uint16(5),
    }
    with pytest.raises(ChipfitError) as error:
        load_graph(model(nodes, {"x": IMAGE}, constants, ["y"]))
    assert error.value.code in ("O001", "O002")
    assert words in error.value.hint
