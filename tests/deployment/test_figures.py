"""What a program needs, as the emulator found it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chipfit.demo import model_path
from chipfit.deployment import Limits
from chipfit.deployment.figures import needs
from chipfit.model import load
from chipfit.targets import load_board
from chipfit.targets.board import Power


def test_energy_is_that_of_the_time_at_the_stated_current() -> None:
    board = load_board("arduino-nano-33-ble")
    model = load(model_path("int8"))
    found = needs(model, replace(board, power=Power(run_ma=4.0, volt=3.0)), "balanced", Limits())
    assert found.milliseconds is not None
    assert found.energy_mj == pytest.approx(4.0 * 3.0 * found.milliseconds / 1e3)
    assert needs(model, replace(board, power=None), "balanced", Limits()).energy_mj is None
