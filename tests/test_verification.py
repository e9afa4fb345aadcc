"""``verify`` finds what is wrong, and says why something did not run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit import oracle, verification
from chipfit.demo import model_path
from chipfit.firmware import Firmware
from chipfit.graph import Array
from chipfit.report.data import RunReport, VerifyReport
from chipfit.verification import compare_outputs

TINY_BOARD = """name = "tiny"
title = "Tiny"
core = "cortex-m0plus"
clock_hz = 1_000_000
[memory]
flash = { origin = 0, size = "64K" }
ram = { origin = 0x2000_0000, size = "2K" }
"""


def demo(kind: Any = "int8") -> chipfit.Model:
    return chipfit.load(model_path(kind))


@pytest.fixture(scope="module")
def good() -> VerifyReport:
    return chipfit.verify(demo(), demo().samples(4), boards=("host", "nucleo-l4r5zi"))


def test_a_good_model_passes(good: VerifyReport) -> None:
    assert good.passed
    assert good.identical
    assert good.tolerance == 0.0
    ran = [c.against for c in good.comparisons if not c.skipped]
    assert ran[:2] == ["C on the host", "C on nucleo-l4r5zi (emulated cortex-m4f)"]
    assert ("TFLite Micro" in ran) == oracle.have_tflm()
    assert "LiteRT" not in ran


def test_float_model_within_tolerance() -> None:
    report = demo("float32").verify(4)
    assert report.passed
    assert report.tolerance == verification.FLOAT_TOLERANCE
    assert all(c.max_error <= report.tolerance for c in report.comparisons if not c.skipped)


def break_one_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Firmware.run

    def wrong(self: Firmware, samples: Any, **options: Any) -> RunReport:
        report = run(self, samples, **options)
        outputs = report.outputs[0].copy()
        outputs[2, 0, 7] += 1
        return dataclasses.replace(report, outputs=(outputs,))

    monkeypatch.setattr(Firmware, "run", wrong)


def test_a_wrong_byte_of_generated_code_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    break_one_byte(monkeypatch)
    report = demo().verify(4, oracles=False)
    assert not report.passed
    assert not report.identical
    (comparison,) = report.comparisons
    assert comparison.max_error == 1.0
    assert comparison.first_difference is not None
    assert comparison.first_difference.startswith("output 0, sample 2, element [0, 7]: expected ")
    assert "(1 of 40 elements differ)" in comparison.first_difference


def test_a_wrong_oracle_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def zeros(model: bytes, samples: Sequence[Sequence[Array]]) -> list[list[Array]]:
        return [[np.zeros((1, 10), np.int8)] for _ in samples]

    monkeypatch.setattr(oracle, "have_tflm", lambda: True)
    monkeypatch.setattr(oracle, "tflm_run", zeros)
    report = demo().verify(3, boards=())
    assert [(c.against, c.passed) for c in report.comparisons] == [("TFLite Micro", False)]
    assert not report.passed


def test_outputs_of_another_size_are_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    def nine(model: bytes, samples: Sequence[Sequence[Array]]) -> list[list[Array]]:
        return [[np.zeros((1, 9), np.int8)] for _ in samples]

    monkeypatch.setattr(oracle, "have_tflm", lambda: True)
    monkeypatch.setattr(oracle, "tflm_run", nine)
    (comparison,) = demo().verify(3, boards=()).comparisons
    assert not comparison.passed
    assert comparison.skipped is None
    assert comparison.first_difference == "int8[3, 1, 9] instead of int8[3, 1, 10]"


def test_skipped_ones_have_reasons(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(model: bytes, samples: Sequence[Sequence[Array]]) -> list[list[Array]]:
        raise RuntimeError("no room")

    monkeypatch.setattr(oracle, "have_tflm", lambda: True)
    monkeypatch.setattr(oracle, "tflm_run", refuse)
    board = tmp_path / "tiny.toml"
    board.write_text(TINY_BOARD)
    report = demo().verify(1, boards=(str(board),))
    assert [bool(c.skipped) for c in report.comparisons] == [True, True]
    assert "does not fit tiny: RAM" in (report.comparisons[0].skipped or "")
    assert report.comparisons[1].skipped == "it cannot run this model: no room"
    assert not report.passed, "nothing ran: that is no proof"


def test_missing_oracle_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "have_tflm", lambda: False)
    report = demo().verify(1)
    assert [(c.against, c.skipped) for c in report.comparisons[1:]] == [("TFLite Micro", oracle.TFLM_MISSING)]
    assert report.passed


@pytest.mark.parametrize("error", [ValueError("wrong"), chipfit.ChipfitError("E005", "no proof")])
def test_errors_of_generated_code_are_no_reason_to_skip(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Firmware, samples: Any, **options: Any) -> RunReport:
        raise error

    monkeypatch.setattr(Firmware, "run", fail)
    with pytest.raises(type(error)) as caught:
        demo().verify(1)
    assert caught.value is error


def test_progress() -> None:
    told: list[str] = []
    demo().verify(1, oracles=False, progress=told.append)
    assert told == ["C on the host"]


def floats(*values: float) -> tuple[Array, ...]:
    return (np.array([values], np.float32),)


@pytest.mark.parametrize(
    ("expected", "actual", "passed"),
    [
        ((1.0, 2.0), (1.0, 2.0), True),
        ((1.0, 100.0), (1.0005, 100.0), True),
        ((1.0, 100.0), (1.01, 100.0), False),
        ((1.0, np.nan), (1.0, np.nan), True),
        ((1.0, 2.0), (1.0, np.nan), False),
        ((1.0, np.inf), (1.0, np.inf), True),
        ((1.0, np.inf), (1.0, -np.inf), False),
        ((0.0, 0.0), (0.0, 1e-9), False),
        ((0.0, 1.0), (-0.0, 1.0), True),
    ],
)
def test_floats_are_compared_relative_to_the_largest(
    expected: tuple[float, ...], actual: tuple[float, ...], passed: bool
) -> None:
    result = compare_outputs("x", floats(*expected), floats(*actual), 1e-5)
    assert result.passed == passed
    assert passed or result.first_difference


def test_one_bad_output_of_several_is_enough() -> None:
    good, bad = floats(1.0)[0], floats(np.nan)[0]
    assert not compare_outputs("x", (good, good), (good, bad), 1e-5).passed
    assert not compare_outputs("x", (good, good), (bad, good), 1e-5).passed


def test_integers_have_no_tolerance() -> None:
    a, b = (np.array([[v]], np.int8) for v in (1, 2))
    result = compare_outputs("x", (a,), (b,), 0.0)
    assert (result.passed, result.identical, result.max_error) == (False, False, 1.0)
