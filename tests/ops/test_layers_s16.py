"""Convolutions and fully connected layers on int16: what their sums mean, which form they take, rows and files."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit.emulate import HostLibrary, build_host_library
from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.fixedpoint import multiply_wide_by_quantized_multiplier, quantize_multiplier, reduce_multiplier
from chipfit.graph import Array, DType, Graph, Node, Quant, TensorType, Value
from chipfit.interpret import evaluate
from chipfit.ops import REGISTRY, Call, Const, Function, Op, graph_of, make_node, op_of
from chipfit.ops._samples_s16 import s16_sample
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from ops import bundle
from ops.test_kernels import run_case

DSP = frozenset({"dsp"})
LAYERS = ("conv2d", "depthwise_conv2d", "fully_connected")


def nodes_of(name: str) -> list[Node]:
    return [n for n in REGISTRY[name].samples(np.random.default_rng(0)) if n["x"].dtype is DType.INT16]


def dense(w: Array, bias: Array | None, scale: float = 1e-4, y_scale: float = 1.0) -> Node:
    """A fully connected layer with these weights."""
    quant = Quant.per_tensor(scale)
    x = TensorType((1, w.shape[1]), DType.INT16, Quant.per_tensor(1.0))
    b = None if bias is None else (TensorType(bias.shape, DType.of(bias), quant), bias)
    weights = (TensorType(w.shape, DType.INT8, quant), w.astype(np.int8))
    return make_node(FullyConnected(), {"x": x, "w": weights, "b": b}, (DType.INT16, Quant.per_tensor(y_scale)))


# ---------------------------------------------------------------------------------------------- meaning


def test_wide_multiplication_is_that_of_fractions() -> None:
    rng = np.random.default_rng(0)
    for scale in (1.0, 0.9999999, 0.3, 2.0**-7, 1e-4, 2.0**-30, 3.7):
        m, shift = quantize_multiplier(scale)
        exact = Fraction(int(reduce_multiplier(m))) * Fraction(2) ** (shift - 15)
        acc = [*rng.integers(-(1 << 44), 1 << 44, 200).tolist(), 0, 1, -1, 1 << 40, -(1 << 40)]
        for x, y in zip(acc, multiply_wide_by_quantized_multiplier(np.array(acc), m, shift).tolist(), strict=True):
            rounded = (x * exact + Fraction(1, 2)).__floor__()
            assert y == (rounded + (1 << 31)) % (1 << 32) - (1 << 31), (scale, x)


def test_a_multiplier_has_fifteen_bits() -> None:
    assert reduce_multiplier(np.array([1 << 30, 0x7FFEFFFF, 0x7FFF0000, 0x7FFFFFFF])).tolist() == [
        *(1 << 14, 0x7FFF, 0x7FFF, 0x7FFF)
    ]


def test_a_bias_of_32_bits_has_sums_of_32_bits() -> None:
    """They wrap, and are rounded with a finer multiplier; those of 64 bits neither wrap nor need to."""
    x, w = np.full((1, 600), 32767, np.int16), np.full((1, 600), 127)
    scale = 1e-5
    outputs: list[int] = []
    for kind in (np.int32, np.int64):
        node = dense(w, np.zeros(1, kind), scale)
        outputs.append(int(op_of(node).evaluate(node, x, node["w"].array, node["b"].array)[0].item()))
    total = 600 * 127 * 32767
    assert outputs == [round((total - (1 << 32)) * scale), pytest.approx(total * scale, abs=1)]


def test_what_is_refused() -> None:
    rng = np.random.default_rng(0)
    good = s16_sample(rng, DepthwiseConv2D(), (1, 4, 4, 6), (1, 3, 3, 6), 3)
    op_of(good).check(good)
    bias = good["b"]

    def changed(port: str, type_: TensorType) -> Node:
        values = {p: good[p] for p in ("x", "w", "b", "y")}
        data = values[port].data
        values[port] = Value(port, type_, None if data is None else data.astype(type_.dtype.numpy))
        return Node(good.op, [values["x"], values["w"], values["b"]], [values["y"]])

    cases = {
        "misreads this one": changed("b", TensorType(bias.shape, DType.INT32, bias.type.quant)),
        "expected int64": changed("b", TensorType(bias.shape, DType.FLOAT32, None)),
        "symmetric": changed("x", replace(good["x"].type, quant=Quant.per_tensor(0.1, 3))),
        "zero points": changed("y", replace(good["y"].type, quant=Quant.per_tensor(0.1, -1))),
        "int8 outputs": changed("y", replace(good["y"].type, dtype=DType.INT8)),
        "along axis 3": changed("w", replace(good["w"].type, quant=Quant((0.1,) * 3, (0,) * 3, 1))),
        "without symmetric": changed("w", replace(good["w"].type, quant=Quant.per_tensor(0.1, 1))),
        "2**14": changed("y", replace(good["y"].type, quant=Quant.per_tensor(1e-12))),
    }
    for text, node in cases.items():
        with pytest.raises(ChipfitError) as error:
            op_of(node).check(node)
        assert error.value.code == "O002"
        assert text in f"{error.value} {error.value.hint}", text


# ---------------------------------------------------------------------------------------------- forms


def body_of(node: Node) -> str:
    call = op_of(node).choose(node, DSP).kernel.call
    assert call is not None
    made = call(node)
    assert isinstance(made, Call)
    return next(a.name for a in made.args if isinstance(a, Function))


def extremes(node: Node) -> list[tuple[Array, ...]]:
    """Inputs that drive the sums of the first output as far up and down as they go."""
    w = node["w"].array[0]
    far = np.where(w < 0, np.int16(-32768), np.int16(32767))
    return [(x.astype(np.int16)[None],) for x in (far, -1 - far, np.full_like(far, -32768), np.zeros_like(far))]


# 512 * 127 * 2^15 + 16,777,215 is the greatest sum of 32 bits, then one more; a part of the wide form full to the brim;
# parts of several lengths; sums that wrap
BRIMS = [
    (np.full((3, 512), 127), 16_777_215, "cf_s16_row_narrow"),
    (np.full((3, 512), -127), 16_777_216, "cf_s16_row_wide"),
    (np.full((3, 508), -128), 1 << 40, "cf_s16_row_wide"),
    (np.full((5, 1017), -128), -(1 << 40), "cf_s16_row_wide"),
    (np.full((4, 1520), 127), 0, "cf_s16_row_wide"),
    (np.full((2, 1520), 127), 1_000_000_000, "bias of 32 bits"),
]


def brim_cases(weights: Array, bias: int, body: str) -> list[bundle.Case]:
    """Every kernel of such a layer with inputs that drive its sums far."""
    narrow_bias = body == "bias of 32 bits"
    biases = np.full(len(weights), bias, np.int32 if narrow_bias else np.int64)
    node = dense(weights, biases, 1e-6, max(1.0, abs(bias) * 4e-11))
    assert narrow_bias or body_of(node) == body
    cases: list[bundle.Case] = []
    for case in bundle.make_cases([node], DSP, seed=0, draws=1):
        for inputs in extremes(node):
            cases.append(replace(case, inputs=inputs, expected=tuple(evaluate(graph_of(node), inputs))))
    return cases


@pytest.mark.parametrize(("weights", "bias", "body"), BRIMS)
def test_sums_at_the_brim(weights: Array, bias: int, body: str, tmp_path: Path) -> None:
    cases = brim_cases(weights, bias, body)
    source = tmp_path / "bundle.c"
    source.write_text(bundle.bundle_source(cases))
    library = HostLibrary(build_host_library([source], bundle.include_dirs(), tmp_path / "bundle.so"))
    assert [text for case in cases if (text := run_case(library, case))] == []


def test_which_form_a_layer_takes() -> None:
    rng = np.random.default_rng(1)
    plain = s16_sample(rng, Conv2D(), (1, 3, 3, 20), (4, 1, 1, 20), 0)
    assert body_of(plain) == "cf_s16_pixels_narrow"
    far = s16_sample(rng, Conv2D(), (1, 3, 3, 20), (4, 1, 1, 20), 0, far=True)
    assert body_of(far) == "cf_s16_pixels_wide", "one shift does not do for scales that far apart"
    depthwise = s16_sample(rng, DepthwiseConv2D(), (1, 4, 5, 8), (1, 3, 3, 8), 3, far=True)
    reasons = dict(op_of(depthwise).choose(depthwise, DSP).rejected)
    assert reasons["cf_depthwise_conv2d_s16_dsp"] == "the scales of the channels are too far apart for one shift"
    bias32 = s16_sample(rng, Conv2D(), (1, 3, 3, 20), (4, 1, 1, 20), 0, bias="int32")
    assert "sums have 32 bits" in dict(op_of(bias32).choose(bias32, DSP).rejected)["cf_conv2d_s16_dsp"]


@pytest.mark.parametrize("name", ["conv2d", "depthwise_conv2d"])
def test_all_rows_share_the_weights(name: str) -> None:
    for node in nodes_of(name):
        op = op_of(node)
        kernel = op.choose(node, DSP).kernel
        if isinstance(op.rows(node), str) or kernel.call is None:
            continue
        streams = {
            id(arg.data)
            for part in (node, op.slice_rows(node, 0, 1, False), op.slice_rows(node, 0, 1, True))
            for arg in kernel.call(part).args  # type: ignore[union-attr]
            if isinstance(arg, Const)
        }
        assert len(streams) == 1


# ---------------------------------------------------------------------------------------------- graphs


def network() -> Graph:
    """Layers on one image, each on the output of the one before."""
    rng = np.random.default_rng(2)
    same = (1, 1, 1, 1)
    layers: list[tuple[Op, tuple[int, ...], int]] = [
        (Conv2D((1, 1), same, act="relu"), (8, 3, 3, 4), 0),
        (DepthwiseConv2D((1, 1), same, act="relu"), (1, 3, 3, 8), 3),
        (Conv2D(act="relu"), (12, 1, 1, 8), 0),
        (DepthwiseConv2D((2, 2), same), (1, 3, 3, 12), 3),
        (Conv2D(), (5, 1, 1, 12), 0),
    ]
    x = Value("x", TensorType((1, 14, 13, 4), DType.INT16, Quant.per_tensor(0.01)))
    graph = Graph("net", [x], [], [])
    for i, (op, w_shape, axis) in enumerate(layers):
        sample = s16_sample(rng, op, x.shape, w_shape, axis)
        w, b = Value(f"w{i}", sample["w"].type, sample["w"].data), Value(f"b{i}", sample["b"].type, sample["b"].data)
        scale = sample["y"].q.s / sample["x"].q.s * x.q.s
        y = Value(f"y{i}", TensorType(sample["y"].shape, DType.INT16, Quant.per_tensor(scale)))
        graph.nodes.append(Node(op, [x, w, b], [y]))
        x = y
    graph.outputs.append(x)
    graph.verify()
    return graph


@pytest.mark.parametrize("board", ["host", "nucleo-l4r5zi", "raspberry-pi-pico"])
def test_layers_row_by_row(board: str, tmp_path: Path) -> None:
    model = chipfit.Model(network())
    plain = model.compile(board, tmp_path / "plain")
    small = model.compile(board, tmp_path / "small", optimize="ram")
    assert "_rows_0" in (tmp_path / "small" / "model.c").read_text()
    assert small.report.ram.arena < plain.report.ram.arena
    x = np.random.default_rng(3).integers(-32768, 32768, (1, 14, 13, 4)).astype(np.int16)
    (expected,) = model.run(x)
    assert len(np.unique(expected)) > 20
    for firmware in (plain, small):
        assert firmware.run(x).outputs[0].tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", LAYERS)
def test_files_keep_the_layer(name: str) -> None:
    rng = np.random.default_rng(4)
    for node in nodes_of(name):
        graph = graph_of(node)
        again = chipfit.load(to_tflite(graph))
        b, read = node.get("b"), next(n for n in again.graph.nodes if n.op.name == name).get("b")
        if b is not None:
            assert read is not None
            assert read.dtype is b.dtype
        inputs = [rng.integers(*v.dtype.range, v.shape, dtype=v.dtype.numpy, endpoint=True) for v in graph.inputs]
        assert again.run(*inputs)[0].tobytes() == evaluate(graph, inputs)[0].tobytes()
