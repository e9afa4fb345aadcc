"""What a network with fewer channels needs, estimated from what the whole one does; and budgets to keep to.

The estimate decides which channels go; what the result needs is compiled and run.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chipfit.compress.channels.flow import Fewer
from chipfit.compress.channels.structure import Structure
from chipfit.compress.report import ModelFigures
from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph, Node, Value
from chipfit.model import Model
from chipfit.ops import op_of
from chipfit.quantize.layers import LAYERS
from chipfit.targets import Board

Aspect = str
ASPECTS: tuple[Aspect, ...] = ("instructions", "macs", "flash", "ram")

_PER_OUTPUT = 12
"""Instructions around the sum of an output, as multiply-accumulates."""
_PER_CHANNEL = 16
"""Bytes of an output channel beside its weights: bias, multiplier and shift."""
_ORDER = 16
"""Of the norm that stands for the greatest: steps of nearly as many live bytes as the peak count, too."""

_UNITS = {"": 1, "K": 1024, "M": 1024 * 1024}
_COUNTS = {"": 1, "K": 1000, "M": 1_000_000}


@dataclass(frozen=True)
class Budget:
    """``limits``: at most so much: instructions or multiply-accumulates of a run, bytes of flash or RAM."""

    limits: Mapping[Aspect, float]

    @staticmethod
    def of(texts: Mapping[Aspect, str], before: ModelFigures) -> Budget:
        """``texts``: shares of what it was (``0.5``), or numbers (``20K``: KiB of memory, thousands of instructions).

        Raises ChipfitError U001 for what is neither, or for an aspect that is unknown of this model.
        """
        return Budget({aspect: _limit(aspect, text, before) for aspect, text in texts.items()})


def amounts(figures: ModelFigures) -> dict[Aspect, float]:
    """What is known of a model."""
    board = figures.board
    found: dict[Aspect, float | None] = {
        "instructions": None if board is None else board.instructions,
        "macs": figures.macs,
        "flash": None if board is None else board.flash,
        "ram": None if board is None else board.ram,
    }
    return {aspect: float(n) for aspect, n in found.items() if n is not None}


def _limit(aspect: Aspect, text: str, before: ModelFigures) -> float:
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)([KM]?)(?:B|iB)?", text.strip())
    now = amounts(before).get(aspect)
    if found is None or float(found.group(1)) == 0:
        hint = "a share of what it is, such as 0.5, or a number: 20K"
        raise ChipfitError("U001", f"--{aspect} {text} is no budget", hint)
    if now is None:
        hint = "--macs needs no board"
        raise ChipfitError("U001", f"--{aspect}: the model does not run on this board as it is", hint)
    number, unit = float(found.group(1)), found.group(2)
    if not unit and number <= 1:
        return number * now
    return number * (_UNITS if aspect in ("flash", "ram") else _COUNTS)[unit]


@dataclass(frozen=True, eq=False)
class Costs:
    """``base``: what the whole network needs; ``layers``: instructions of each node there."""

    structure: Structure
    base: Mapping[Aspect, float]
    layers: Mapping[Node, float]

    def of(self, gone: Array, aspects: Mapping[Aspect, float]) -> dict[Aspect, float]:
        """Estimates of the aspects, without the channels of these numbers."""
        fewer = Fewer(self.structure.along, gone)
        shapes = _Shapes(fewer)
        found: dict[Aspect, float] = {}
        for aspect in aspects:
            if aspect == "instructions":
                total = sum(n * shapes.work(node) / max(1.0, work(node)) for node, n in self.layers.items())
                found[aspect] = self.base[aspect] - sum(self.layers.values()) + total
            elif aspect == "macs":
                found[aspect] = sum(shapes.macs(node) for node in self.structure.graph.nodes)
            elif aspect == "flash":
                saved = _weights(self.structure.graph, None) - _weights(self.structure.graph, shapes)
                found[aspect] = self.base[aspect] - saved
            else:
                whole = _peak(self.structure.graph, None)
                found[aspect] = self.base[aspect] - whole + _peak(self.structure.graph, shapes)
        return found


class _Shapes:
    """Sizes of tensors without some channels."""

    def __init__(self, fewer: Fewer) -> None:
        self._fewer = fewer
        self._known: dict[Value, float] = {}

    def share(self, value: Value) -> float:
        """Of the tensor's elements that are left."""
        if value not in self._known:
            left = self._fewer.keeps(value)
            self._known[value] = 1.0 if left is None else float(left.mean())
        return self._known[value]

    def size(self, value: Value) -> float:
        return value.type.size * self.share(value)

    def weights(self, node: Node) -> float:
        w = node["w"]
        share = 1.0 if _is_per_channel(node) else self.share(node["x"])
        return w.type.size * share * self.share(node["y"])

    def macs(self, node: Node) -> float:
        if not isinstance(node.op, LAYERS):
            return 0.0
        share = 1.0 if _is_per_channel(node) else self.share(node["x"])
        return _macs(node) * share * self.share(node["y"])

    def work(self, node: Node) -> float:
        return self.macs(node) + _PER_OUTPUT * sum(self.size(v) for v in node.outputs)


