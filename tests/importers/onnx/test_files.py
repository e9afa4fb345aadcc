"""Files: how they are told, weights beside them, damaged ones, and models that cannot be compiled."""

from __future__ import annotations

import contextlib
import random as dice
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit.errors import ChipfitError
from chipfit.importers import load_graph
from chipfit.importers.onnx import is_onnx_file, is_onnx_object
from chipfit.importers.onnx.names import port_name, tensor_name
from importers.onnx.nets import H, feeds, integers, model, node, onnx, outputs_of, random

IMAGE = (1, 3, 8, 8)


def small() -> Any:
    nodes = [
        node("Conv", "x w b", "/conv/Conv_output_0", pads=[1, 1, 1, 1]),
        node("Relu", "/conv/Conv_output_0", "/act/Relu_output_0"),
        node("Shape", "/act/Relu_output_0", "s"),
        node("Gather", "s zero", "n"),
        node("Concat", "n rest", "target", axis=0),
        node("Reshape", "/act/Relu_output_0 target", "f"),
        node("Gemm", "f v", "y", transB=1),
    ]
    constants = {
        "w": random(4, 3, 3, 3),
        "b": random(4, seed=1),
        "v": random(5, 256, seed=2),
        "zero": integers(0),
        "rest": integers(-1),
    }
    return model(nodes, {"x": ("batch", *IMAGE[1:])}, constants, ["y"])


def test_bytes_file_and_object_are_alike(tmp_path: Path) -> None:
    proto = small()
    data = proto.SerializeToString()
    path = tmp_path / "no_ending"
    path.write_bytes(data)
    assert is_onnx_file(data)
    assert is_onnx_object(proto)
    graphs = [load_graph(source) for source in (data, path, str(path), proto)]
    given = feeds(proto)
    first = outputs_of(graphs[0], given)
    for graph in graphs:
        np.testing.assert_array_equal(outputs_of(graph, given)[0], first[0])
    assert [graph.name for graph in graphs] == ["model", "no_ending", "no_ending", "net"]
    assert chipfit.load(data, name="other").name == "other"
    assert proto.SerializeToString() == data


def test_chains_on_shapes_vanish_and_names_are_sane() -> None:
    graph = load_graph(small())
    assert [n.op.name for n in graph.nodes] == [
        "transpose",
        "conv2d",
        "transpose",
        "relu",
        "reshape",
        "fully_connected",
    ]
    assert {"conv/Conv", "act/Relu", "w", "b", "v", "x", "y"} <= {v.name for v in graph.values()}
    assert graph.inputs[0].shape == IMAGE


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("/features/0/Conv_output_0", "features/0/Conv"),
        ("StatefulPartitionedCall/net/dense/BiasAdd:0", "net/dense/BiasAdd"),
        ("plain", "plain"),
        ("12", "conv_12"),
        ("%5", "conv_%5"),
    ],
)
def test_tensor_names(name: str, found: str) -> None:
    assert tensor_name(name, "", "Conv") == found


def test_port_names() -> None:
    assert [port_name(n) for n in ("x:0", "/x", "serving/x:0")] == ["x", "/x", "serving/x"]
    assert tensor_name("12", "/a/Conv", "Conv") == "a/Conv"


# ---------------------------------------------------------------------------------------------- weights elsewhere


