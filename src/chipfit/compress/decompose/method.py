"""The method: layers are taken apart by a budget, then all of it learns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from chipfit.compress.channels.costs import Budget
from chipfit.compress.channels.fit import affordable
from chipfit.compress.channels.prune import MEASURED_ON, fitted_on, meter_of
from chipfit.compress.channels.sensitivity import Meter
from chipfit.compress.decompose.choose import (
    Chosen,
    Options,
    floored,
    rise_of,
    typical,
    within_energy,
    within_loss,
    within_macs,
)
from chipfit.compress.decompose.edit import Parts, parts_of, sites_of, taken_apart, why_not
from chipfit.compress.decompose.forms import FORMS, Choice, Form, Site, choices, signal_choice, ways
from chipfit.compress.decompose.report import DecomposeDetails, LayerParts
from chipfit.compress.fine import fine_tuned, tuning_words
from chipfit.compress.judge import macs
from chipfit.compress.report import ModelFigures
from chipfit.compress.run import Outcome, Session
from chipfit.errors import ChipfitError
from chipfit.graph import Graph, Node
from chipfit.ops import op_of
from chipfit.quantize import Progress, Samples, no_progress
from chipfit.trainable.tune import TuneSettings

JUDGED_ON = 1024
"""Pictures, of those that are trained with, that an accuracy budget is kept on."""


@dataclass(frozen=True)
class Rule:
    """How ranks are chosen, one of four: ``macs``: at most so many multiply-accumulates of the whole network, a share
    (``0.5``) or a number (``2M``), where it costs least; ``energy``: the share of the power of each layer's sums that
    is kept; ``drop``: points of accuracy that are lost at most before anything learns; ``signal``: as many ranks as
    are more than noise. Raises ChipfitError U001."""

    macs: str | None = None
    energy: float | None = None
    drop: float | None = None
    signal: bool = False

    def __post_init__(self) -> None:
        if sum((self.macs is not None, self.energy is not None, self.drop is not None, self.signal)) != 1:
            raise ChipfitError("U001", "ranks follow from one budget", "one of --macs, --energy, --drop and --signal")
        if self.energy is not None and not 0 < self.energy < 1:
            raise ChipfitError("U001", f"--energy {self.energy:g} is no share", "such as 0.95")
        if self.drop is not None and not 0 < self.drop < 100:
            raise ChipfitError("U001", f"--drop {self.drop:g} allows nothing", "percentage points, such as 2")

    @property
    def words(self) -> list[str]:
        if self.macs is not None:
            return ["--macs", self.macs]
        if self.energy is not None:
            return ["--energy", f"{self.energy:g}"]
        return ["--signal"] if self.drop is None else ["--drop", f"{self.drop:g}"]

    def __str__(self) -> str:
        if self.macs is not None:
            return f"multiply-accumulates: {self.macs}"
        if self.energy is not None:
            return f"{self.energy:g} of the power of each layer's sums stays"
        return "what is more than noise" if self.drop is None else f"at most {self.drop:g} points lost at first"


@dataclass(frozen=True)
class Decompose:
    """``form``: a way to take layers apart (see :data:`~chipfit.compress.decompose.forms.Form`), or ``auto``: for each
    layer the best of ``tucker``, ``lines`` and ``svd``. Layers without a window become two of a lower rank in any
    case. ``weighted``: errors are of what layers give on samples, where there are any; else of weights. ``tuning``:
    None: nothing learns."""

    form: Form | Literal["auto"] = "auto"
    rule: Rule = field(default_factory=lambda: Rule("0.5"))
    weighted: bool = True
    tuning: TuneSettings | None = None
    name: str = "decompose"

    def __post_init__(self) -> None:
        if self.form not in (*FORMS, "auto"):
            raise ChipfitError("U001", f"--form {self.form} is unknown", f"auto, {', '.join(FORMS)}")
        if self.rule.signal and self.form not in ("svd", "tucker", "auto"):
            raise ChipfitError("U001", f"--signal says nothing about {self.form}", "--form svd or tucker, or --energy")

    @property
    def words(self) -> list[str]:
        plain = [] if self.weighted else ["--unweighted"]
        return ["--form", self.form, *self.rule.words, *plain, *tuning_words(self.tuning)]

    @property
    def epochs(self) -> int:
        return 0 if self.tuning is None else self.tuning.epochs

    def apply(self, session: Session) -> Outcome:
        subject, progress = session.subject, session.progress
        whole = subject.model.graph
        has_samples = subject.data is not None or subject.calibration is not None
        samples = fitted_on(subject) if has_samples and self.weighted else None
        meter = meter_of(subject, MEASURED_ON if self.rule.drop is None else JUDGED_ON) if has_samples else None
        graph, details = decomposed(whole, self.form, self.rule, samples, meter, progress)
        tuned = fine_tuned(session, graph, self.tuning, {})
        notes = () if tuned or not self.tuning else ("nothing learned: there are no data with labels",)
        if tuned is None:
            return Outcome(graph, details=details, notes=notes)
        return Outcome(
            tuned.graph, details=details, history=tuned.progress.history, best=tuned.progress.best, notes=notes
        )


def decomposed(
    graph: Graph,
    form: Form | Literal["auto"] = "auto",
    rule: Rule | None = None,
    samples: Samples | None = None,
    meter: Meter | None = None,
    progress: Progress = no_progress,
) -> tuple[Graph, DecomposeDetails]:
    """A float graph whose layers are taken apart; nothing learns.

    ``samples``: what errors of layers are measured on, None: they are of weights. ``meter``: what says how much the
    network suffers from them; None: errors of all layers count alike. Raises ChipfitError N006 where nothing can be
    taken apart, or not so far; U001 for an accuracy budget without anything that has an accuracy.
    """
    rule = rule or Rule("0.5")
    progress("reading what layers read", 0, 1)
    sites = sites_of(graph, None if samples is None else affordable(graph, samples))
    options: dict[Site, list[Choice]] = {}
    for number, site in enumerate(sites):
        progress("taking layers apart", number, len(sites))
        if rule.signal:
            found = [signal_choice(site, way) for way in ways(site, form) if way != "lines"]
            options[site] = [c for c in found if c is not None]
        else:
            options[site] = [c for way in ways(site, form) for c in choices(site, way)]
    options = {site: every for site, every in options.items() if every}
    if not options:
        raise ChipfitError("N006", f"no layer of '{graph.name}' becomes smaller", "another --form or --energy")
    work = _Work(graph, options, meter, progress)
    chosen = work.chosen(rule)
    if not chosen:
        raise ChipfitError("N006", f"no layer of '{graph.name}' becomes smaller within {rule}", "a looser budget")
    return work.made(rule, chosen, sites)


@dataclass(frozen=True, eq=False)
class _Work:
    graph: Graph
    options: Options
    meter: Meter | None
    progress: Progress
    known: dict[tuple[Site, Choice], Parts] = field(default_factory=dict[tuple[Site, Choice], Parts])

    def chosen(self, rule: Rule) -> Chosen:
        if rule.signal:
            return {site: min(every, key=lambda c: c.macs) for site, every in self.options.items()}
        if rule.energy is not None:
            return within_energy(self.options, rule.energy)
        if rule.macs is not None:
            total = macs(self.graph)
            figures = ModelFigures(0, total, 0, None, None, None)
            limit = Budget.of({"macs": rule.macs}, figures).limits["macs"]
            others = total - sum(site.macs for site in self.options)
            return within_macs(self.options, self._rises(), limit - others)
        assert rule.drop is not None
        least = self._least(rule.drop)

        def is_good(chosen: Chosen) -> bool:
            self.progress("measuring networks", 0, 1)
            assert self.meter is not None
            return (self.meter.measure(self._graph(chosen))[1] or 0.0) >= least

        return within_loss(self.options, self._rises(), is_good)

    def _least(self, drop: float) -> float:
        """The least accuracy that is good."""
        accuracy = None if self.meter is None else self.meter.measure(self.graph)[1]
        if accuracy is None:
            hint = "--data with labels, or a budget that needs none: --energy, --macs"
            raise ChipfitError("U001", f"--drop {drop:g}: '{self.graph.name}' has no accuracy here", hint)
        return accuracy - drop / 100

    def _rises(self) -> dict[Site, float]:
        """What errors of each layer cost, each measured alone."""
        if self.meter is None:
            return dict.fromkeys(self.options, 1.0)
        base, _ = self.meter.measure(self.graph)
        rises: dict[Site, float] = {}
        for number, (site, every) in enumerate(self.options.items()):
            self.progress("measuring layers", number, len(self.options))
            choice = typical(every)
            loss, _ = self.meter.measure(self._graph({site: choice}))
            rises[site] = rise_of(loss - base, choice.error)
        return floored(rises)

    def _graph(self, chosen: Chosen) -> Graph:
        for pair in chosen.items():
            if pair not in self.known:
                self.known[pair] = parts_of(*pair)
        return taken_apart(self.graph, {pair[0].node: self.known[pair] for pair in chosen.items()})

    def made(self, rule: Rule, chosen: Chosen, sites: list[Site]) -> tuple[Graph, DecomposeDetails]:
        graph = self._graph(chosen)
        loss, accuracy = (None, None) if self.meter is None else self.meter.measure(graph)
        by_node = {site.node: site for site in sites}
        rows = tuple(
            _row(node, by_node.get(node), chosen) for node in self.graph.nodes if node in by_node or why_not(node)
        )
        is_weighted = any(site.mean is not None for site in sites)
        errors = "of what layers give on samples" if is_weighted else "of weights"
        measured = "" if self.meter is None else self.meter.what
        count = 0 if self.meter is None else len(self.meter.samples)
        return graph, DecomposeDetails(str(rule), errors, rows, measured, count, loss, accuracy)


def _row(node: Node, site: Site | None, chosen: Chosen) -> LayerParts:
    count, size = op_of(node).macs(node), node["w"].type.size
    choice = None if site is None else chosen.get(site)
    if choice is None:
        reason = (why_not(node) or "") if site is None else "costs more than it saves"
        return LayerParts(node.name, None, (), count, count, size, size, 0.0, reason)
    return LayerParts(
        node.name, choice.form, choice.ranks, count, choice.macs, size, choice.weights, choice.error
    )  # fmt: skip
