"""``chipfit search``: the most accurate network that keeps to a board and its limits."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.build import Aim
from chipfit.deployment import Limits, Needs
from chipfit.deployment import Request as Deployment
from chipfit.deployment.figures import GOALS
from chipfit.errors import ChipfitError
from chipfit.search.compression import NONE
from chipfit.search.cost import IMPOSSIBLE, Cost, Costs, CostTask, cost_of, violation
from chipfit.search.report import SearchReport, Trial, best_of, is_dominated
from chipfit.search.space import Point, Space
from chipfit.search.study import Asked, Study, require_optuna
from chipfit.search.trial import RESULT, SEARCH, Result, Task, run_trial
from chipfit.search.workers import Here, OnRay, Workers
from chipfit.targets import load_board
from chipfit.training.folders import find_pictures
from chipfit.training.run_folder import RunFolder, integer_name
from chipfit.training.train import model_name

STORAGE, TRIALS, FRONT = "study.db", "trials", "front.png"
DEPLOYED = "deployed"

BATCH = 2
"""Candidates that are asked for together, however many workers there are: so all find the same."""

SURVEYED = 24
"""Candidates whose needs are computed before the first is trained, so that the search begins with the largest that
fit: accuracy grows with the size of a network, more often than not."""

BEGUN_WITH = 3

_TIRED = 100
"""Candidates in a row that are none or known, after which the search gives up."""


class Listener:
    """Told what happens; this one does not care."""

    def now(self, text: str) -> None:
        """What takes its time at the moment."""

    def trial(self, trial: Trial, done: int, total: int) -> None:
        """One has been trained."""


@dataclass(frozen=True)
class Request:
    """``data``: a folder of pictures; ``board``: a name or a file; ``folder``: the search's. ``trials``: how many
    candidates are trained in all. ``ray``: address of a cluster; None: all is done in this process. ``storage``: of the
    study, as SQLAlchemy writes it; None: SQLite in the folder."""

    space: Space
    data: Path
    board: str
    folder: Path
    limits: Limits = field(default_factory=Limits)
    validation: Path | None = None
    trials: int = 12
    seed: int = 0
    goal: Aim | None = None
    ray: str | None = None
    storage: str | None = None

    @property
    def goals(self) -> tuple[Aim, ...]:
        return GOALS if self.goal is None else (self.goal,)

    def identity(self) -> dict[str, Any]:
        """What another call must have alike to go on with the same search."""
        return {
            "space": self.space.to_json(),
            "data": str(self.data.resolve()),
            "validation": None if self.validation is None else str(self.validation.resolve()),
            "board": self.board,
            "limits": asdict(self.limits),
            "seed": self.seed,
            "goals": list(self.goals),
        }


def search(request: Request, listener: Listener | None = None) -> SearchReport:
    """Ask for candidates, refuse those over the limits before they are trained, train and judge the others.

    What was done before in the same folder with the same settings is kept; a search that was killed goes on.
    Raises ChipfitError T001 without Optuna, or Ray where it is asked for; P001 for a folder that is not this search's;
    N001, F001 for pictures; as :func:`chipfit.training.train.train` does.
    """
    require_optuna()
    load_board(request.board)
    workers: Workers = Here() if request.ray is None else OnRay(request.ray)
    try:
        return _Search(request, listener or Listener(), workers).run()
    finally:
        workers.close()


class _Search:
    def __init__(self, request: Request, listener: Listener, workers: Workers) -> None:
        self._asked, self._listener, self._workers = request, listener, workers
        self._began = time.monotonic()
        self._classes = len(find_pictures(request.data, request.validation).classes)
        self._name = model_name(request.data)
        _own(request)
        self._before = float(_kept(request.folder).get("seconds", 0.0))
        self._costs = Costs(request.folder, self._cost_task)
        storage = request.storage or f"sqlite:///{request.folder / STORAGE}"
        self._study = Study(storage, request.space, request.seed)
        self._trials: dict[str, Trial] = {}
        self._pictures = 0

    def run(self) -> SearchReport:
        if self._study.is_new:
            self._survey()
        self._restore()
        while len(self._trials) < self._asked.trials:
            batch = self._study.running() or self._batch()
            if not batch:
                break
            self._work(batch)
        return self._report(finished=True)

    # ------------------------------------------------------------------------------------------ candidates

    def _survey(self) -> None:
        """Suggest the largest of some candidates that fit, each of another network."""
        space = self._asked.space
        rng = np.random.default_rng(self._asked.seed)
        points = list(space.points())
        networks: dict[tuple[Any, ...], Point] = {}
        for i in rng.permutation(len(points)):
            networks.setdefault(points[i].network, points[i])
        chosen = list(networks.values())[:SURVEYED]
        costs = self._compute(chosen)
        fitting = [(cost.macs, point) for point, cost in zip(chosen, costs, strict=True) if cost.fits]
        # of those of one size, first what is not compressed
        for _, point in sorted(fitting, key=lambda p: (-p[0], p[1].compression != NONE, p[1].key))[:BEGUN_WITH]:
            self._study.suggest(point)

    def _batch(self) -> list[Asked]:
        """Candidates that fit and are new; fewer where there are no more."""
        self._study.begin_batch()
        batch: list[Asked] = []
        wanted = min(BATCH, self._asked.trials - len(self._trials))
        for _ in range(_TIRED):
            if len(batch) == wanted or self._is_exhausted(len(batch)):
                break
            asked = self._study.ask()
            if asked.point.conflict:
                self._study.refuse(asked.number, IMPOSSIBLE)
                continue
            cost = self._compute([asked.point])[0]
            known = self._trials.get(asked.point.key)
            if not cost.fits:
                self._study.refuse(asked.number, self._violation(cost.needs))
            elif known is not None:
                self._study.tell(asked.number, known.integer, self._violation(known.needs))
            elif any(asked.point == other.point for other in batch):
                self._study.give_up(asked.number)
            else:
                batch.append(asked)
        return batch

    def _is_exhausted(self, asked: int) -> bool:
        """Whether every point that fits has been trained or asked for."""
        return len(self._costs) == self._asked.space.size and self._costs.fitting <= len(self._trials) + asked

    def _violation(self, needs: Needs | None) -> float:
        return violation(needs, self._asked.board, self._asked.limits)

    def _compute(self, points: Sequence[Point]) -> list[Cost]:
        def compute(tasks: Sequence[CostTask]) -> list[Cost]:
            self._listener.now(f"what do they need? {tasks[0].point.title}")
            return self._workers.map(
                cost_of, tasks, lambda done: self._listener.now(f"what do they need? {done} of {len(tasks)}")
            )

        return self._costs.of(points, compute)

    def _cost_task(self, point: Point) -> CostTask:
        asked = self._asked
        return CostTask(
            point, asked.space, self._classes, asked.board, asked.limits, asked.goals, integer_name(self._name)
        )

    # ------------------------------------------------------------------------------------------ trials

    def _restore(self) -> None:
        """Take what an earlier call has finished."""
        for asked in self._study.finished():
            if (self._folder(asked.number) / RESULT).is_file():
                self._keep(asked, run_trial(self._task(asked)))

    def _keep(self, asked: Asked, result: Result) -> Trial:
        trial = Trial(
            result.number, asked.point, result.float32, result.integer, result.needs, str(self._folder(asked.number)),
            result.file, result.seconds,
        )  # fmt: skip
        self._trials[asked.point.key] = trial
        self._pictures = result.pictures
        return trial

    def _work(self, batch: Sequence[Asked]) -> None:
        self._listener.now("training " + "; ".join(asked.point.title for asked in batch))
        tasks = [self._task(asked) for asked in batch]
        results = self._workers.map(run_trial, tasks, lambda _: None)
        for asked, result in zip(batch, results, strict=True):
            self._study.tell(asked.number, result.integer, self._violation(result.needs))
            self._listener.trial(self._keep(asked, result), len(self._trials), self._asked.trials)
        self._report(finished=False)

    def _task(self, asked: Asked) -> Task:
        request = self._asked
        return Task(
            number=asked.number,
            point=asked.point,
            settings=replace(request.space.settings_of(asked.point), seed=request.seed),
            methods=request.space.methods_of(asked.point, request.seed),
            data=request.data,
            validation=request.validation,
            folder=self._folder(asked.number),
            name=self._name,
            board=request.board,
            limits=request.limits,
            goals=request.goals,
        )

    def _folder(self, number: int) -> Path:
        return (self._asked.folder / TRIALS / f"{number:03}").resolve()

    # ------------------------------------------------------------------------------------------ report

    def _report(self, finished: bool) -> SearchReport:
        asked = self._asked
        trials = sorted(self._trials.values(), key=lambda t: t.number)
        fitting = [t for t in trials if t.needs.fits]
        trials = [replace(t, on_front=t.needs.fits and not is_dominated(t, fitting)) for t in trials]
        best = best_of(fitting)
        report = SearchReport(
            space=asked.space.name,
            data=str(asked.data),
            board=asked.board,
            limits=asked.limits,
            folder=str(asked.folder),
            candidates=asked.space.size,
            costed=len(self._costs),
            refused=len(self._costs) - self._costs.fitting,
            trials=tuple(trials),
            best=best,
            pictures=self._pictures,
            seconds=self._before + time.monotonic() - self._began,
            offer=self._offer(next((t for t in trials if t.number == best), None)),
            files=(SEARCH, STORAGE, TRIALS, FRONT) if asked.storage is None else (SEARCH, TRIALS, FRONT),
        )
        content = {**report.to_json(), "identity": asked.identity(), "finished": finished}
        RunFolder(asked.folder).write_json(SEARCH, content)
        return report

    def _offer(self, best: Trial | None) -> str:
        """The command to go on with: the same integers become the same program."""
        asked = self._asked
        if best is None:
            return "chipfit board list"
        deployment = Deployment(
            source=(Path(best.folder) / best.file).parent,
            board=load_board(asked.board),
            board_name=asked.board,
            folder=asked.folder.resolve() / DEPLOYED,
            goal=best.needs.optimize,
            limits=asked.limits,
            weights=best.point.weights,
        )
        return deployment.command


def _own(request: Request) -> None:
    """Make the folder, or go on with it. Raises ChipfitError P001 if it holds anything else."""
    folder = RunFolder(request.folder)
    file = folder.path / SEARCH
    if file.is_file():
        kept = _kept(folder.path).get("identity")
        asked = json.loads(json.dumps(request.identity()))
        if kept != asked:
            other = [key for key in asked if kept is None or kept.get(key) != asked[key]]
            hint = "name another folder: -o"
            raise ChipfitError("P001", f"'{folder.path}' holds a search with another {', '.join(other)}", hint)
        return
    if folder.path.exists() and (not folder.path.is_dir() or any(folder.path.iterdir())):
        raise ChipfitError("P001", f"'{folder.path}' exists and is no search of chipfit", "name another folder: -o")
    folder.create()
    folder.write_json(SEARCH, {"schema": "chipfit.search", "version": 1, "identity": request.identity()})


def _kept(folder: Path) -> dict[str, Any]:
    try:
        data: Any = json.loads((folder / SEARCH).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ChipfitError("P001", f"'{folder / SEARCH}' cannot be read: {error}", "another folder: -o") from None
    return data if isinstance(data, dict) else {}