def external(folder: Path, location: str) -> Path:
    """The small model with its greatest tensor in another file."""
    proto = small()
    tensor = next(t for t in proto.graph.initializer if t.name == "v")
    data = tensor.raw_data
    (folder / "weights.bin").write_bytes(b"head" + data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "4"), ("length", str(len(data)))):
        tensor.external_data.add(key=key, value=value)
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_weights_beside_the_file(tmp_path: Path) -> None:
    given = feeds(small())
    found = outputs_of(load_graph(external(tmp_path, "weights.bin")), given)
    np.testing.assert_array_equal(found[0], outputs_of(load_graph(small()), given)[0])


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("../weights.bin", "F003"),
        ("sub/../../weights.bin", "F003"),
        ("", "F003"),
        (".", "F003"),
        ("missing.bin", "F001"),
        ("\0", "F003"),
    ],
)
def test_weights_anywhere_else_are_not_read(tmp_path: Path, location: str, code: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    path = external(inner, location)
    (tmp_path / "weights.bin").write_bytes((inner / "weights.bin").read_bytes())
    with pytest.raises(ChipfitError) as error:
        load_graph(path)
    assert error.value.code == code


def test_weights_by_an_absolute_path_or_a_link_are_not_read(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    outside = tmp_path / "weights.bin"
    for location in (str(outside), "link"):
        path = external(inner, location)
        outside.write_bytes((inner / "weights.bin").read_bytes())
        with contextlib.suppress(OSError):
            (inner / "link").symlink_to(outside)
        with pytest.raises(ChipfitError) as error:
            load_graph(path)
        assert error.value.code == "F003"


def test_weights_beyond_the_end(tmp_path: Path) -> None:
    path = external(tmp_path, "weights.bin")
    (tmp_path / "weights.bin").write_bytes(b"short")
    with pytest.raises(ChipfitError, match="beyond the end"):
        load_graph(path)


def test_weights_elsewhere_need_a_path(tmp_path: Path) -> None:
    with pytest.raises(ChipfitError) as error:
        load_graph(external(tmp_path, "weights.bin").read_bytes())
    assert error.value.code == "F001"
    assert "path" in error.value.hint


# ---------------------------------------------------------------------------------------------- refusals


def problems(proto: Any) -> ChipfitError:
    with pytest.raises(ChipfitError) as error:
        load_graph(proto)
    return error.value


def test_all_problems_at_once() -> None:
    nodes = [
        node("LpPool", "x", "a", kernel_shape=[2, 2]),
        node("MaxPool", "x", "b", kernel_shape=[2, 2], dilations=[2, 2]),
        node("Erf", "b", "c"),
        node("Resize", "c - s", "y", mode="cubic"),
        node("Own", "x", "z", domain="mine"),
    ]
    proto = model(nodes, {"x": IMAGE}, {"s": np.array([1, 1, 2, 2], np.float32)}, ["y", "z", "a"])
    proto.opset_import.append(H.make_opsetid("mine", 1))
    error = problems(proto)
    assert error.code == "O001"
    for words in (
        "5 nodes",
        "LpPool 'LpPool_a' (float32[1,3,8,8])",
        "dilation [2, 2]",
        "Erf",
        "cubic",
        "domain 'mine'",
    ):
        assert words in error.message
    for words in ("GELU", "linear", "AveragePool"):
        assert words in error.hint


@pytest.mark.parametrize(
    ("shape", "words"),
    [(("n", 3, "height", "width"), "[n, 3, height, width]"), ((1, 3, 0, 8), "[1, 3, 0, 8]"), (None, "not known")],
)
def test_open_sizes(shape: Any, words: str) -> None:
    error = problems(model([node("Relu", "x", "y")], {"x": shape}, {}, ["y"]))
    assert error.code == "O002"
    assert words in error.message
    assert "make_dynamic_shape_fixed" in error.hint


def test_old_opsets() -> None:
    error = problems(model([node("Relu", "x", "y")], {"x": IMAGE}, {}, ["y"], opset=6))
    assert error.code == "F004"


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (node("Conv", "x x", "y"), "computed"),
        (node("Reshape", "x n", "y"), "cannot have the shape"),
        (node("Gather", "x i", "y"), "outside"),
        (node("TopK", "x k", "y z"), "k=3"),
        (node("Pad", "x n", "y"), "pads"),
        (node("Resize", "x - - t", "y", coordinate_transformation_mode="tf_crop_and_resize"), "tf_crop_and_resize"),
        (node("Resize", "x - - t", "y", mode="linear", antialias=1), "antialias"),
        (node("Tile", "x i", "y"), "repeats"),
        (node("Cast", "x", "y", to=8), "STRING"),
        (node("BatchNormalization", "x w w w w", "y"), "do not fit"),
        (node("Concat", "x w", "y", axis=1), "differ"),
        (node("Loop", "x", "y"), "Loop"),
        (node("TreeEnsembleRegressor", "x", "y", "ai.onnx.ml"), "Tree"),
    ],
)
def test_nodes_that_cannot_be_compiled(made: Any, words: str) -> None:
    constants = {"n": integers(5, 5), "i": integers(9), "k": integers(3), "t": integers(1, 3, 5, 5), "w": random(2)}
    error = problems(model([made], {"x": IMAGE}, constants, ["y"], opset=18))
    assert error.code in ("O001", "O002")
    assert words in error.message
    assert error.hint


