"""Quantize a graph: prepare, calibrate, decide, edit, then go through the layers and restore what was lost.

Modes of integers do all of this; those of small weights begin with the edit.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from chipfit.errors import ChipfitError
from chipfit.graph import Graph, Node
from chipfit.graph.rewrite import Uses
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.mean import Mean
from chipfit.quantize.apply import Integer, convert_edges
from chipfit.quantize.calibrate import calibrate
from chipfit.quantize.equalize import equalize, pairs
from chipfit.quantize.fold_inputs import fold_inputs
from chipfit.quantize.loops import Loop, find_loops, integer_graph
from chipfit.quantize.modes import MODES
from chipfit.quantize.observers import Range
from chipfit.quantize.parameters import Parameters
from chipfit.quantize.prepare import all_nodes, judged, require_float, require_integer_form
from chipfit.quantize.recipe import Recipe
from chipfit.quantize.small_weights import require_layers, with_small_weights
from chipfit.quantize.sources import Preprocessing, Progress, Samples, no_progress
from chipfit.quantize.sweep import LayerFigures, Sweep, affordable


@dataclass
class QuantizeReport:
    """``layers``: signal to noise of each tensor on the calibration samples, in order. ``notes``: for people.

    ``seconds``: by stage. ``samples``: how many were calibrated with; ``fitted``: how many the layers were fitted on
    (fewer where more would not fit into memory). ``sqnr``: of what the network is judged by, on the calibration
    samples, dB; figures for samples that it has not seen are those to believe.
    """

    samples: int
    fitted: int = 0
    sqnr: float = 0.0
    layers: list[LayerFigures] = field(default_factory=list[LayerFigures])
    notes: list[str] = field(default_factory=list[str])
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


@dataclass(frozen=True, eq=False)
class Quantized:
    """An integer graph, and all that it was made with.

    ``origin``: the float node of an integer node, with the numbers that were rounded (equalized, where that was done);
    none for a node that only rescales.
    """

    graph: Graph
    recipe: Recipe
    preprocessing: Preprocessing | None
    report: QuantizeReport
    origin: Mapping[Node, Node]


def quantize_graph(
    graph: Graph, samples: Samples | None, recipe: Recipe | None = None, progress: Progress = no_progress
) -> Quantized:
    """A quantized graph for a float graph, which stays as it is. ``samples``: None where the mode can do without.

    Raises ChipfitError Q001 if it cannot do without, Q004 if the graph cannot be quantized so, Q002 if the samples make
    it infinite, O002 if an operator refuses the ranges that were found.
    """
    recipe = recipe or Recipe()
    require_float(graph)
    require_samples([recipe], samples)
    report = QuantizeReport(0 if samples is None else len(samples))
    report.notes += _unmatched(graph, recipe)
    if samples is None or MODES[recipe.mode].activations is None:
        result = _small_weights(graph.copy(), samples, recipe, report, progress)
    else:
        result = _integers(graph.copy(), samples, recipe, report, progress)
    result.graph.verify()
    kept = None if samples is None else samples.preprocessing
    return Quantized(result.graph, recipe, kept, report, result.origin)


def require_samples(recipes: Iterable[Recipe], samples: Samples | None) -> None:
    """Raise ChipfitError Q001 if there are no samples and a recipe needs some."""
    needy = dict.fromkeys(r.mode for r in recipes if MODES[r.mode].calibrated)
    if samples is None and needy:
        free = ", ".join(mode for mode, info in MODES.items() if not info.calibrated)
        raise ChipfitError(
            "Q001",
            f"{' and '.join(needy)} can only be made with samples",
            f"about 100 typical ones are enough; {free} can do without",
        )


def _unmatched(graph: Graph, recipe: Recipe) -> list[str]:
    names = [v.name for v in graph.inputs] + [v.name for node in all_nodes(graph) for v in node.outputs]
    idle = [rule.pattern for rule in recipe.rules if not any(fnmatchcase(n, rule.pattern) for n in names)]
    return [f"no tensor has a name like: {', '.join(idle)}"] if idle else []


def _small_weights(
    base: Graph, samples: Samples | None, recipe: Recipe, report: QuantizeReport, progress: Progress
) -> Integer:
    require_layers(base)
    result, notes = with_small_weights(base, recipe)
    report.notes += notes
    if samples is not None:
        with report.stage("fit"):
            fitted = affordable(result, samples)
            report.fitted = len(fitted)
            sweep = Sweep(result, fitted, recipe, progress)
            target = judged(result.graph)
            sweep.keep(target)
            sweep.run()
            report.sqnr, report.layers = sweep.sqnr(target), sweep.figures
    else:
        report.notes.append("no samples: weights are rounded to the nearest, and biases stay as they are")
    return result


def _integers(base: Graph, samples: Samples, recipe: Recipe, report: QuantizeReport, progress: Progress) -> Integer:
    report.notes += folded(base)
    with report.stage("calibrate"):
        ranges, notes = equalized_ranges(base, samples, recipe, progress)
        report.notes += notes
        loops = find_loops(base, samples, recipe, progress)
    with report.stage("fit"):
        result = _fit(base, ranges, samples, recipe, report, progress, loops).integer
    convert_edges(result.graph, recipe)
    return result


def folded(graph: Graph) -> list[str]:
    """What becomes part of the first layers' weights, in place; notes for people. Raises ChipfitError Q004 unless the
    graph has an integer form."""
    require_integer_form(graph)
    return fold_inputs(graph)


def equalized_ranges(
    graph: Graph, samples: Samples, recipe: Recipe, progress: Progress = no_progress
) -> tuple[dict[str, Range], list[str]]:
    """Ranges by name, after equalization of the graph, in place; notes for people."""
    found = pairs(graph, recipe)
    seen = calibrate(graph, samples, recipe, [first["y"] for first, _ in found], progress)
    moved = equalize(graph, found, seen.channels, seen.ranges)
    notes = [f"channels equalized: {sum(moved.values())}, in layers: {len(moved)}"] if moved else []
    return {value.name: r for value, r in seen.ranges.items()}, notes


def _fit(
    graph: Graph,
    ranges: dict[str, Range],
    samples: Samples,
    recipe: Recipe,
    report: QuantizeReport,
    progress: Progress,
    loops: Sequence[Loop],
) -> Sweep:
    """The sweep through the better of the variants of the graph, at its end."""
    integer, found = _integer(graph, ranges, recipe, loops)
    report.notes += found.notes
    fitted = affordable(integer, samples)
    report.fitted = len(fitted)
    sweep = Sweep(integer, fitted, recipe, progress)
    pool = _pooled(graph, recipe)
    if pool is None:
        sweep.keep(judged(integer.graph))
        sweep.run()
    else:
        sweep = _better_pool(graph, pool, ranges, recipe, sweep, report, loops)
    report.sqnr = sweep.sqnr(judged(sweep.integer.graph))
    report.layers = [*(figures for loop in loops for figures in loop.figures), *sweep.figures]
    return sweep


def _integer(
    graph: Graph, ranges: dict[str, Range], recipe: Recipe, loops: Sequence[Loop]
) -> tuple[Integer, Parameters]:
    named = {v: ranges[v.name] for v in graph.values() if v.name in ranges}
    return integer_graph(graph, named, recipe, loops)


# ---------------------------------------------------------------------------------------------- the pooled image


def _pooled(graph: Graph, recipe: Recipe) -> str | None:
    """The last average pool over a whole image, by name: its int8 form shares its input's range, that of MEAN not."""
    uses = Uses(graph)
    for node in reversed(graph.nodes):
        op = node.op
        if not isinstance(op, AveragePool2D) or op.kernel != node["x"].shape[1:3] or any(op.pad) or op.act != "none":
            continue
        if node["y"].shape[1:3] == (1, 1) and uses.readers(node["y"]) and recipe.has("pool", node.name):
            return node.name
    return None


def _better_pool(
    graph: Graph,
    name: str,
    ranges: dict[str, Range],
    recipe: Recipe,
    sweep: Sweep,
    report: QuantizeReport,
    loops: Sequence[Loop],
) -> Sweep:
    """Go to the pool, then on in two ways; the one whose result is nearer to the float model's."""
    index = next(i for i, n in enumerate(sweep.integer.graph.nodes) if n.name == name)
    sweep.run(index)
    variant = graph.copy()
    next(n for n in variant.nodes if n.name == name).op = Mean(axes=(1, 2), keep_dims=True)
    other = sweep.fork(_integer(variant, ranges, recipe, loops)[0])
    scores: list[float] = []
    for way in (sweep, other):
        target = judged(way.integer.graph)
        way.keep(target)
        way.run()
        scores.append(way.sqnr(target))
    report.notes.append(f"'{name}': {scores[0]:.2f} dB with its input's range, {scores[1]:.2f} dB with its own")
    return other if scores[1] > scores[0] else sweep
