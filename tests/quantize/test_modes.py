"""Every mode on whole graphs: what is stored how, where widths meet, and that foreign interpreters agree."""

from __future__ import annotations

import numpy as np
import pytest

from chipfit import oracle
from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.graph import Array, DType, Graph, Node, Value
from chipfit.interpret import evaluate, trace
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.hard_swish import HardSwish
from chipfit.ops.logistic import Logistic
from chipfit.ops.quantize import Quantize
from chipfit.quantize import MODES, Quantized, parse_recipe, quantize_graph, samples_of
from chipfit.quantize.measure import agreement, signal_to_noise
from chipfit.quantize.parameters import dequantize_array, quantize_array
from chipfit.quantize.prepare import judged
from chipfit.quantize.small_weights import dequantized
from oracles import needs_litert, needs_tflm
from quantize.nets import Builder, mobile, normal, pictures

INTEGERS = (DType.INT8, DType.INT16, DType.UINT8)


@pytest.fixture(scope="module")
def net() -> Graph:
    return mobile(np.random.default_rng(0))


def run(graph: Graph, recipe: str, x: Array | None = None) -> Quantized:
    x = pictures(np.random.default_rng(1), 24) if x is None else x
    return quantize_graph(graph, samples_of(x, graph.inputs), parse_recipe(recipe))


def stored(value: Value, x: Array) -> Array:
    if value.dtype.is_float:
        return x
    return np.clip(np.rint(x / np.float32(value.q.s)) + value.q.zp, *value.dtype.range).astype(value.dtype.numpy)


def real(value: Value, y: Array) -> Array:
    return y if value.dtype.is_float else dequantize_array(y, value.q)


def scores(graph: Graph, images: Array) -> Array:
    """Real numbers that a graph is judged by, by its definitions."""
    target = judged(graph)
    return np.stack([real(target, trace(graph, [stored(graph.inputs[0], i)])[target]) for i in images])


def named(graph: Graph) -> dict[str, Value]:
    return {v.name: v for v in graph.values()}


def bridges(graph: Graph) -> list[Node]:
    return [n for n in graph.nodes if isinstance(n.op, Quantize)]


# ---------------------------------------------------------------------------------------------- int16x8


def test_int16x8_is_int16_with_int8_weights(net: Graph) -> None:
    graph = run(net, "int16x8").graph
    for node in graph.nodes:
        for value in (*node.operands, *node.outputs):
            kinds = {DType.INT8, DType.INT64} if value.is_const else {DType.INT16}
            assert value.dtype in kinds
            assert set(value.q.zero_point) == {0}
        if isinstance(node.op, Conv2D):
            units = [np.float32(node["x"].q.s * s) for s in node["w"].q.scale]
            np.testing.assert_array_equal(node["b"].q.scale, units)
            assert node["b"].dtype is DType.INT64
    assert graph.outputs[0].q.s == 1 / 32768
    greatest = max(float(np.abs(i).max()) for i in pictures(np.random.default_rng(1), 24))
    assert graph.inputs[0].q.s == pytest.approx(greatest / 32767)


def test_int16x8_is_better_than_int8_only_with_corrected_weights(net: Graph) -> None:
    """Without correction the weights are the fault, and wide activations gain nothing."""
    images = pictures(np.random.default_rng(1), 24)
    wanted = scores(net, images)
    int8, int16, plain = (
        signal_to_noise(wanted, scores(run(net, recipe).graph, images))
        for recipe in ("int8", "int16x8", "int16x8 -reconstruct -bias -match -pool")
    )
    assert int16 > int8 + 8.0
    assert int16 > plain + 8.0


RECIPES = [
    "int16x8",
    "int16x8 input=int8 output=uint8",
    "int16x8 input=float32 output=float32 weights=tensor",
    "int8 input=int16 output=int16",
    "int8 ; pointwise: activations=int16",
    "int8 ; x: activations=int16 ; logits: activations=int16",
    "int8 activations=int16 -pool",
    "int16x8 ; second: activations=int8 ; residual: activations=int8 ; p*o*: activations=int8",
]


