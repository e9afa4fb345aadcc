"""Structured pruning: channels go, in stages, until a budget is kept; what is left is fitted and tuned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from chipfit.compress.channels.allocate import allocate, gone_of
from chipfit.compress.channels.costs import ASPECTS, Aspect, Budget, Costs, amounts, costs_of
from chipfit.compress.channels.edit import without
from chipfit.compress.channels.fit import Reading, readings_of, without_refitted
from chipfit.compress.channels.order import IMPORTANCES, Importance, orders
from chipfit.compress.channels.report import GroupResult, PruneDetails, Sensitivity, StageResult
from chipfit.compress.channels.sensitivity import Meter, Point, curves_of, meter_of_outputs, sensitivity
from chipfit.compress.channels.slopes import slopes_of
from chipfit.compress.channels.structure import Structure, structure_of
from chipfit.compress.fine import tuning_words
from chipfit.compress.judge import board_figures, figures, macs, quickly_quantized, subset
from chipfit.compress.report import ModelFigures
from chipfit.compress.run import Outcome, Session
from chipfit.compress.subject import Subject
from chipfit.errors import ChipfitError
from chipfit.fixedpoint import Int
from chipfit.graph import Array, Graph, Node
from chipfit.quantize import Progress, Samples
from chipfit.targets import Board
from chipfit.trainable.judge import samples_at
from chipfit.trainable.model import with_constants
from chipfit.trainable.tune import TuneSettings, Tuning
from chipfit.training.loop import Epoch

MEASURED_ON = 256
"""Pictures that sensitivity is measured on, and that weights are fitted on: as many others."""
_TRIES = 5
_NEAR = 0.97
"""A result that needs less than this share of a budget gave up more than it had to."""
_SPARE: Mapping[Aspect, float] = {"instructions": 0.99, "flash": 0.995}
"""What fitting the integers may add to what was compiled without it."""

_STAGE, _FITTED = "stage.json", "fitted.npz"


@dataclass(frozen=True)
class Prune:
    """``budget``: texts by aspect: shares of what the model needs, or numbers; see :class:`Budget`. ``stages``: in
    which channels go, less and less of them (a cubic schedule, Zhu and Gupta 2017). ``tuning``: its epochs follow the
    last stage, half as many each other one; None: nothing learns. ``least_share``: of each group's channels stays.
    Raises ChipfitError U001 for values that make no sense."""

    budget: Mapping[Aspect, str] = field(default_factory=lambda: {"instructions": "0.5"})
    importance: Importance = "fitted"
    stages: int = 2
    tuning: TuneSettings | None = field(default_factory=TuneSettings)
    least_share: float = 0.1
    name: str = "prune"

    def __post_init__(self) -> None:
        if not self.budget or any(aspect not in ASPECTS for aspect in self.budget):
            raise ChipfitError("U001", "a budget is missing", "such as --instructions 0.5, --flash 64K or --ram 0.7")
        if self.importance not in IMPORTANCES:
            raise ChipfitError("U001", f"--importance {self.importance} is unknown", f"one of {', '.join(IMPORTANCES)}")
        if self.stages < 1 or not 0 < self.least_share <= 1:
            raise ChipfitError("U001", "pruning takes a stage or more, and a share between 0 and 1 stays")

    @property
    def words(self) -> list[str]:
        words = [word for aspect, text in self.budget.items() for word in (f"--{aspect}", text)]
        words += ["--importance", self.importance, "--stages", str(self.stages)]
        return [*words, *tuning_words(self.tuning)]

    @property
    def epochs(self) -> int:
        settings = [self.tuning_behind(number) for number in range(1, self.stages + 1)]
        return sum(s.epochs for s in settings if s is not None)

    def tuning_behind(self, stage: int) -> TuneSettings | None:
        if self.tuning is None or stage == self.stages:
            return self.tuning
        return replace(self.tuning, epochs=max(1, self.tuning.epochs // 2))

    def apply(self, session: Session) -> Outcome:
        return _Pruning(self, session).run()


def analyze(
    subject: Subject, importance: Importance = "fitted", progress: Progress = lambda what, done, total: None
) -> Sensitivity:
    """The sensitivity of every group of channels of a model. Raises ChipfitError Q001 without samples."""
    structure = structure_of(subject.model.graph)
    return _Ranking.of(subject, structure, importance, meter_of(subject), progress).report(subject.name)


def meter_of(subject: Subject, most: int = MEASURED_ON) -> Meter:
    """Of at most so many pictures that are trained with; without labels, of outputs."""
    if subject.data is None:
        return meter_of_outputs(subject.model.graph, subject.require_calibration())
    test = subset(subject, most)
    what = "mean squared error of standardised numbers" if subject.is_numbers else "cross-entropy in nats; accuracy"
    return Meter(test.samples, test.loss, test.accuracy, f"{what}, on pictures that were trained with")


def fitted_on(subject: Subject) -> Samples:
    """Pictures that are trained with, other ones than :func:`meter_of` sees."""
    if subject.data is None:
        return subject.require_calibration()
    train = subject.data.split.train
    shuffled = np.random.default_rng(0).permutation(train)
    others = shuffled[MEASURED_ON : 3 * MEASURED_ON]
    return samples_at(subject.model.graph.inputs[0], subject.data, np.sort(others if len(others) else shuffled))


@dataclass(frozen=True, eq=False)
class _Ranking:
    """Of the channels of one graph: which go first in each group, and what it costs."""

    structure: Structure
    order: Mapping[str, Int]
    readings: Mapping[Node, Reading]
    base: tuple[float, float | None]
    points: list[Point]
    meter: Meter

    @staticmethod
    def of(
        subject: Subject, structure: Structure, importance: Importance, meter: Meter, progress: Progress
    ) -> _Ranking:
        progress("reading what layers read", 0, 1)
        readings = readings_of(structure, fitted_on(subject))
        slopes = slopes_of(structure.graph, subject.require_data()) if importance == "taylor" else None
        order = orders(structure, importance, readings, slopes)
        points = sensitivity(structure, order, readings, meter, progress)
        return _Ranking(structure, order, readings, meter.measure(structure.graph), points, meter)

    def report(self, model: str) -> Sensitivity:
        groups = _group_results(self.structure, {})
        loss, accuracy = self.base
        return Sensitivity(model, self.meter.what, len(self.meter.samples), loss, accuracy, groups, tuple(self.points))


def _group_results(structure: Structure, removed: Mapping[str, int]) -> tuple[GroupResult, ...]:
    return tuple(
        GroupResult(g.name, g.tensors, g.channels, g.channels - removed.get(g.name, 0), g.fixed, g.reason)
        for g in structure.groups
    )


class _Pruning:
    def __init__(self, method: Prune, session: Session) -> None:
        self.method, self.session, self.subject = method, session, session.subject
        self.board: Board = session.request.board
        self.progress = session.progress
        self.history: list[Epoch] = []
        self.best = 0
        self.stages: list[StageResult] = []
        self.removed: dict[str, int] = {}

    def run(self) -> Outcome:
        graph = self.subject.model.graph
        structure = structure_of(graph)
        if not structure.open_groups:
            reasons = "; ".join(f"'{g.name}' {g.reason}" for g in structure.groups[:3])
            raise ChipfitError("N006", f"no channel of '{self.subject.name}' can be removed: {reasons}")
        before, int8 = figures(self.subject, graph, self.board, progress=self.progress)
        budget = Budget.of(self.method.budget, before)
        self.meter = meter_of(self.subject)
        first: Sensitivity | None = None
        for number in range(1, self.method.stages + 1):
            structure = structure_of(graph)
            ranking = _Ranking.of(self.subject, structure, self.method.importance, self.meter, self.progress)
            first = first or ranking.report(self.subject.name)
            if number > 1:
                before, int8 = self._figures(graph)
            costs = costs_of(structure, int8 or quickly_quantized(graph, None), before, self.board)
            graph = self._stage(number, ranking, costs, self._limits(budget, amounts(before), number))
        assert first is not None
        whole = structure_of(self.subject.model.graph)
        is_untaught = self.subject.data is None and self.method.tuning is not None
        notes = ("nothing learned: there are no data with labels",) if is_untaught else ()
        details = PruneDetails(
            self.method.importance, dict(budget.limits), first, _group_results(whole, self.removed), tuple(self.stages)
        )
        return Outcome(graph, details=details, history=tuple(self.history), best=self.best, notes=notes)

    def _figures(self, graph: Graph) -> tuple[ModelFigures, Graph]:
        """What a graph needs; nothing is judged."""
        int8 = quickly_quantized(graph, self.subject.calibration)
        found = ModelFigures(0, macs(graph), 0, None, None, None, None, board_figures(int8, self.board))
        return found, int8

    def _limits(self, budget: Budget, now: Mapping[Aspect, float], number: int) -> dict[Aspect, float]:
        """Of a stage: from what the network needs now, a cubic way to the budget."""
        left = 1 - number / self.method.stages
        before = 1 - (number - 1) / self.method.stages
        share = (left / before) ** 3
        return {a: limit + max(0.0, now[a] - limit) * share for a, limit in budget.limits.items()}

    def _stage(self, number: int, ranking: _Ranking, costs: Costs, limits: Mapping[Aspect, float]) -> Graph:
        """Choose and fit, then learn; what an interrupted run has done of it is taken from its folder."""
        folder, is_last = self.session.state(f"stage{number}"), number == self.method.stages
        structure = ranking.structure
        if not (folder.path / _STAGE).is_file():
            removed, small, reached = self._chosen(ranking, costs, limits, is_last)
            gone = gone_of(structure, ranking.order, removed)
            loss, accuracy = self.meter.measure(small)
            estimated = costs.of(gone, limits)
            result = StageResult(number, dict(limits), estimated, reached, sum(removed.values()), loss, accuracy)
            folder.write_arrays(_FITTED, {**_constants(small), _GONE: gone})
            folder.write_json(_STAGE, {"result": asdict(result), "removed": removed})
        kept = json.loads((folder.path / _STAGE).read_text(encoding="utf-8"))
        arrays = dict(folder.read_arrays(_FITTED))
        small = with_constants(without(structure, arrays.pop(_GONE).astype(bool)), arrays)
        result = StageResult(**kept["result"])
        for name, count in kept["removed"].items():
            self.removed[name] = self.removed.get(name, 0) + count
        settings = None if self.subject.data is None else self.method.tuning_behind(number)
        if settings is not None:
            tuned = Tuning(small, self.subject.require_data(), folder, settings).run(self.session.watch, resume=True)
            small, progress, before = tuned.graph, tuned.progress, len(self.history)
            self.history += [replace(epoch, number=before + epoch.number) for epoch in progress.history]
            self.best = before + progress.best
            learned = progress.history[progress.best - 1].val_accuracy
            result = replace(result, epochs=len(progress.history), val_accuracy=learned)
        self.stages.append(result)
        return small

    def _chosen(
        self, ranking: _Ranking, costs: Costs, limits: Mapping[Aspect, float], is_last: bool
    ) -> tuple[dict[str, int], Graph, dict[Aspect, float]]:
        """Channels that go, the graph without them, fitted, and what it needs (of the last stage: compiled and run)."""
        structure = ranking.structure
        curves = curves_of(ranking.points, ranking.base[0])
        aims = dict(limits)
        found: tuple[dict[str, int], dict[Aspect, float]] | None = None
        for _ in range(_TRIES if is_last else 1):
            removed = allocate(structure, ranking.order, curves, costs, aims, self.method.least_share)
            if not is_last:
                found = removed, {}
                break
            small = without(structure, gone_of(structure, ranking.order, removed))
            reached = amounts(self._figures(small)[0])
            share = {a: reached[a] / (limit * _SPARE.get(a, 1.0)) for a, limit in limits.items()}
            fits = max(share.values()) <= 1
            if fits and (found is None or sum(removed.values()) < sum(found[0].values())):
                found = removed, reached
            if fits and max(share.values()) >= _NEAR:
                break
            aims = {a: aim / share[a] if share[a] > 1 or fits else aim for a, aim in aims.items()}
        if found is None:
            raise ChipfitError(
                "N006", f"'{self.subject.name}' does not keep to the budget without its channels", "a larger budget"
            )
        gone = gone_of(structure, ranking.order, found[0])
        self.progress("fitting what is left", 0, 1)
        return found[0], without_refitted(structure, gone, fitted_on(self.subject)), found[1]


_GONE = "/gone"
"""No tensor is called so: the channels that a stage removed."""


def _constants(graph: Graph) -> dict[str, Array]:
    return {v.name: v.array for v in graph.values() if v.is_const and v.dtype.is_float}
