"""Compressed weights: which form is taken, what it saves, and how the plan and the report see it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit.codegen import Program, lower
from chipfit.codegen.compress import LEAST_SAVED
from chipfit.codegen.packing import pack
from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph
from chipfit.model import Model
from chipfit.ops import Coded, Const, graph_of
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.weights import weights_report
from ops.int8_layers import int8_layer

DSP = frozenset({"dsp"})
BOARD = "nucleo-l4r5zi"


def const(w: Array) -> Const:
    return Const("w", w, "weights", Coded(np.ones(w.size // 4, np.bool_)))


def weights(rng: np.random.Generator, shape: tuple[int, ...], codes: int = 16, zeros: float = 0.0) -> Array:
    values = np.linspace(-127, 120, codes).round().astype(np.int8)
    w = values[rng.integers(0, codes, shape)]
    w[rng.random(shape) < zeros] = 0
    return w


def conv_graph(w: Array, side: int = 8) -> Graph:
    """A convolution with these weights, (out, kh, kw, in)."""
    return graph_of(int8_layer(Conv2D(), (1, side, side, w.shape[3]), w))


def packing_of(program: Program) -> object:
    return program.steps[0].packing


@pytest.mark.parametrize(
    ("codes", "zeros", "form", "nbytes"),
    [
        (16, 0.0, "palette of 16", 2048),
        (7, 0.0, "palette of 7", 1536),
        (4, 0.0, "palette of 4", 1024),
        (2, 0.0, "palette of 2", 512),
        (200, 0.75, "bits for", 512 + 1024),
        (15, 0.875, "bits for", 512 + 512),
    ],
)
def test_form_with_the_fewest_bytes(codes: int, zeros: float, form: str, nbytes: int) -> None:
    packed = pack([const(weights(np.random.default_rng(1), (4096,), codes, zeros))])
    assert packed is not None
    assert packed.form.startswith(form)
    assert packed.data.nbytes == pytest.approx(nbytes, abs=100)


def test_words_with_other_weights_stay_as_they_are() -> None:
    w = weights(np.random.default_rng(1), (4096,), 16)
    w[[100, 200, 201]] = 11
    packed = pack([const(w)])
    assert packed is not None
    assert packed.form == "palette of 16"
    assert packed.data.nbytes < 2048 + 120


def test_what_cannot_be_smaller_stays_plain() -> None:
    graph = conv_graph(weights(np.random.default_rng(2), (32, 3, 3, 16), 200))
    assert packing_of(lower(graph, DSP, compressed=True)) is None


def test_too_little_to_save_stays_plain() -> None:
    small = lower(conv_graph(weights(np.random.default_rng(2), (16, 1, 1, 64))), DSP, compressed=True)
    assert packing_of(small) is None
    large = lower(conv_graph(weights(np.random.default_rng(2), (64, 1, 1, 64))), DSP, compressed=True)
    assert packing_of(large) is not None
    plain = lower(large.graph, DSP)
    assert large.bytes_of("weights") + LEAST_SAVED < plain.bytes_of("weights")


def test_plain_unless_asked() -> None:
    graph = conv_graph(weights(np.random.default_rng(3), (64, 1, 1, 64)))
    assert packing_of(lower(graph, DSP)) is None
    assert packing_of(lower(graph, frozenset({"harvard", "dsp"}), compressed=True)) is None


def test_scratch_is_planned_and_small_where_it_would_make_the_peak() -> None:
    """512 KiB of weights on a small image are made in parts; 4 KiB on a large one all at once, under the output."""
    rng = np.random.default_rng(4)
    many = lower(conv_graph(weights(rng, (256, 3, 3, 64)), side=4), DSP, compressed=True)
    packing = many.steps[0].packing
    assert packing is not None
    assert packing.parts > 8
    assert packing.scratch <= many.plan.arena_bytes < 20_000 < packing.plain
    few = lower(conv_graph(weights(rng, (64, 1, 1, 64)), side=24), DSP, compressed=True)
    packing = few.steps[0].packing
    assert packing is not None
    assert packing.parts == 1
    assert few.plan.arena_bytes < 24 * 24 * 64 + 7000


def dense_model() -> Model:
    node = int8_layer(FullyConnected(), (1, 200), weights(np.random.default_rng(5), (40, 200)))
    return Model(replace(graph_of(node), name="dense"))


def test_report_of_both_programs(tmp_path: Path) -> None:
    model = dense_model()
    firmware = model.compile(BOARD, tmp_path / "out", weights="compressed")
    assert firmware.report.weights == "compressed"
    report = weights_report(model, BOARD, firmware)
    assert report.same_outputs is True
    assert len(report.packed) == 1
    layer = report.packed[0]
    assert layer.packing == firmware.report.layers[0].packing
    assert layer.packing is not None
    assert layer.packing.packed < 0.56 * layer.packing.plain
    assert report.plain.weights - report.compressed.weights == layer.packing.plain - layer.packing.packed
    assert report.plain.flash is not None
    assert report.compressed.flash is not None
    assert report.compressed.flash < report.plain.flash
    assert layer.instructions is not None
    assert layer.instructions_plain is not None
    assert layer.instructions > layer.instructions_plain
    expected = model.run_samples(model.samples(3))
    assert firmware.run(model.samples(3)).outputs[0].tobytes() == expected[0].tobytes()
    again = chipfit.Firmware.open(tmp_path / "out")
    assert again.report == firmware.report


def test_on_this_computer(tmp_path: Path) -> None:
    model = dense_model()
    firmware = model.compile("host", tmp_path / "out", weights="compressed")
    report = weights_report(model, "host", firmware)
    assert report.same_outputs is True
    assert len(report.packed) == 1
    assert report.compressed.instructions is None


def test_other_ways_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ChipfitError) as caught:
        dense_model().compile("host", tmp_path / "out", weights="small")  # type: ignore[arg-type]
    assert caught.value.code == "U001"