@pytest.mark.parametrize("recipe", RECIPES)
@needs_tflm
@needs_litert
def test_foreign_interpreters_give_the_same_bytes(net: Graph, recipe: str) -> None:
    graph, images = run(net, recipe).graph, pictures(np.random.default_rng(5), 4)
    assert (graph.inputs[0].name, graph.outputs[0].name) == ("x", "probabilities")
    given = [[stored(graph.inputs[0], image)] for image in images]
    expected = [evaluate(graph, sample) for sample in given]
    model = to_tflite(graph)
    for results in (oracle.tflm_run(model, given), oracle.litert_run(model, given)):
        for mine, its in zip(expected, results, strict=True):
            np.testing.assert_array_equal(mine[0], its[0])
    floats = np.stack([evaluate(net, [image])[0] for image in images])
    assert np.abs(np.stack([real(graph.outputs[0], y[0]) for y in expected]) - floats).max() < 0.05


@pytest.mark.parametrize("recipe", RECIPES)
def test_edges_are_what_the_recipe_says(net: Graph, recipe: str) -> None:
    graph, options = run(net, recipe).graph, parse_recipe(recipe)
    for value, edge in ((graph.inputs[0], options.input), (graph.outputs[0], options.output)):
        assert value.dtype.value == (edge or options.width_of(value.name))


# ---------------------------------------------------------------------------------------------- mixed


def test_operators_around_a_wide_tensor_are_wide(net: Graph) -> None:
    """pointwise is read by two operators; the one that also reads what they write stays wide, the pool is not."""
    graph = run(net, "int8 -pool ; pointwise: activations=int16").graph
    widths = {n.name: (n.operands[0].dtype, n.outputs[0].dtype) for n in graph.nodes if not isinstance(n.op, Quantize)}
    wide, narrow = (DType.INT16, DType.INT16), (DType.INT8, DType.INT8)
    assert {name: widths[name] for name in ("depthwise", "pointwise", "second", "pool")} == {
        "depthwise": narrow,
        "pointwise": wide,
        "second": wide,
        "pool": narrow,
    }
    made = {n["x"].name: n["y"] for n in bridges(graph)}
    assert {name: v.dtype for name, v in made.items()} == {"depthwise": DType.INT16, "residual": DType.INT8}


def test_an_int8_tensor_is_copied_exactly(net: Graph) -> None:
    graph = run(net, "int8 ; pointwise: activations=int16").graph
    node = next(n for n in bridges(graph) if n["x"].name == "depthwise")
    x, y = node["x"], node["y"]
    every = np.arange(-128, 128, dtype=np.int8)
    every = np.resize(every, x.shape)
    wide = np.asarray(node.op.eval_int(node, every))  # type: ignore[attr-defined] - Quantize
    np.testing.assert_array_equal(dequantize_array(wide, y.q), dequantize_array(every, x.q))


def test_readers_share_a_bridge() -> None:
    """One tensor is read wide twice and narrow twice: one QUANTIZE for each direction at most."""
    rng = np.random.default_rng(3)
    b = Builder(1, 6, 6, 2)
    first = b.add("first", Conv2D(), b.x, normal(rng, 3, 1, 1, 2))
    wide = [b.add(f"wide_{i}", Conv2D(), first, normal(rng, 3, 1, 1, 3)) for i in range(2)]
    narrow = [b.add(f"narrow_{i}", Conv2D(), v, normal(rng, 3, 1, 1, 3)) for i, v in enumerate([first, first, *wide])]
    again = [b.add(f"again_{i}", Logistic(), v) for i, v in enumerate(narrow[2:])]
    graph = b.graph(*narrow, *again)
    x = rng.normal(0, 1, (20, 1, 6, 6, 2)).astype(np.float32)
    result = run(graph, "int8 ; wide_*: activations=int16", x).graph
    seen = [(n["x"].name, n["y"].dtype) for n in bridges(result)]
    assert sorted(set(seen), key=str) == sorted(seen, key=str)
    # what only leaves the wide part is narrowed once, also for the output of the graph
    assert sorted(name for name, _ in seen) == ["first", "narrow_2/int16", "narrow_3/int16"]
    assert [v.dtype for v in result.outputs] == [DType.INT8] * 6


