"""What compressed weights save, and what they cost: a model compiled both ways, and run on the emulated board."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.firmware import Firmware
from chipfit.model import Model
from chipfit.report.data import MEASURED, CompileReport, PackingInfo, RunReport, envelope
from chipfit.targets import Board


@dataclass(frozen=True)
class LayerCost:
    """A layer with plain and with compressed weights. ``packing``: None where they stayed plain. Instructions are those
    of one run, None where the board does not count them."""

    name: str
    op: str
    packing: PackingInfo | None
    instructions_plain: int | None
    instructions: int | None


@dataclass(frozen=True)
class ProgramCost:
    """Of a whole program: bytes of ``weights`` alone, of ``flash`` and ``ram`` in all, instructions of one run; None:
    unknown."""

    weights: int
    flash: int | None
    ram: int | None
    instructions: int | None

    @staticmethod
    def of(compiled: CompileReport, run: RunReport | None) -> ProgramCost:
        flash, ram = compiled.flash, compiled.ram
        return ProgramCost(flash.weights, flash.total, ram.total, run.instructions if run else None)


@dataclass(frozen=True)
class WeightsReport:
    """``same_outputs``: whether both programs gave the same bytes; None where none could be run."""

    model: str
    board: str
    plain: ProgramCost
    compressed: ProgramCost
    layers: tuple[LayerCost, ...]
    same_outputs: bool | None
    how: str = MEASURED

    @property
    def packed(self) -> tuple[LayerCost, ...]:
        """The layers whose weights are compressed."""
        return tuple(layer for layer in self.layers if layer.packing is not None)

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.weights", self)


def weights_report(model: Model, board: str | Board, firmware: Firmware, **options: Any) -> WeightsReport:
    """Hold a model that was compiled with compressed weights against the same one with plain weights.

    ``firmware``: the compiled model; ``options``: those of :meth:`chipfit.Model.compile` that it was compiled with,
    ``weights`` left out. The plain one is compiled in a folder that is gone afterwards, and both run once, on the same
    random input. Where it does not fit the board, or nothing can be run, figures are None.
    Raises ChipfitError as :meth:`chipfit.Model.compile` does, but for M001.
    """
    compiled, inputs = firmware.report, model.samples(1)
    run = _run(firmware, inputs)
    settings: dict[str, Any] = {**options, "force": False}
    with tempfile.TemporaryDirectory(prefix="chipfit-plain-") as folder:
        try:
            other = model.compile(board, Path(folder) / "plain", **settings)
        except ChipfitError as error:
            if error.code != "M001":
                raise
            return _report(compiled, run, None, None)
        return _report(compiled, run, other.report, _run(other, inputs))


def _run(firmware: Firmware, inputs: Any) -> RunReport | None:
    try:
        return firmware.run(inputs)
    except ChipfitError as error:
        if error.code != "T001":  # no emulator here
            raise
        return None


def _report(
    compiled: CompileReport, run: RunReport | None, plain: CompileReport | None, plain_run: RunReport | None
) -> WeightsReport:
    before, after = _by_layer(plain_run), _by_layer(run)
    layers = [
        LayerCost(i.name, i.op, i.packing, before.get((i.name, i.op)), after.get((i.name, i.op)))
        for i in compiled.layers
    ]
    same = None
    if run and plain_run:
        same = all(a.tobytes() == b.tobytes() for a, b in zip(run.outputs, plain_run.outputs, strict=True))
    nothing = ProgramCost(_plain_weights(compiled), None, None, None)
    return WeightsReport(
        compiled.model,
        compiled.board,
        ProgramCost.of(plain, plain_run) if plain else nothing,
        ProgramCost.of(compiled, run),
        tuple(layers),
        same,
    )


def _by_layer(run: RunReport | None) -> dict[tuple[str, str], int | None]:
    """Instructions by name and operator: the order of layers may differ."""
    return {(layer.name, layer.op): layer.instructions for layer in run.layers} if run else {}


def _plain_weights(compiled: CompileReport) -> int:
    """Bytes of weights that would be there without compression, where nothing could be compiled."""
    saved = sum(layer.packing.plain - layer.packing.packed for layer in compiled.layers if layer.packing)
    return compiled.flash.weights + saved
