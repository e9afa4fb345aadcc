"""Vela, called by its library interface."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit.demo import model_path
from chipfit.errors import ChipfitError
from chipfit.npu import LeftToCpu, compile_with_vela, vela_version
from chipfit.npu.vela import left_to_cpu
from chipfit.targets import Npu

needs_vela = pytest.mark.skipif(find_spec("ethosu") is None, reason="the ethos-u-vela package is not installed")

U55_128 = Npu("ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram")
U65_512 = Npu("ethos-u65-512", "Ethos_U65_High_End", "Dedicated_Sram")


@needs_vela
@pytest.mark.parametrize("target", [U55_128, U65_512], ids=lambda t: t.accelerator)
def test_the_demo(target: Npu) -> None:
    made = compile_with_vela(model_path("int8").read_bytes(), target)
    assert (made.cpu_operators, made.left) == (0, ())
    assert made.version == metadata.version("ethos-u-vela")
    assert made.cycles > 1000
    assert sum(m.peak_bytes for m in made.memories) > 0
    model = chipfit.load(model_path("int8"))
    sample = model.samples(1)[0]
    np.testing.assert_array_equal(chipfit.load(made.tflite).run(*sample)[0], model.run(*sample)[0])


@needs_vela
def test_less_sram_takes_more_cycles(models_dir: Path) -> None:
    file = (models_dir / "mlperf_ic_resnet8_int8.tflite").read_bytes()
    roomy, tight = (compile_with_vela(file, U55_128, sram_bytes=size) for size in (None, 24_000))
    peak = [next(m.peak_bytes for m in made.memories if m.name == "Sram") for made in (roomy, tight)]
    assert peak[1] < peak[0]
    assert tight.cycles > roomy.cycles


@needs_vela
def test_operators_that_are_left_have_reasons(models_dir: Path) -> None:
    made = compile_with_vela((models_dir / "tflm_keyword_scrambled_svdf_8bit.tflite").read_bytes(), U55_128)
    assert made.cpu_operators == len(made.left) == 8
    assert {(one.op, one.reasons) for one in made.left} == {
        ("SVDF", ("Unsupported opType",)),
        ("QUANTIZE", ("Unsupported dataType Int32: 32-bit feature-maps are not supported.",)),
    }


@needs_vela
def test_what_is_no_model_is_an_error() -> None:
    with pytest.raises(ChipfitError, match="Vela") as caught:
        compile_with_vela(b"TFL3 and nothing else", U55_128)
    assert caught.value.code == "A003"


@needs_vela
def test_an_unknown_memory_mode() -> None:
    with pytest.raises(ChipfitError, match="no memory mode 'Elsewhere'") as caught:
        compile_with_vela(model_path("int8").read_bytes(), Npu("ethos-u55-128", U55_128.system, "Elsewhere"))
    assert caught.value.code == "A003"


def test_an_unknown_accelerator() -> None:
    with pytest.raises(ChipfitError, match="no accelerator 'ethos-u85-256'") as caught:
        compile_with_vela(b"", Npu("ethos-u85-256", "", ""))
    assert caught.value.code == "U001"


def test_without_vela(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("chipfit.npu.vela.version", missing)
    with pytest.raises(ChipfitError, match="missing") as caught:
        vela_version()
    assert caught.value.code == "T001"


def test_lines_of_vela() -> None:
    said = [
        "something else",
        "Warning (supported operators) operator: SVDF, ofm: 'a, 'b''",
        "Reason: Unsupported opType",
        "Reason: and another one",
        "which breaks this rule",
        "  by much",
        "",
        "nothing of it",
        "Warning (supported operators) operator: MEAN, ofm: ''",
    ]
    assert left_to_cpu(said) == [
        LeftToCpu(
            "SVDF",
            "a, 'b'",
            ("Unsupported opType", "and another one: which breaks this rule: by much"),
        ),
        LeftToCpu("MEAN", "", ()),
    ]
