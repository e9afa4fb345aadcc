"""What moves through a model when its window moves on, and how a layer follows: the vocabulary of the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import lcm

from chipfit.graph import Node, OpBase, Value

Flows = Mapping[int, "Flow"]
"""By index among a node's inputs: those that move."""


@dataclass(frozen=True)
class Flow:
    """A tensor that moves along with the window.

    From one call to the next its elements move by ``new`` towards the front of ``axis``: element i becomes what element
    ``i + new`` was, and the last ``new`` elements are the only ones that must be computed. ``new`` is less than the
    tensor is long. A tensor without a flow is *whole*: all of it is computed in every call.
    """

    axis: int
    new: int


@dataclass(frozen=True)
class Part:
    """The last ``count`` elements along ``axis``."""

    axis: int
    count: int


@dataclass(frozen=True)
class Step:
    """How a node is computed in one call.

    ``op``: the operator for the parts of its inputs that are in ``parts`` (by index; other inputs are taken as they
    are). ``flow``: how its outputs move; None: they are whole.
    """

    op: OpBase
    parts: Mapping[int, Part]
    flow: Flow | None


@dataclass(frozen=True)
class Refusal:
    """Why a node cannot be computed from new frames only.

    ``factor``: the node could follow if the step were that many times as long. ``assumed``: how the outputs would move
    without this problem, so that the layers behind can be looked at, too; None: nobody knows.
    """

    reason: str
    hint: str
    factor: int | None = None
    assumed: Flow | None = None


@dataclass(frozen=True)
class Problem:
    """A refusal, and the node that it is about."""

    node: Node
    refusal: Refusal


@dataclass
class Analysis:
    """A graph whose window moves on by ``step`` elements of its input's ``axis``, ``window`` long.

    ``steps``: of the nodes that read something that moves. It is of use only if there are no ``problems``.
    """

    axis: int
    window: int
    step: int
    flows: dict[Value, Flow] = field(default_factory=dict[Value, Flow])
    steps: dict[Node, Step] = field(default_factory=dict[Node, Step])
    problems: list[Problem] = field(default_factory=list[Problem])

    @property
    def factor(self) -> int:
        """How many times as long the step would have to be for the nodes that cannot follow it; 1: all can."""
        return lcm(*(p.refusal.factor or 1 for p in self.problems))