def test_conditions_that_are_known() -> None:
    """Exporters write If for what depends on shapes."""

    def branch(op: str) -> Any:
        return H.make_graph([node(op, "x", f"y_{op}")], op, [], [H.make_tensor_value_info(f"y_{op}", 1, None)])

    made = node("If", "c", "y", then_branch=branch("Relu"), else_branch=branch("Neg"))
    for condition, op in ((True, "relu"), (False, "neg")):
        graph = load_graph(model([made], {"x": IMAGE}, {"c": np.array(condition)}, ["y"]))
        assert [n.op.name for n in graph.nodes] == [op]
    error = problems(model([node("Cast", "x", "c", to=9), made], {"x": (1,)}, {}, ["y"]))
    assert error.code == "O001"


def test_functions_of_the_model() -> None:
    body = H.make_function("mine", "Twice", ["a"], ["b"], [node("Add", "a a", "b")], [H.make_opsetid("", 17)])
    proto = model([node("Twice", "x", "y", "mine")], {"x": IMAGE}, {}, ["y"])
    proto.opset_import.append(H.make_opsetid("mine", 1))
    proto.functions.append(body)
    given = feeds(proto)
    np.testing.assert_array_equal(outputs_of(load_graph(proto), given)[0], 2 * given["x"])


def test_outputs_that_are_inputs_or_constants() -> None:
    proto = model(
        [node("Identity", "x", "y"), node("Constant", "", "z", value_floats=[1.0, 2.0])], {"x": (1, 2)}, {}, ["y", "z"]
    )
    given = feeds(proto)
    found = outputs_of(load_graph(proto), given)
    np.testing.assert_array_equal(found[0], given["x"])
    np.testing.assert_array_equal(found[1], [1, 2])


# ---------------------------------------------------------------------------------------------- damage


def test_damaged_files_raise_nothing_else() -> None:
    """Bytes changed, cut out or doubled: a graph, or a ChipfitError."""
    data = small().SerializeToString()
    # weights would take most of the changes
    lean = data.replace(next(t.raw_data for t in small().graph.initializer if t.name == "v"), bytes(5 * 256 * 4))
    rng, outcomes = dice.Random(7), {"graph": 0, "error": 0}
    head = [i for i in range(len(lean)) if i < 700 or i > len(lean) - 300]
    for _ in range(400):
        mutant = bytearray(lean)
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.choice(head)
            kind = rng.random()
            if kind < 0.7:
                mutant[min(at, len(mutant) - 1)] = rng.randrange(256)
            elif kind < 0.85:
                del mutant[at : at + rng.randrange(1, 9)]
            else:
                mutant[at:at] = mutant[at : at + rng.randrange(1, 9)]
        try:
            load_graph(bytes(mutant))
            outcomes["graph"] += 1
        except ChipfitError:
            outcomes["error"] += 1
    assert min(outcomes.values()) > 20


@pytest.mark.parametrize("keep", [3, 10, 100, 1000])
def test_files_cut_off(keep: int) -> None:
    with pytest.raises(ChipfitError) as error:
        load_graph(small().SerializeToString()[:keep])
    assert error.value.code in ("F002", "F003", "F004")


@pytest.mark.parametrize(
    "nodes",
    [
        [node("ConstantOfShape", "big", "y")],
        [node("Expand", "one big", "y")],
        [node("Range", "zero far step", "y")],
        [node("Tile", "one big", "y")],
    ],
)
def test_constants_that_would_be_huge(nodes: list[Any]) -> None:
    constants = {
        "big": integers(1 << 20, 1 << 20),
        "one": np.ones((1, 1), np.float32),
        "zero": np.int64(0),
        "far": np.int64(1 << 40),
        "step": np.int64(1),
    }
    with pytest.raises(ChipfitError) as error:
        load_graph(model(nodes, {"x": IMAGE}, constants, ["y"]))
    assert error.value.code == "F005"


def test_chipfit_does_not_import_onnx() -> None:
    code = "import sys, chipfit.importers; assert not {'onnx', 'onnxruntime', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    data = small().SerializeToString()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # type: ignore[arg-type]
    with pytest.raises(ChipfitError) as error:
        load_graph(data)
    assert error.value.code == "T001"
    assert "chipfit[onnx]" in error.value.hint
