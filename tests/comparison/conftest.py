"""What tests of comparisons share: nothing is compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from chipfit.comparison import run
from chipfit.deployment import Limits, Needs
from chipfit.evaluation import engines
from chipfit.graph import Array
from chipfit.model import Model
from chipfit.report.data import TensorInfo
from chipfit.targets import Board


class _Reference:
    """An integer model by its definition, which its C is held to elsewhere."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def run(self, inputs: Sequence[Array]) -> tuple[Array, Array]:
        output = self._model.run_samples(list(zip(*inputs, strict=True)))[0]
        flat = output.reshape(len(output), -1)
        return flat, flat

    def single(self, inputs: Sequence[Array]) -> Callable[[], Any]:
        raise NotImplementedError


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program needs follows from the pixels that it takes; an Uno has no room for colours. Compressed weights
    take half of the flash."""

    def tried(model: Model, board: Board, goals: Sequence[Any], limits: Limits, *, weights: str) -> list[Needs]:
        pixels = int(model.graph.inputs[0].type.size)
        flash = (8000 + pixels) // (2 if weights == "compressed" else 1)
        if board.name == "arduino-uno" and pixels > 2000:
            return [Needs(board.name, goals[0], False, flash, pixels, False, problem="too much RAM")]
        energy = pixels / 500 if board.power else None
        return [Needs(board.name, goals[0], False, flash, pixels, True, 10 * pixels, pixels / 1000, energy_mj=energy)]

    def runners(model: Model, count: int) -> tuple[list[_Reference], TensorInfo]:
        return [_Reference(model)] * count, TensorInfo.of(model.graph.outputs[0])

    monkeypatch.setattr(run, "first_that_fits", tried)
    monkeypatch.setattr(engines, "_host_runners", runners)
