"""What Vela makes of real models, executed: every byte is that of the model's own integers."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit.demo import model_path
from chipfit.errors import ChipfitError
from chipfit.ethosu import ACCELERATORS
from chipfit.exporters import to_tflite
from chipfit.ops import Op
from chipfit.ops.elu import Elu
from chipfit.ops.tile import Tile
from passes.chains import Builder

pytestmark = pytest.mark.skipif(find_spec("ethosu") is None, reason="the ethos-u-vela package is not installed")

SMALL_SRAM = ("--optimise", "Size", "--arena-cache-size", "20000")
DEDICATED = ("--memory-mode", "Dedicated_Sram")


def through_vela(model: Path, folder: Path, accelerator: str, *options: str) -> chipfit.Model:
    command = [sys.executable, "-m", "ethosu.vela", str(model), "--accelerator-config", accelerator, *options]
    ran = subprocess.run([*command, "--output-dir", str(folder)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return chipfit.load(folder / f"{model.stem}_vela.tflite")


def assert_same(model: chipfit.Model, compiled: chipfit.Model, runs: int = 3) -> None:
    samples = model.samples(runs, seed=1)
    for expected, found in zip(model.run_samples(samples), compiled.run_samples(samples), strict=True):
        np.testing.assert_array_equal(expected, found)


@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_the_demo_on_every_accelerator(accelerator: str, tmp_path: Path) -> None:
    compiled = through_vela(model_path("int8"), tmp_path, accelerator)
    assert [n.op.name for n in compiled.graph.nodes] == ["ethos_u"]
    assert_same(chipfit.load(model_path("int8")), compiled)


@pytest.mark.parametrize(
    ("name", "accelerator", "options"),
    [
        ("mlperf_ad_toycar_int8", "ethos-u55-32", ()),
        ("mlperf_kws_dscnn_int8", "ethos-u65-512", ()),
        ("mlperf_ic_resnet8_int8", "ethos-u55-128", SMALL_SRAM),
        ("mlperf_vww_mnv1_025_96_int8", "ethos-u65-256", DEDICATED),
        ("mlperf_streaming_wakeword_int8", "ethos-u55-64", ()),
        ("tflm_micro_speech_int8", "ethos-u55-256", ()),
    ],
)
def test_real_models(models_dir: Path, tmp_path: Path, name: str, accelerator: str, options: tuple[str, ...]) -> None:
    """Cascades through rolling buffers, two memories, two cores, blocked layouts, softmax in 28 operations."""
    model = models_dir / f"{name}.tflite"
    assert_same(chipfit.load(model), through_vela(model, tmp_path, accelerator, *options))


def test_operators_of_the_processor_run_around_it(models_dir: Path, tmp_path: Path) -> None:
    model = models_dir / "esphome_vad_v2_stream.tflite"
    compiled = through_vela(model, tmp_path, "ethos-u55-128")
    names = {n.op.name for n in compiled.graph.nodes}
    assert names == {"ethos_u", "read_variable", "assign_variable"}
    assert_same(chipfit.load(model), compiled, runs=6)


@pytest.mark.parametrize("op", [Elu(), Tile((1, 2, 3, 1))], ids=lambda op: op.name)
def test_operators_that_other_references_lack(op: Op, tmp_path: Path) -> None:
    """On the NPU they are lookup tables and copies; held against chipfit's own definition."""
    b = Builder()
    model = chipfit.Model(b.done(b.add(op, b.conv(b.input(1, 5, 6, 3)))))
    (tmp_path / "net.tflite").write_bytes(to_tflite(model.graph))
    compiled = through_vela(tmp_path / "net.tflite", tmp_path, "ethos-u55-128")
    assert [n.op.name for n in compiled.graph.nodes] == ["ethos_u"]
    assert_same(model, compiled)


def test_a_stream_is_no_c(tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match="command stream for an NPU") as caught:
        through_vela(model_path("int8"), tmp_path, "ethos-u55-128").compile("host", tmp_path / "out")
    assert caught.value.code == "O002"
