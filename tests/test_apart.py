"""Functions in a process of their own: results and errors come back, nothing else does."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from chipfit.apart import ApartError, call_apart
from chipfit.errors import ChipfitError
from importers import elsewhere


def test_results_come_back(capfd: pytest.CaptureFixture[str]) -> None:
    """Arguments and results are objects; what the function prints is not heard."""
    array, doubled, process = call_apart(elsewhere.twice, np.arange(5), 21, seconds=60)
    np.testing.assert_array_equal(array, np.arange(5))
    assert doubled == 42
    assert process != os.getpid()
    assert capfd.readouterr() == ("", "")


def test_errors_of_chipfit_come_back() -> None:
    with pytest.raises(ChipfitError) as error:
        call_apart(elsewhere.refuse, "O002", seconds=60)
    assert (error.value.code, error.value.message, error.value.hint) == ("O002", "no", "do something else")


def test_a_crash_is_an_error_here() -> None:
    with pytest.raises(ApartError) as error:
        call_apart(elsewhere.crash, seconds=60)
    assert error.value.reason.startswith("crashed (signal" if os.name == "posix" else "failed")
    assert "the last words" in error.value.said


def test_other_exceptions_and_megabytes_of_talk() -> None:
    """The end of what was said is kept, and no more."""
    with pytest.raises(ApartError) as error:
        call_apart(elsewhere.chatter, 3, seconds=60)
    assert error.value.reason == "failed (exit status 1)"
    assert error.value.said[-1] == "ValueError: that was all"
    assert sum(map(len, error.value.said)) <= 64 << 10


def test_an_end_without_a_result() -> None:
    with pytest.raises(ApartError, match="ended without a result"):
        call_apart(elsewhere.leave, seconds=60)


def test_a_process_that_hangs_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(ApartError, match=r"did not end within 0\.5 seconds"):
        call_apart(time.sleep, 60, seconds=0.5)
    assert time.monotonic() - started < 30


def test_the_environment_of_the_other_process() -> None:
    assert call_apart(os.getenv, "CHIPFIT_TEST", seconds=60, environment={"CHIPFIT_TEST": "x"}) == "x"
    assert "CHIPFIT_TEST" not in os.environ
