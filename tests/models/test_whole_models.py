"""Real models end to end: reference, generated C on the host and on emulated cores, and TFLite Micro agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit import oracle
from chipfit.graph import Array
from chipfit.verification import FLOAT_TOLERANCE

INT8_MODELS = [
    "mlperf_kws_dscnn_int8",
    "mlperf_vww_mnv1_025_96_int8",
    "mlperf_ic_resnet8_int8",
    "mlperf_ad_toycar_int8",
    "mlperf_streaming_wakeword_int8",
    "tflm_hello_world_int8",
    "tflm_person_detect_int8",
    "tflm_micro_speech_int8",
    "arduino_magic_wand_int8",
    "tinyengine_mcunet_vww_int8",
    "tinyengine_mcunetv2_large_int8",
    "tinyengine_mnist_lenet300_ptq",
    "esphome_okay_nabu_v2_stream",
    "esphome_vad_v2_stream",
    "imagenet_mnv2_10_224_int8ptq",
]
FLOAT_MODELS = [
    "mlperf_vww_mnv1_025_96_f32",
    "mlperf_ic_resnet8_f32",
    "mlperf_ad_toycar_f32",
    "tflm_hello_world_f32",
    "imagenet_mnv1_025_224_f32",
]
RANDOM_INPUTS = 32
CHIP_INPUTS = 4
# Cortex-M4F, Cortex-M0+, RV32IMC
CHIPS = ["nucleo-l4r5zi", "raspberry-pi-pico", "esp32-c3"]
# what each chip has no room for, with the memory that is too small; all else must fit
TOO_LARGE = {
    ("tinyengine_mcunetv2_large_int8", "nucleo-l4r5zi"): "RAM",
    ("tinyengine_mcunetv2_large_int8", "raspberry-pi-pico"): "RAM",
    ("tinyengine_mcunetv2_large_int8", "esp32-c3"): "RAM",
    ("imagenet_mnv2_10_224_int8ptq", "nucleo-l4r5zi"): "RAM",
    ("imagenet_mnv2_10_224_int8ptq", "raspberry-pi-pico"): "RAM",
    ("imagenet_mnv2_10_224_int8ptq", "esp32-c3"): "RAM",
}


def golden(models_dir: Path, name: str, model: chipfit.Model) -> tuple[tuple[Array, ...], Array]:
    """The golden input and the output that TFLite Micro gave for it."""
    with np.load(models_dir / "golden" / f"{name}.npz") as data:
        key = "out_tflm0" if "out_tflm0" in data.files else "out0"
        return tuple(data[f"in{i}"] for i in range(len(model.inputs))), data[key]


@pytest.mark.parametrize("name", INT8_MODELS)
def test_int8_model_is_identical_everywhere(name: str, models_dir: Path) -> None:
    model = chipfit.load(models_dir / f"{name}.tflite")
    first, expected = golden(models_dir, name, model)
    report = chipfit.verify(model, [first, *model.samples(RANDOM_INPUTS, seed=1)])
    differences = [(c.against, c.first_difference) for c in report.comparisons if not c.identical and not c.skipped]
    assert not differences
    ran = {c.against for c in report.comparisons if not c.skipped}
    assert "C on the host" in ran
    assert ("TFLite Micro" in ran) == oracle.have_tflm()
    assert model.run(*first)[0].tobytes() == expected.tobytes()


@pytest.mark.parametrize("board", CHIPS)
@pytest.mark.parametrize("name", INT8_MODELS)
def test_int8_model_on_emulated_cores(name: str, board: str, models_dir: Path, tmp_path: Path) -> None:
    model = chipfit.load(models_dir / f"{name}.tflite")
    if (name, board) in TOO_LARGE:
        with pytest.raises(chipfit.ChipfitError, match=TOO_LARGE[name, board]) as caught:
            model.compile(board, tmp_path / "out")
        assert caught.value.code == "M001"
        assert "too many" in caught.value.message
        assert not (tmp_path / "out").exists()
        return
    first, _ = golden(models_dir, name, model)
    samples = [first, *model.samples(CHIP_INPUTS - 1, seed=2)]
    result = model.compile(board, tmp_path / "out").run(samples)
    for expected, actual in zip(model.run_samples(samples), result.outputs, strict=True):
        assert actual.tobytes() == expected.tobytes()
    assert f"{CHIP_INPUTS} runs" in result.proof
    assert result.instructions
    assert all(layer.instructions for layer in result.layers)


@pytest.mark.parametrize("name", FLOAT_MODELS)
def test_float_model_is_close_to_litert(name: str, models_dir: Path) -> None:
    model = chipfit.load(models_dir / f"{name}.tflite")
    first, _ = golden(models_dir, name, model)
    report = chipfit.verify(model, [first, *model.samples(3, seed=1)])
    assert report.passed, [(c.against, c.max_error) for c in report.comparisons]
    assert {c.against for c in report.comparisons if not c.skipped} >= {"C on the host", "LiteRT"}
    assert all(c.max_error <= FLOAT_TOLERANCE for c in report.comparisons)


def test_stateful_model_over_consecutive_frames(models_dir: Path, tmp_path: Path) -> None:
    """State goes on from frame to frame on the chip as in the reference, and a fresh run starts over."""
    model = chipfit.load(models_dir / "esphome_okay_nabu_v2_stream.tflite")
    frames = model.samples(20, seed=3)
    firmware = model.compile("nucleo-l4r5zi", tmp_path / "out")
    expected = model.run_samples(frames)[0]
    assert firmware.run(frames).outputs[0].tobytes() == expected.tobytes()
    again = firmware.run(frames[:1]).outputs[0]
    assert again.tobytes() == expected[:1].tobytes()


def test_fewer_instructions_than_tflm_reference_kernels(models_dir: Path, tmp_path: Path) -> None:
    """Figures of the TFLite Micro reference kernels, one inference on an emulated Cortex-M4 (gcc -O2)."""
    tflm = {
        "mlperf_kws_dscnn_int8": 43_040_655,
        "mlperf_vww_mnv1_025_96_int8": 100_251_052,
        "mlperf_ic_resnet8_int8": 107_401_609,
        "mlperf_ad_toycar_int8": 1_952_307,
        "mlperf_streaming_wakeword_int8": 8_284_849,
    }
    for name, theirs in tflm.items():
        model = chipfit.load(models_dir / f"{name}.tflite")
        ours = model.compile("nucleo-l4r5zi", tmp_path / name).run(model.samples(1)).instructions
        assert ours is not None
        assert ours < theirs, name
