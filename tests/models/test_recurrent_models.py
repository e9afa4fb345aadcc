"""Real models with recurrent layers: state goes on from run to run as in TFLite Micro, on the host and on chips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit import oracle
from chipfit.exporters import to_tflite
from chipfit.graph import Array, DType
from chipfit.importers import load_graph
from chipfit.ops import op_of
from oracles import needs_tflm

INT8_MODELS = ["tflm_mnist_lstm_int8", "tflm_dtln_noise_suppression", "tflm_keyword_scrambled_svdf_8bit"]
FLOAT_MODEL = "tflm_mnist_lstm_f32"
BOARDS = ["host", "nucleo-l4r5zi", "raspberry-pi-pico", "esp32-c3"]
RUNS = 40
"""More than the longest memory, 32 results."""

CHIP_RUNS = 6
FLOAT_TOLERANCE = 1e-5

Samples = list[tuple[Array, ...]]


def with_golden(models_dir: Path, name: str, runs: int) -> tuple[chipfit.Model, Samples, Array]:
    """The model; inputs of consecutive runs, the golden one first; the golden output of TFLite Micro."""
    model = chipfit.load(models_dir / f"{name}.tflite")
    with np.load(models_dir / "golden" / f"{name}.npz") as data:
        first, expected = data["in0"], data["out_tflm0"]
    return model, [(first,), *model.samples(runs - 1, seed=1)], expected


def opened(models_dir: Path, name: str, folder: Path) -> Path:
    """The model with the outputs of its recurrent layers as outputs, too.

    The biases of the scrambled model are so great that all its tensors stand at the ends of their ranges, whatever the
    input: they are made 2**20 times smaller.
    """
    graph = load_graph(models_dir / f"{name}.tflite")
    graph.outputs = [node.outputs[0] for node in graph.nodes if op_of(node).states] + graph.outputs
    for value in graph.values():
        if "scrambled" in name and value.is_const and value.dtype is DType.INT32:
            value.data = value.array >> 20
    path = folder / "opened.tflite"
    path.write_bytes(to_tflite(graph))
    return path


def stacked(runs: list[list[Array]]) -> list[Array]:
    """One array for each output, with a leading axis of runs."""
    return [np.stack(outputs) for outputs in zip(*runs, strict=True)]


@needs_tflm
@pytest.mark.parametrize("name", INT8_MODELS)
def test_state_goes_on_as_in_tflite_micro(name: str, models_dir: Path, tmp_path: Path) -> None:
    model, samples, golden = with_golden(models_dir, name, RUNS)
    (expected,) = stacked(oracle.tflm_run((models_dir / f"{name}.tflite").read_bytes(), samples))
    assert expected[0].tobytes() == golden.tobytes()
    assert model.run_samples(samples)[0].tobytes() == expected.tobytes()
    assert model.compile("host", tmp_path / "out").run(samples).outputs[0].tobytes() == expected.tobytes()


@needs_tflm
@pytest.mark.parametrize("name", INT8_MODELS)
def test_every_recurrent_layer_is_that_of_tflite_micro(name: str, models_dir: Path, tmp_path: Path) -> None:
    path = opened(models_dir, name, tmp_path)
    model = chipfit.load(path)
    samples = model.samples(RUNS, seed=2)
    outputs = model.run_samples(samples)
    for value, y, expected in zip(
        model.graph.outputs, outputs, stacked(oracle.tflm_run(path.read_bytes(), samples)), strict=True
    ):
        np.testing.assert_array_equal(y, expected, err_msg=value.name)
    for value, y in list(zip(model.graph.outputs, outputs, strict=True))[:-1]:
        assert len(np.unique(y)) > 100, f"'{value.name}' hardly moves"
    fresh = [model.run(*x) for x in samples[1:]]
    for k, y in enumerate(outputs):
        assert any(run[k].tobytes() != later.tobytes() for run, later in zip(fresh, y[1:], strict=True)), "no state"


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("name", INT8_MODELS)
def test_chips_give_the_bytes_of_the_reference(name: str, board: str, models_dir: Path, tmp_path: Path) -> None:
    model = chipfit.load(opened(models_dir, name, tmp_path))
    samples = model.samples(CHIP_RUNS, seed=3)
    firmware = model.compile(board, tmp_path / "out")
    for y, expected in zip(firmware.run(samples).outputs, model.run_samples(samples), strict=True):
        assert y.tobytes() == expected.tobytes()
    again = firmware.run(samples[:1]).outputs
    assert [y[0].tobytes() for y in again] == [y.tobytes() for y in model.run(*samples[0])], "a fresh run starts over"


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("name", INT8_MODELS)
def test_golden_output(name: str, board: str, models_dir: Path, tmp_path: Path) -> None:
    model, samples, golden = with_golden(models_dir, name, 1)
    assert model.compile(board, tmp_path / "out").run(samples).outputs[0][0].tobytes() == golden.tobytes()


@needs_tflm
@pytest.mark.parametrize("board", BOARDS)
def test_float_model_is_near_tflite_micro(board: str, models_dir: Path, tmp_path: Path) -> None:
    model, samples, golden = with_golden(models_dir, FLOAT_MODEL, CHIP_RUNS)
    (expected,) = stacked(oracle.tflm_run((models_dir / f"{FLOAT_MODEL}.tflite").read_bytes(), samples))
    np.testing.assert_array_equal(expected[0], golden)
    limit = FLOAT_TOLERANCE * np.abs(expected).max()
    np.testing.assert_allclose(model.run_samples(samples)[0], expected, rtol=0, atol=limit)
    outputs = model.compile(board, tmp_path / "out").run(samples).outputs[0]
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=limit)
