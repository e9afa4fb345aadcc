"""Real layers with int16 activations: reference, C and chips give the output of TFLite Micro."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit.ops import random_input
from oracles import needs_tflm, tflm_run

NAME = "tflm_seanet_conv10_int16"
TRANSPOSED = "tflm_seanet_transpose_conv0_int16"
BOARDS = ["host", "nucleo-l4r5zi", "raspberry-pi-pico", "esp32-c3"]


@pytest.mark.parametrize("board", BOARDS)
def test_golden(board: str, models_dir: Path, tmp_path: Path) -> None:
    model = chipfit.load(models_dir / f"{NAME}.tflite")
    with np.load(models_dir / "golden" / f"{NAME}.npz") as data:
        x, expected = data["in0"], data["out_tflm0"]
    assert model.run(x)[0].tobytes() == expected.tobytes()
    assert model.compile(board, tmp_path / "out").run(x).outputs[0].tobytes() == expected.tobytes()


@needs_tflm
@pytest.mark.parametrize("board", BOARDS)
def test_transposed_convolution(board: str, models_dir: Path, tmp_path: Path) -> None:
    path = models_dir / f"{TRANSPOSED}.tflite"
    model, rng = chipfit.load(path), np.random.default_rng(1)
    firmware = model.compile(board, tmp_path / "out")
    for _ in range(2):
        inputs = [random_input(rng, v.type) for v in model.graph.inputs]  # its first input is the output's shape
        (expected,) = tflm_run(path.read_bytes(), inputs)
        assert model.run(*inputs)[0].tobytes() == expected.tobytes()
        assert firmware.run([tuple(inputs)]).outputs[0].tobytes() == expected.tobytes()