def _is_per_channel(node: Node) -> bool:
    return node.op.name == "depthwise_conv2d"


def _macs(node: Node) -> int:
    return op_of(node).macs(node)


def work(node: Node) -> float:
    """What the instructions of a node go with."""
    return (_macs(node) if isinstance(node.op, LAYERS) else 0) + _PER_OUTPUT * sum(v.type.size for v in node.outputs)


def _weights(graph: Graph, shapes: _Shapes | None) -> float:
    """Bytes of the int8 weights and of what belongs to their channels."""
    total = 0.0
    for node in graph.nodes:
        if isinstance(node.op, LAYERS):
            y = node["y"]
            total += node["w"].type.size if shapes is None else shapes.weights(node)
            total += _PER_CHANNEL * y.shape[-1] * (1.0 if shapes is None else shapes.share(y))
    return total


def _peak(graph: Graph, shapes: _Shapes | None) -> float:
    """Bytes of int8 tensors that are alive at once, nearly the most of all steps."""
    last = {value: i for i, node in enumerate(graph.nodes) for value in node.operands}
    ends = set(graph.outputs)
    live: dict[Value, float] = {v: _bytes(v, shapes) for v in graph.inputs}
    powers = 0.0
    greatest = 1.0
    steps: list[float] = []
    for i, node in enumerate(graph.nodes):
        live.update((v, _bytes(v, shapes)) for v in node.outputs)
        steps.append(sum(live.values()))
        for value in [v for v in live if last.get(v, -1) <= i and v not in ends]:
            del live[value]
    greatest = max(steps, default=1.0)
    powers = sum((step / greatest) ** _ORDER for step in steps)
    return greatest * powers ** (1 / _ORDER)


def _bytes(value: Value, shapes: _Shapes | None) -> float:
    return float(value.type.size) if shapes is None else shapes.size(value)


def costs_of(structure: Structure, int8: Graph, before: ModelFigures, board: Board) -> Costs:
    """``int8``: the quantized form of the structure's graph, whose layers are counted on the board."""
    return Costs(structure, amounts(before), _counted(structure, int8, board))


def _counted(structure: Structure, int8: Graph, board: Board) -> dict[Node, float]:
    """Instructions of each node; in proportion to their work where they cannot be counted."""
    try:
        with tempfile.TemporaryDirectory(prefix="chipfit-count-") as folder:
            model = Model(int8)
            run = model.compile(board, Path(folder) / "program").run(model.samples(1))
        counted = {layer.name: layer.instructions for layer in run.layers}
    except ChipfitError as error:
        if error.code not in ("M001", "T001", "O002"):
            raise
        counted = {}
    return {node: float(counted.get(node.name) or work(node)) for node in structure.graph.nodes}
