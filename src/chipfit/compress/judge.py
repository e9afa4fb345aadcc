"""How good a model is on the validation data, and what it needs on a board."""

from __future__ import annotations

import numpy as np

from chipfit.build import Weights
from chipfit.compress.report import JUDGED, JUDGED_INT8, NOT_JUDGED, BoardFigures, ModelFigures
from chipfit.compress.subject import Subject
from chipfit.deployment.figures import Limits, needs, weight_bytes
from chipfit.graph import Array, Graph
from chipfit.model import Model
from chipfit.ops import op_of
from chipfit.quantize import Progress, Recipe, Samples, no_progress, quantize_graph
from chipfit.quantize.layers import LAYERS
from chipfit.report.data import COMPUTED, MEASURED
from chipfit.targets import Board
from chipfit.trainable.judge import Labelled, float_outputs, int8_outputs, labelled_of

_STEPLESS = " ".join(("int8", *(f"-{step}" for step in ("bias", "match", "reconstruct", "equalize", "pool"))))


def labelled_at(subject: Subject, indices: Array) -> Labelled:
    """The pictures at ``indices`` of a subject that has data."""
    return labelled_of(subject.model.graph.inputs[0], subject.require_data(), indices)


def quantized(graph: Graph, calibration: Samples, progress: Progress = no_progress) -> Graph:
    """As ``chipfit quantize`` makes it."""
    return quantize_graph(graph, calibration, Recipe(), progress).graph


def quickly_quantized(graph: Graph, calibration: Samples | None) -> Graph:
    """With the layers that it would have, and nothing fitted: for what a program of it needs."""
    from chipfit.quantize import parse_recipe

    if calibration is None:
        rng = np.random.default_rng(0)
        arrays = tuple(rng.normal(0.0, 1.0, (2, *v.shape)).astype(np.float32) for v in graph.inputs)
        calibration = Samples(arrays, (None,) * len(arrays))
    return quantize_graph(graph, calibration.first(4), parse_recipe(_STEPLESS)).graph


def board_figures(graph: Graph, board: Board, weights: Weights = "plain") -> BoardFigures:
    """Of a quantized graph: compiled for the board, and run there once."""
    model = Model(graph)
    found = needs(model, board, "balanced", Limits(), weights=weights)
    constants = weight_bytes(model) if found.constants is None else found.constants
    return BoardFigures(
        board.name, found.flash, found.ram, constants, found.instructions, found.milliseconds, found.is_whole,
        found.problem, MEASURED if found.instructions is not None else COMPUTED,
    )  # fmt: skip


def parameters(graph: Graph) -> int:
    """Numbers in the constants of the layers."""
    layers = (n for n in graph.nodes if isinstance(n.op, LAYERS))
    return sum({v: v.type.size for n in layers for v in n.operands if v.is_const}.values())


def macs(graph: Graph) -> int:
    return sum(op_of(node).macs(node) for node in graph.nodes)


def figures(
    subject: Subject,
    graph: Graph,
    board: Board,
    int8: Graph | None = None,
    reference: Array | None = None,
    progress: Progress = no_progress,
) -> tuple[ModelFigures, Graph | None]:
    """The figures of a float graph and of its int8 form, which is returned, too; None without samples.

    ``int8``: if it has one already, whose weights may take less compressed. ``reference``: outputs of the first float
    network on the samples that are judged by, (n, elements).
    """
    is_coded = int8 is not None
    if int8 is None and subject.calibration is not None:
        int8 = quantized(graph, subject.calibration, progress)
    accuracy = loss = int8_accuracy = agreement = None
    test = None
    if subject.data is not None:
        progress("judging", 0, 1)
        test = labelled_at(subject, subject.data.split.validation)
        outputs = float_outputs(graph, test.samples)
        accuracy, loss = test.accuracy(outputs), test.loss(outputs)
    samples = test.samples if test is not None else subject.calibration
    if int8 is not None and samples is not None:
        progress("judging the int8 model", 0, 1)
        outputs = int8_outputs(int8, samples)
        int8_accuracy = None if test is None else test.accuracy(outputs)
        if reference is not None and not subject.is_numbers:
            agreement = float((outputs.argmax(axis=1) == reference.argmax(axis=1)).mean())
    whole = int8 if int8 is not None else quickly_quantized(graph, None)
    progress(f"compiling for {board.name}", 0, 1)
    plain = board_figures(whole, board)
    compressed = board_figures(whole, board, "compressed") if is_coded else None
    found = ModelFigures(
        parameters=parameters(graph),
        macs=macs(graph),
        weight_bytes=weight_bytes(Model(whole)),
        accuracy=accuracy,
        loss=loss,
        int8_accuracy=int8_accuracy,
        agreement=agreement,
        board=plain,
        compressed=compressed if compressed is not None and compressed.flash < plain.flash else None,
        how=JUDGED if test is not None else NOT_JUDGED,
        how_int8=JUDGED_INT8 if test is not None else NOT_JUDGED,
    )
    return found, int8


def judged_samples(subject: Subject) -> Samples | None:
    """What outputs are compared on."""
    if subject.data is None:
        return subject.calibration
    return labelled_at(subject, subject.data.split.validation).samples


def subset(subject: Subject, most: int) -> Labelled:
    """At most so many pictures that are trained with, drawn: what is judged by in the end stays unseen."""
    train = subject.require_data().split.train
    return labelled_at(subject, np.sort(np.random.default_rng(0).permutation(train)[:most]))