def test_what_meets_in_a_wide_concatenation_shares_a_range() -> None:
    rng = np.random.default_rng(2)
    b = Builder(1, 6, 6, 2)
    left = b.add("left", Conv2D(), b.x, normal(rng, 3, 1, 1, 2, scale=2.0))
    right = b.add("right", Conv2D(), b.x, normal(rng, 3, 1, 1, 2))
    gate = b.add("gate", Logistic(), right)
    graph = b.graph(b.add("all", Concatenation(axis=3), left, right, gate))
    x = rng.normal(0, 1, (20, 1, 6, 6, 2)).astype(np.float32)
    values = named(run(graph, "int16x8", x).graph)
    assert values["left"].q == values["right"].q == values["all"].q == values["gate/rescaled"].q
    assert values["gate"].q.s == 1 / 32768


def test_an_operator_without_an_int16_form_stays_in_int8() -> None:
    rng = np.random.default_rng(2)
    b = Builder(1, 8)
    y = b.add("first", FullyConnected(), b.x, normal(rng, 8, 8))
    y = b.add("swish", HardSwish(), y)
    graph = b.graph(b.add("second", FullyConnected(), y, normal(rng, 3, 8)))
    x = rng.normal(0, 1, (20, 1, 8)).astype(np.float32)
    result = run(graph, "int16x8", x)
    assert any("stay in int8" in note and "'swish'" in note for note in result.report.notes)
    assert [n.op.name for n in result.graph.nodes] == [
        "fully_connected",
        "quantize",
        "hard_swish",
        "quantize",
        "fully_connected",
    ]
    expected = np.stack([evaluate(graph, [i])[0] for i in x])
    assert signal_to_noise(expected, scores(result.graph, x)) > 30.0


def test_a_rule_for_nothing_is_noted(net: Graph) -> None:
    notes = run(net, "int8 ; conv3d*: activations=int16").report.notes
    assert any("no tensor has a name like: conv3d*" in note for note in notes)


# ---------------------------------------------------------------------------------------------- small weights


def big(rng: np.random.Generator, scale: float = 0.05) -> Graph:
    """Dense layers whose inputs have a mean far from 0, as behind a relu; one of them is small."""
    b = Builder(1, 64)
    y = b.add("wide", FullyConnected(act="relu"), b.x, normal(rng, 96, 64, scale=scale), normal(rng, 96))
    y = b.add("inner", FullyConnected(act="relu"), y, normal(rng, 64, 96, scale=scale), normal(rng, 64))
    return b.graph(b.add("head", FullyConnected(), y, normal(rng, 1, 64, scale=scale)))


INPUTS = (np.random.default_rng(8).normal(1.0, 0.2, (60, 1, 64))).astype(np.float32)


def forms(graph: Graph) -> dict[str, tuple[str, DType]]:
    """How each layer's weights are stored, and whether an operator gives them to the layer."""
    made = {n["y"]: n["x"] for n in graph.nodes if n.op.name == "dequantize"}
    layers = [n for n in graph.nodes if isinstance(n.op, FullyConnected)]
    return {n.name: ("dequantize", made[n["w"]].dtype) if n["w"] in made else ("layer", n["w"].dtype) for n in layers}


@pytest.mark.parametrize(
    ("recipe", "form"),
    [
        ("float16", ("dequantize", DType.FLOAT16)),
        ("dynamic", ("dequantize", DType.INT8)),
        ("dynamic compute=integer", ("layer", DType.INT8)),
    ],
)
@needs_litert
def test_small_weights_beside_floats(recipe: str, form: tuple[str, DType]) -> None:
    graph = big(np.random.default_rng(4))
    result = run(graph, recipe, INPUTS[:40]).graph
    if recipe != "dynamic compute=integer":
        result = dequantized(result)
    head = form if recipe == "float16" else ("layer", DType.FLOAT32)  # 64 of 12352 weights
    assert forms(result) == {"wide": form, "inner": form, "head": head}
    assert all(v.dtype is DType.FLOAT32 for n in result.nodes for v in n.outputs)
    images = list(INPUTS[40:])
    expected = np.stack([evaluate(result, [i])[0] for i in images])
    exact = np.stack([evaluate(graph, [i])[0] for i in images])
    assert signal_to_noise(exact, expected) > (50.0 if recipe == "float16" else 25.0)
    lite = np.stack([y for y, *_ in oracle.litert_run(to_tflite(result), [[i] for i in images])])
    if recipe == "dynamic compute=integer":  # LiteRT quantizes inputs on the fly
        assert signal_to_noise(exact, lite) > 15.0
    else:
        np.testing.assert_allclose(lite, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("mode", "gain"), [("float16", 3.0), ("dynamic", 3.0)])
