"""A small core for rewriting graphs: rules that say why they did not match, passes, and pipelines of passes.

A *rule* looks at one node. It changes the graph and says what it did, or gives the reason why it could not, or says
nothing because it is not about such a node. A *pass* is a name and a function that rewrites a graph in place; most
passes are rules applied until none matches. A *pipeline* is a list of passes; the graph is verified after each one that
changed it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chipfit.graph.graph import Graph, Node, Value


@dataclass(frozen=True)
class Changed:
    """A rule matched; ``text`` says what it did."""

    text: str


@dataclass(frozen=True)
class Missed:
    """Why a rule that is about such a node did not match it."""

    node: str
    reason: str


@dataclass
class PassReport:
    """What one pass did, and what it left alone for which reason."""

    name: str
    changes: list[str] = field(default_factory=list[str])
    missed: list[Missed] = field(default_factory=list[Missed])
    headline: str = ""
    """All changes in a few words, where a list of them would not tell what came of it."""


@dataclass
class PipelineReport:
    """The reports of all passes in order."""

    passes: list[PassReport]

    def summary(self) -> tuple[str, ...]:
        """One line for each pass that changed something: its headline, or the first of its changes."""
        return tuple(f"{p.name}: {p.headline or _shorten(p.changes)}" for p in self.passes if p.changes)

    def reasons(self) -> tuple[str, ...]:
        """One line for each node that a rule is about but did not match."""
        return tuple(f"{p.name}: '{m.node}' {m.reason}" for p in self.passes for m in p.missed)


def _shorten(changes: Sequence[str], shown: int = 3) -> str:
    more = len(changes) - shown
    return ", ".join(changes[:shown]) + (f" and {more} more" if more > 0 else "")


class Uses:
    """Who makes and who reads each value of a graph, and the changes that keep this knowledge true.

    A rule changes nodes and values through these methods. A removed node leaves ``graph.nodes`` with :meth:`commit`:
    until then it is still listed there, but reads and makes nothing.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._producers = graph.producers()
        self._readers = {value: dict.fromkeys(nodes) for value, nodes in graph.consumers().items()}
        self.outputs = set(graph.outputs)
        self.removed: set[Node] = set()

    def producer(self, value: Value) -> Node | None:
        """The node that makes the value; None for inputs and constants."""
        return self._producers.get(value)

    def readers(self, value: Value) -> list[Node]:
        return list(self._readers.get(value, ()))

    def only_reader(self, value: Value) -> Node | None:
        """The node that reads the value if nothing else does, outside or inside of the graph."""
        readers = self._readers.get(value, {})
        return next(iter(readers)) if len(readers) == 1 and value not in self.outputs else None

    def replace(self, old: Value, new: Value) -> None:
        """Let every reader of ``old`` (nodes and graph outputs) read ``new``."""
        for node in self.readers(old):
            self.set_inputs(node, [new if v is old else v for v in node.inputs])
        if old in self.outputs:
            self._graph.outputs = [new if v is old else v for v in self._graph.outputs]
            self.outputs = set(self._graph.outputs)

    def set_inputs(self, node: Node, inputs: Sequence[Value | None]) -> None:
        for value in node.operands:
            self._readers[value].pop(node, None)
        node.inputs = list(inputs)
        for value in node.operands:
            self._readers.setdefault(value, {})[node] = None

    def set_outputs(self, node: Node, outputs: Sequence[Value]) -> None:
        for value in node.outputs:
            self._producers.pop(value, None)
        node.outputs = list(outputs)
        self._producers.update((value, node) for value in node.outputs)

    def remove(self, node: Node) -> None:
        self.removed.add(node)
        for value in node.operands:
            self._readers[value].pop(node, None)
        for value in node.outputs:
            if self._producers.get(value) is node:
                del self._producers[value]

    def commit(self) -> None:
        """Take the removed nodes out of the graph, all at once."""
        if self.removed:
            self._graph.nodes = [node for node in self._graph.nodes if node not in self.removed]
            self.removed.clear()


Rule = Callable[[Graph, Node, Uses], Changed | str | None]
"""Changes the graph around a node and returns Changed; or returns the reason why not; or None: not about it."""


@dataclass(frozen=True)
class Pass:
    """A named rewrite of a whole graph, in place. ``doc`` is a sentence for people."""

    name: str
    doc: str
    run: Callable[[Graph], PassReport]


def pass_of_rules(name: str, doc: str, rules: Sequence[Rule]) -> Pass:
    """The pass that applies rules to all nodes until none matches. A rule must shrink the graph to come to an end."""

    def run(graph: Graph) -> PassReport:
        report = PassReport(name)
        while _sweep(graph, rules, report):
            pass
        return report

    return Pass(name, doc, run)


def _sweep(graph: Graph, rules: Sequence[Rule], report: PassReport) -> bool:
    """Offer each node to each rule once; whether any matched. The reasons that remain are those of the last sweep."""
    report.missed.clear()
    uses, changed = Uses(graph), False
    for node in graph.nodes:
        for rule in rules:
            if node in uses.removed:
                break
            outcome = rule(graph, node, uses)
            if isinstance(outcome, Changed):
                report.changes.append(outcome.text)
                changed = True
            elif outcome is not None:
                report.missed.append(Missed(node.name, outcome))
    uses.commit()
    return changed


@dataclass(frozen=True)
class Pipeline:
    """Passes in the order in which they run."""

    passes: tuple[Pass, ...]

    def run(self, graph: Graph) -> PipelineReport:
        """Rewrite the graph in place. Raises what ``Graph.verify`` raises if a pass broke the graph."""
        reports: list[PassReport] = []
        for step in self.passes:
            reports.append(step.run(graph))
            if reports[-1].changes:
                graph.verify()
        graph.verify()
        return PipelineReport(reports)
