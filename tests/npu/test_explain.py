"""Operators that stay on the processor: why, what would move them, and the rewrites that keep every byte."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

import chipfit
from chipfit.graph import DType, Node, Quant, TensorType
from chipfit.model import Model
from chipfit.npu import check_for_npu
from chipfit.npu.explain import rewrite_of
from chipfit.npu.fix import means_as_pools, same_bytes, states_as_ports
from chipfit.ops.relu import Relu
from chipfit.passes import integer_io
from npu.nets import mean, summing, value, with_float_ends

needs_vela = pytest.mark.skipif(find_spec("ethosu") is None, reason="the ethos-u-vela package is not installed")

BOARD = "corstone-300-u55-128"


def test_states_become_inputs_and_outputs() -> None:
    graph = summing()
    made = states_as_ports(graph)
    assert [v.name for v in (*made.inputs, *made.outputs)] == ["x", "kept_in", "y", "kept_out"]
    assert made.variables == {}
    assert [n.op.name for n in made.nodes] == ["add", "relu"]
    assert list(graph.variables) == ["kept"]
    assert same_bytes(graph, made)


def test_a_state_that_is_an_output_stays() -> None:
    graph = summing()
    graph.outputs = [graph.nodes[1].outputs[0]]
    assert states_as_ports(graph) is graph


@pytest.mark.parametrize("keep", [False, True])
def test_means_become_pools(keep: bool) -> None:
    graph = mean(5, keep=keep)
    made = means_as_pools(graph)
    assert [n.op.name for n in made.nodes] == (["average_pool2d"] if keep else ["average_pool2d", "reshape"])
    assert [(v.name, v.type) for v in made.outputs] == [(v.name, v.type) for v in graph.outputs]
    assert same_bytes(graph, made)


def test_a_mean_that_rescales_stays() -> None:
    graph = mean(5)
    graph.outputs[0].type = TensorType((1, 4), DType.INT8, Quant.per_tensor(0.05, 3))
    assert means_as_pools(graph) is graph


def test_conversions_at_the_ends() -> None:
    graph = with_float_ends(mean(4))
    assert same_bytes(graph, integer_io(graph))


def test_a_rewrite_that_changes_a_byte_is_not_proven() -> None:
    graph = mean(4)
    other = mean(4)
    other.nodes = [Node(Relu(), [other.inputs[0]], [value("r", 1, 4, 4, 4)]), *other.nodes]
    other.nodes[1].inputs = [other.nodes[0].outputs[0]]
    assert not same_bytes(graph, other)


@needs_vela
def test_fixes_are_tried_where_they_help() -> None:
    """Two images are too many for MEAN, and not for a pool; the ends are the application's."""
    report = check_for_npu(Model(with_float_ends(mean(8, batch=2))), BOARD, fix=True)
    assert [c.name for c in report.changes] == ["integer_io", "mean"]
    assert (report.before.cpu, report.placement.cpu) == (3, 0)
    assert {(one.op, bool(one.reasons)) for one in report.before.left} == {
        ("QUANTIZE", True),
        ("MEAN", True),
        ("DEQUANTIZE", True),
    }


@needs_vela
def test_a_loop_is_unrolled_and_states_are_handed_on(models_dir: Path) -> None:
    report = check_for_npu(chipfit.load(models_dir / "esphome_vad_v2_stream.tflite"), BOARD, fix=True)
    assert [(c.name, c.after) for c in report.changes] == [("states", 0)]
    assert report.before.cpu == 21


@pytest.mark.parametrize(
    ("op", "reasons", "words"),
    [
        ("SVDF", "Unsupported opType", "DEPTHWISE_CONV_2D"),
        ("READ_VARIABLE", "Unsupported opType", "input and an output"),
        ("ADD", "Operation has tensor with unsupported DataType Float32 (x)", "quantize the model"),
        ("ADD", "Unsupported dataType Int32", "int8 or int16"),
        ("CONV_2D", "Tensor 'x' has a dynamic shape", "fixed batch"),
        ("MEAN", "Unsupported depth-reduction. IFM: 1, 160, 3, 3", "rows and columns alone"),
        ("MAX_POOL_2D", "Kernel height must be less than 256", "smaller window"),
        ("ELU", "Unsupported opType", "another activation"),
        ("GATHER", "Unsupported opType", "no rewrite is known"),
    ],
)
def test_words(op: str, reasons: str, words: str) -> None:
    assert words in rewrite_of(op, reasons)