def test_samples_pay(mode: str, gain: float) -> None:
    figures = dict.fromkeys(("without", f"{mode} -bias -match", mode), 0.0)
    for seed in range(4):
        graph = big(np.random.default_rng(seed))
        exact = scores(graph, INPUTS[40:])
        for recipe in figures:
            given = None if recipe == "without" else samples_of(INPUTS[:40], graph.inputs)
            made = quantize_graph(graph, given, parse_recipe(mode if recipe == "without" else recipe))
            figures[recipe] += signal_to_noise(exact, scores(made.graph, INPUTS[40:])) / 4
    without, _, full = figures.values()
    assert full > without + gain, figures


def test_without_samples_weights_are_rounded_to_the_nearest() -> None:
    graph = big(np.random.default_rng(4))
    result = quantize_graph(graph, None, parse_recipe("dynamic"))
    assert any("rounded to the nearest" in note for note in result.report.notes)
    w, made = named(graph)["wide/1"].array, named(result.graph)["wide/1"]
    assert np.abs(dequantize(made) - w).max() <= 0.5 * max(made.q.scale) + 1e-9
    np.testing.assert_array_equal(named(result.graph)["wide/2"].array, named(graph)["wide/2"].array)


def dequantize(value: Value) -> Array:
    return value.array * np.array(value.q.scale)[:, None]


@pytest.mark.parametrize("mode", [m for m, info in MODES.items() if info.calibrated])
def test_integers_need_samples(mode: str, net: Graph) -> None:
    with pytest.raises(ChipfitError) as error:
        quantize_graph(net, None, parse_recipe(mode))
    assert error.value.code == "Q001"
    assert "float16, dynamic" in error.value.hint


def test_the_smallest_layers_stay_float() -> None:
    """As many as hold 1 % of the weights together, each with fewer than 1024."""
    rng = np.random.default_rng(4)
    b = Builder(1, 100)
    y = b.add("a", FullyConnected(), b.x, normal(rng, 1, 100))
    y = b.add("b", FullyConnected(), y, normal(rng, 20, 1))
    y = b.add("c", FullyConnected(), y, normal(rng, 25, 20))
    graph = b.graph(b.add("d", FullyConnected(), y, normal(rng, 2000, 25)))
    result = quantize_graph(graph, None, parse_recipe("dynamic"))
    assert {name: dtype for name, (_, dtype) in forms(result.graph).items()} == {
        "a": DType.FLOAT32,
        "b": DType.FLOAT32,
        "c": DType.INT8,
        "d": DType.INT8,
    }
    assert any("keep float32 weights: b, a" in note for note in result.report.notes)


@pytest.mark.parametrize(("scale", "kept"), [(1e5, True), (1e-9, True), (1e-3, False), (0.0, False)])
def test_float16_keeps_what_it_cannot_hold(scale: float, kept: bool) -> None:
    graph = big(np.random.default_rng(4), scale)
    result = quantize_graph(graph, None, parse_recipe("float16"))
    assert forms(result.graph)["wide"][1] is (DType.FLOAT32 if kept else DType.FLOAT16)
    assert any("'wide/1'" in note or "wide/1" in note for note in result.report.notes) == kept
    exact, made = (scores(g, INPUTS[:4]) for g in (graph, result.graph))
    np.testing.assert_allclose(made, exact, rtol=0.02, atol=0.02 * float(np.abs(exact).max()))


