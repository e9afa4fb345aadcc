"""``--optimize size``: what the benchmark models take of flash besides their weights, and what that costs."""

from __future__ import annotations

from pathlib import Path

import pytest

import chipfit

BOARD = "nucleo-l4r5zi"

# flash besides weights in bytes, the whole program; multiply-accumulates of the whole model, dead channels included
LIMITS = {
    "mlperf_kws_dscnn_int8": (4608, 2_656_768),
    "mlperf_vww_mnv1_025_96_int8": (6144, 7_489_664),
    "mlperf_ic_resnet8_int8": (5120, 12_501_632),
    "mlperf_ad_toycar_int8": (5120, 264_192),
    "mlperf_streaming_wakeword_int8": (4608, 826_368),
}
INSTRUCTIONS_PER_MAC = 2.5
STACK = 600


@pytest.mark.parametrize("name", LIMITS)
def test_a_program_for_size_is_small(name: str, models_dir: Path, tmp_path: Path) -> None:
    model = chipfit.load(models_dir / f"{name}.tflite")
    firmware = model.compile(BOARD, tmp_path / "firmware", optimize="size")
    limit, macs = LIMITS[name]
    flash = firmware.report.flash
    assert flash.total is not None
    assert flash.total - flash.weights <= limit
    inputs = model.samples(1, 0)
    run = firmware.run(inputs)
    assert run.instructions is not None
    assert run.instructions <= INSTRUCTIONS_PER_MAC * macs
    assert run.stack_bytes is not None
    assert run.stack_bytes <= STACK
    for expected, actual in zip(model.run_samples(inputs), run.outputs, strict=True):
        assert (expected == actual).all()
