"""Whole models on a Cortex-M55 with Helium: the reference's bytes, in fewer instructions than were asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit.emulate import qemu

LIMITS = {
    "mlperf_kws_dscnn_int8": 0.75e6,
    "mlperf_vww_mnv1_025_96_int8": 1.65e6,
    "mlperf_ic_resnet8_int8": 2.4e6,
    "mlperf_ad_toycar_int8": 0.055e6,
}
"""Instructions of one run. TensorFlow Lite Micro with CMSIS-NN: 1.79, 6.43, 4.81 and 0.150 million."""


@pytest.mark.skipif(qemu.find_qemu() is None, reason=f"QEMU is not installed: {qemu.install_hint()}")
@pytest.mark.parametrize("name", LIMITS)
def test_few_instructions(name: str, models_dir: Path, tmp_path: Path) -> None:
    model = chipfit.load(models_dir / f"{name}.tflite")
    samples = model.samples(2)
    run = model.compile("corstone-300", tmp_path / "program").run(samples)
    for wanted, found in zip(model.run_samples(samples), run.outputs, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert run.instructions is not None
    assert run.instructions <= LIMITS[name]
