"""The kernels of a real model, built by a user's gcc: the same bytes, and not many more instructions than with zig."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import chipfit

GCC = "arm-none-eabi-gcc"


def test_gcc_keeps_up(models_dir: Path, tmp_path: Path) -> None:
    if shutil.which(GCC) is None:
        pytest.skip(f"{GCC} is not installed")
    model = chipfit.load(models_dir / "mlperf_kws_dscnn_int8.tflite")
    samples = model.samples(2)
    runs = [model.compile("nucleo-l4r5zi", tmp_path / str(cc), cc=cc).run(samples) for cc in (None, GCC)]
    assert runs[1].outputs[0].tobytes() == runs[0].outputs[0].tobytes() == model.run_samples(samples)[0].tobytes()
    ours, theirs = runs[0].instructions, runs[1].instructions
    assert ours is not None
    assert theirs is not None
    assert theirs <= 1.15 * ours
