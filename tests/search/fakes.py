"""Costs and trials that need no compiler and no training, for this process and for workers of a cluster."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from chipfit.deployment import Needs
from chipfit.search.cost import Cost, CostTask
from chipfit.search.space import Point
from chipfit.search.trial import RESULT, Result, Task
from chipfit.training.run_folder import RunFolder


def needs(point: Point, most_ram: int | None) -> Needs:
    """They grow with the network."""
    ram = int(point.size * point.size * 4 * (1 + point.alpha))
    flash = int(60_000 * point.alpha * point.depth) + 9_000
    problem = "" if most_ram is None or ram <= most_ram else f"RAM {ram}"
    return Needs("board", "balanced", False, flash, ram, True, ram * flash // 100, ram / 1000, problem)


def accuracy(point: Point) -> float:
    """It grows with the network, too; colours help a little."""
    return 0.5 + 0.2 * min(1.0, point.alpha) + 0.1 * point.depth + point.size / 1000 + 0.01 * (point.colour == "rgb")


def cost(task: CostTask) -> Cost:
    found = needs(task.point, task.limits.ram)
    return Cost(found.instructions or 0, found, found.problem)


def trial(task: Task) -> Result:
    folder = RunFolder(task.folder)
    kept = task.folder / RESULT
    if kept.is_file():
        data = json.loads(kept.read_text())
        values: dict[str, Any] = {**data, "needs": Needs(**data["needs"])}
        return Result(**values)
    folder.create()
    share = accuracy(task.point)
    result = Result(
        task.number, share, share - 0.001, needs(task.point, task.limits.ram), 100, "run/a_int8.tflite", 1.0
    )
    folder.write_json(RESULT, asdict(result))
    return result
