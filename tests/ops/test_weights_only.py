"""Float layers with small weights: types, meaning, flash; and the conversion of float16, on every core."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chipfit.codegen.lower import lower
from chipfit.emulate import HostLibrary, build_elf, build_host_library, run_elf
from chipfit.errors import ChipfitError
from chipfit.graph import DType, Graph, Node, Quant, Value
from chipfit.interpret import evaluate
from chipfit.ops import REGISTRY, graph_of, op_of, random_input
from chipfit.ops._weights_only import has_small_weights
from chipfit.passes import float_weights
from chipfit.targets import load_board
from ops import bundle

LAYERS = ("conv2d", "depthwise_conv2d", "fully_connected")
HALVES = np.arange(1 << 16, dtype=np.uint16)


def small_nodes(name: str) -> list[Node]:
    return [n for n in REGISTRY[name].samples(np.random.default_rng(0)) if has_small_weights(n)]


@pytest.mark.parametrize("name", LAYERS)
def test_the_weights_type_chooses_the_kernel(name: str) -> None:
    names = {n["w"].dtype: op_of(n).choose(n, frozenset()).kernel.name for n in small_nodes(name)}
    stem = "cf_conv2d_f32" if name == "fully_connected" else f"cf_{name}_f32"
    assert names == {DType.INT8: f"{stem}_w8", DType.FLOAT16: f"{stem}_w16"}
    for node in small_nodes(name):
        real = float_weights(graph_of(node)).nodes[0]
        assert op_of(real).choose(real, frozenset()).kernel.name == f"cf_{name}_f32"


@pytest.mark.parametrize("name", LAYERS)
def test_the_meaning_is_that_of_the_real_weights(name: str) -> None:
    for node in small_nodes(name):
        graph = graph_of(node)
        real = float_weights(graph)
        assert real.nodes[0]["w"].dtype is DType.FLOAT32
        assert graph.nodes[0]["w"].dtype in (DType.INT8, DType.FLOAT16)  # the given graph is left alone
        inputs = [random_input(np.random.default_rng(1), v.type) for v in graph.inputs]
        for a, b in zip(evaluate(graph, inputs), evaluate(real, inputs), strict=True):
            np.testing.assert_array_equal(a, b)
        w = node["w"]
        scale = np.array(w.q.scale, np.float64) if w.dtype is DType.INT8 else np.ones(1)
        shape = [1] * len(w.shape)
        if len(scale) > 1:
            shape[w.q.axis or 0] = -1
        product = w.array.astype(np.float64) * scale.reshape(shape)
        np.testing.assert_allclose(real.nodes[0]["w"].array, product, rtol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_flash_holds_the_small_weights(name: str) -> None:
    for node in small_nodes(name):
        scales = 4 * len(node["w"].q.scale) if node["w"].dtype is DType.INT8 else 0
        bias = node.get("b")
        expected = node["w"].type.nbytes + scales + (bias.type.nbytes if bias else 0)
        assert lower(graph_of(node), frozenset()).bytes_of("weights") == expected


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_refused(name: str) -> None:
    node = next(n for n in small_nodes(name) if n["w"].dtype is DType.INT8)
    w, x, y, scale = node["w"], node["x"], node["y"], node["w"].q.scale[0]

    def refused(port: str, value: Value, match: str) -> None:
        index = {"x": 0, "w": 1, "b": 2}.get(port)
        inputs = [value if i == index else v for i, v in enumerate(node.inputs)]
        with pytest.raises(ChipfitError, match=match) as error:
            op_of(node).check(Node(node.op, inputs, [value] if port == "y" else [y]))
        assert error.value.code == "O002"

    refused("w", Value("w", replace(w.type, quant=None), w.data), "need one scale")
    two = (*w.shape[:-1], 2)
    refused("w", Value("w", replace(w.type, shape=two, quant=Quant((scale,) * 2, (0,) * 2, len(two) - 2))), "one scale")
    refused("w", Value("w", replace(w.type, quant=Quant.per_tensor(scale, 3)), w.data), "zero point that is not 0")
    refused("w", Value("w", replace(w.type, dtype=DType.UINT8)), "float32, float16 or int8")
    refused("x", Value("x", replace(x.type, dtype=DType.FLOAT16)), "float32, float16 or int8")
    refused("y", Value("y", replace(y.type, dtype=DType.INT8)), "float32, float16 or int8")
    refused("b", Value("b", replace(node["b"].type, dtype=DType.INT32)), "expected float32")


def test_weights_that_may_be_infinite_have_no_kernel() -> None:
    node = next(n for n in small_nodes("conv2d") if n["w"].dtype is DType.FLOAT16)
    weights = node["w"].array.copy()
    weights.reshape(-1)[-1] = np.inf
    for data in (weights, None):
        changed = Node(node.op, [node["x"], Value("w", node["w"].type, data), node["b"]], node.outputs)
        with pytest.raises(ChipfitError, match="known to be finite"):
            op_of(changed).choose(changed, frozenset())


def test_single_pixels_are_one_line() -> None:
    """So that only the last of an odd number has no neighbour."""
    for node in small_nodes("fully_connected"):
        call = op_of(node).call(node)
        assert not isinstance(call, list)
        assert (call.params["in_w"], call.params["out_w"]) == (node["y"].type.size // node["w"].shape[0],) * 2
    node = next(n for n in small_nodes("conv2d") if n["w"].shape[1:3] == (1, 1) and n["x"].shape[1] == 1)
    call = op_of(node).call(node)
    assert not isinstance(call, list)
    assert call.params["in_w"] == node["x"].type.size // node["x"].shape[3]


# ---------------------------------------------------------------------------------------------- float16

CONVERSIONS = """#include "cf_half.h"
void convert(const uint16_t *x, float *y, int32_t n, int32_t finite);
void convert(const uint16_t *x, float *y, int32_t n, int32_t finite)
{
    for (int32_t i = 0; i < n; i++) {
        y[i] = finite ? cf_finite_half_to_float(x[i]) : cf_half_to_float(x[i]);
    }
}
"""


def check_halves(got: np.ndarray[tuple[int], np.dtype[np.float32]], finite: bool) -> None:
    want = HALVES.view(np.float16).astype(np.float32)
    compared = np.isfinite(want) if finite else ~np.isnan(want)
    np.testing.assert_array_equal(got[compared].view(np.uint32), want[compared].view(np.uint32))
    if not finite:
        assert np.isnan(got[np.isnan(want)]).all()


@pytest.mark.parametrize("finite", [False, True])
def test_every_float16_on_this_computer(finite: bool, tmp_path: Path) -> None:
    source = tmp_path / "half.c"
    source.write_text(CONVERSIONS)
    library = HostLibrary(build_host_library([source], bundle.include_dirs(), tmp_path / "half.so"))
    got = np.zeros(1 << 16, np.float32)
    library.function("convert", returns=None)(HALVES, got, 1 << 16, int(finite))
    check_halves(got, finite)


@pytest.mark.parametrize("board_name", ["nucleo-l4r5zi", "raspberry-pi-pico", "maix-bit"])
def test_every_float16_on_emulated_cores(board_name: str, tmp_path: Path) -> None:
    """With an instruction for it, without an FPU, and with an FPU that has no such instruction."""
    source, board = tmp_path / "half.c", load_board(board_name)
    source.write_text(
        f"""{CONVERSIONS}
#include "cf_port.h"
static uint16_t x[1024];
static float y[1024];
int main(void)
{{
    for (int32_t finite = 0; finite < 2; finite++) {{
        for (int32_t block = 0; block < 64; block++) {{
            for (int32_t i = 0; i < 1024; i++) {{
                x[i] = (uint16_t)(block * 1024 + i);
            }}
            convert(x, y, 1024, finite);
            cf_port_write(y, sizeof y);
        }}
    }}
    cf_port_print("done\\n");
    return 0;
}}
"""
    )
    elf = tmp_path / "half.elf"
    build_elf([source], bundle.include_dirs(), board, elf)
    result = run_elf(elf, board, stdin=b"")
    assert (result.exit_code, result.console.strip()) == (0, "done")
    got = np.frombuffer(result.output, np.float32).reshape(2, -1)
    check_halves(got[0], finite=False)
    check_halves(got[1], finite=True)


def test_layers_of_a_graph_without_small_weights_are_left_alone() -> None:
    nodes = [n for n in REGISTRY["conv2d"].samples(np.random.default_rng(0)) if not has_small_weights(n)]
    graphs: list[Graph] = [graph_of(n) for n in nodes[:4]]
    assert all(float_weights(g) is g for g in graphs)
