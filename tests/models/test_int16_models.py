"""A real layer with int16 activations: reference, C and chips give the golden output of TFLite Micro."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import chipfit

NAME = "tflm_seanet_conv10_int16"


@pytest.mark.parametrize("board", ["host", "nucleo-l4r5zi", "raspberry-pi-pico", "esp32-c3"])
def test_golden(board: str, models_dir: Path, tmp_path: Path) -> None:
    model = chipfit.load(models_dir / f"{NAME}.tflite")
    with np.load(models_dir / "golden" / f"{NAME}.npz") as data:
        x, expected = data["in0"], data["out_tflm0"]
    assert model.run(x)[0].tobytes() == expected.tobytes()
    assert model.compile(board, tmp_path / "out").run(x).outputs[0].tobytes() == expected.tobytes()
