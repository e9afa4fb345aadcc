"""What a candidate needs on the board, known before it is trained: its network is compiled with random weights.

What is compressed is compressed with these. How many bytes weights take then depends on how many are different, or 0,
and that is prescribed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chipfit.build import Aim
from chipfit.compress.run import Request, Session
from chipfit.compress.subject import Subject
from chipfit.deployment import Limits, Needs
from chipfit.deployment.advice import plainly_quantized, random_network
from chipfit.deployment.figures import GOALS, first_that_fits, flash_bytes
from chipfit.errors import ChipfitError
from chipfit.metadata import Facts
from chipfit.model import Model
from chipfit.search.compression import method_of
from chipfit.search.space import Point, Space
from chipfit.targets import load_board
from chipfit.training.backbones import Network
from chipfit.training.run_folder import RunFolder

COSTS = "costs.json"

IMPOSSIBLE = 10.0
"""How far a network that cannot be built, or compiled, is from the limits."""


@dataclass(frozen=True)
class Cost:
    """``needs``: of the program that fits, or else of the one that is least over the limits; None: there is no such
    network. ``macs``: multiply-accumulates of a picture. ``problem``: why it will not do; empty: it will."""

    macs: int
    needs: Needs | None
    problem: str = ""

    @property
    def fits(self) -> bool:
        return not self.problem


@dataclass(frozen=True)
class CostTask:
    """What a cost is computed of. ``board``: a name or a file; ``name``: of the model, which the program holds."""

    point: Point
    space: Space
    classes: int
    board: str
    limits: Limits
    goals: tuple[Aim, ...] = GOALS
    name: str = "model"


def cost_of(task: CostTask) -> Cost:
    """Build, compress, quantize, compile, run once on the emulated chip."""
    try:
        network = task.space.settings_of(task.point).network(task.classes)
        model = untrained(task.point, network, task.board, task.name)
        needs = needs_of(model, task.point, task.board, task.limits, task.goals)
    except ChipfitError as error:
        if error.code not in ("O002", "U001", "N006"):
            raise
        return Cost(0, None, error.message)
    return Cost(model.macs, needs, needs.problem)


def untrained(point: Point, network: Network, board: str, name: str = "model") -> Model:
    """The integer network of a candidate, of random weights. Raises ChipfitError N006 where so many channels cannot go,
    and as :func:`~chipfit.deployment.advice.untrained` does."""
    model, samples = random_network(network, name)
    method = method_of(point.compression, None)
    if method is None:
        return plainly_quantized(model, samples, point.recipe)
    with tempfile.TemporaryDirectory(prefix="chipfit-cost-") as temporary:
        folder = Path(temporary)
        subject = Subject(folder, model, Facts(None, network.preprocessing, ()), None, samples)
        request = Request(folder, folder, load_board(board))
        made = method.apply(Session(request, subject, RunFolder(folder)))
    return plainly_quantized(Model(made.graph), samples, point.recipe) if made.int8 is None else Model(made.int8)


def needs_of(model: Model, point: Point, board: str, limits: Limits, goals: Sequence[Aim]) -> Needs:
    """Of an integer model's program for the first goal that fits, or else for that which is least over the limits."""
    tried = first_that_fits(model, load_board(board), goals, limits, weights=point.weights)
    return min(tried, key=lambda found: violation(found, board, limits))


def violation(needs: Needs | None, board: str, limits: Limits) -> float:
    """How far a program is over the limits: 0.5 is half as much again as the worst of them; 0 or less: it fits.

    ``needs``: None: there is no such program.
    """
    if needs is None:
        return IMPOSSIBLE
    if needs.fits:
        return 0.0
    target = load_board(board)
    pairs = (
        (needs.flash, limits.flash or flash_bytes(target)),
        (needs.ram, limits.ram or target.ram.size),
        (needs.milliseconds, limits.milliseconds),
    )
    over = [need / most - 1 for need, most in pairs if need is not None and most]
    return min(IMPOSSIBLE, max(0.01, *over))


class Costs:
    """Costs that are computed once, and kept in a file of the search's folder."""

    def __init__(self, folder: Path, make: Callable[[Point], CostTask]) -> None:
        self._folder, self._make = folder, make
        self._kept: dict[str, Cost] = {}
        file = folder / COSTS
        if file.is_file():
            data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            self._kept = {key: _cost(entry) for key, entry in data.items()}

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def fitting(self) -> int:
        """How many of them are within the limits."""
        return sum(cost.fits for cost in self._kept.values())

    def of(self, points: Sequence[Point], compute: Callable[[Sequence[CostTask]], Sequence[Cost]]) -> list[Cost]:
        """``compute``: those that are not known, in order."""
        new = list(dict.fromkeys(point for point in points if point.key not in self._kept))
        if new:
            costs = compute([self._make(point) for point in new])
            self._kept |= {point.key: cost for point, cost in zip(new, costs, strict=True)}
            RunFolder(self._folder).write_json(COSTS, {key: asdict(cost) for key, cost in self._kept.items()})
        return [self._kept[point.key] for point in points]


def _cost(entry: dict[str, Any]) -> Cost:
    needs = entry["needs"]
    return Cost(entry["macs"], None if needs is None else Needs(**needs), entry["problem"])