def test_shared_weights_stay_shared() -> None:
    rng, b = np.random.default_rng(4), Builder(1, 64)
    w = Value("w", b.x.type, normal(rng, 64, 64))
    w.type = type(b.x.type)((64, 64), DType.FLOAT32)
    y = b.add("one", FullyConnected(), b.x, w)
    graph = b.graph(b.add("two", FullyConnected(), y, w))
    result = dequantized(run(graph, "float16", INPUTS[:8]).graph)
    assert [n.op.name for n in result.nodes] == ["dequantize", "fully_connected", "fully_connected"]
    one, two = (n for n in result.nodes if n.op.name == "fully_connected")
    assert one["w"] is two["w"]
    assert one["b"] is not two["b"]


# ---------------------------------------------------------------------------------------------- hard numbers


@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize(
    ("scale", "offset"),
    [(1e-9, 0.0), (1e-9, 1.0), (1e9, -1e9), (1.0, 1e6), (0.0, 0.0), (0.0, 2.0)],
    ids=["tiny", "tiny beside a bias", "huge", "lost in a bias", "zeros", "a constant"],
)
def test_extreme_weights(mode: str, scale: float, offset: float) -> None:
    rng, b = np.random.default_rng(4), Builder(1, 40)
    w = normal(rng, 30, 40, scale=1.0) * np.float32(scale)
    graph = b.graph(b.add("y", FullyConnected(), b.x, w, np.full(30, offset, np.float32)))
    x = rng.normal(0, 1, (30, 1, 40)).astype(np.float32)
    result = run(graph, mode, x).graph
    expected = np.stack([evaluate(graph, [i])[0] for i in x])
    actual = scores(result, x)
    assert np.isfinite(actual).all()
    assert np.abs(actual - expected).max() <= 0.05 * np.abs(expected).max()
    to_tflite(result)


@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("level", [0.0, 0.7])
def test_constant_samples(mode: str, level: float, net: Graph) -> None:
    x = np.full((4, 1, 12, 12, 3), level, np.float32)
    result = run(net, mode, x)
    widthless = any("'x' is" in note and "no width" in note for note in result.report.notes)
    assert widthless == MODES[parse_recipe(mode).mode].calibrated
    expected = scores(net, x)
    assert np.abs(scores(result.graph, x) - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize("mode", list(MODES))
def test_weights_that_are_no_numbers(mode: str) -> None:
    b = Builder(1, 40)
    graph = b.graph(b.add("y", FullyConnected(), b.x, np.full((30, 40), np.nan, np.float32)))
    with pytest.raises(ChipfitError) as error:
        run(graph, mode, np.ones((2, 1, 40), np.float32))
    assert error.value.code == "Q004"
    assert "'y/1'" in error.value.message


@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("first", list(MODES))
def test_a_model_that_is_quantized_already(mode: str, first: str) -> None:
    graph = run(big(np.random.default_rng(4)), first, INPUTS[:8]).graph
    with pytest.raises(ChipfitError) as error:
        run(graph, mode, INPUTS[:8])
    assert error.value.code == "Q004"
    assert "quantized already" in error.value.message


@pytest.mark.parametrize("mode", list(MODES))
def test_a_model_without_layers(mode: str) -> None:
    b = Builder(1, 40)
    graph = b.graph(b.add("y", Logistic(), b.x))
    x = np.random.default_rng(0).normal(0, 1, (8, 1, 40)).astype(np.float32)
    if MODES[parse_recipe(mode).mode].calibrated:
        assert agreement(scores(graph, x), scores(run(graph, mode, x).graph, x)) == 1.0
        return
    with pytest.raises(ChipfitError) as error:
        run(graph, mode, x)
    assert error.value.code == "Q004"


def test_quantize_array_fills_a_width() -> None:
    values = named(run(mobile(np.random.default_rng(0)), "int16x8").graph)
    q = values["x"].q
    ends = quantize_array(np.array([-9e9, 9e9], np.float32), q, DType.INT16)
    assert (ends.dtype, ends.tolist()) == (np.int16, [-32768, 32767])
