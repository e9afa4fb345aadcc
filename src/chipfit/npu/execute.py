"""Models with command streams, executed: several samples at once where no state goes from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.ethosu import Accelerator, Simulator, Watch, parse_payload
from chipfit.graph import Array, Graph, Node
from chipfit.interpret import check_inputs, initial_state
from chipfit.ops import op_of
from chipfit.ops.ethos_u import EthosU, execute, simulator_of

Dense = Literal["stream", "single"]
"""``stream``: as the stream says and the hardware rounds. ``single``: FULLY_CONNECTED rounded once, as newer reference
kernels of LiteRT do."""

_MOST_RUNS = 64
_WORKING_BYTES = 4 << 20
"""Working memory of all runs at a time; what numpy needs beside it is ten times as much."""


def streams_of(graph: Graph) -> list[Node]:
    """The nodes that are command streams."""
    return [node for node in graph.nodes if isinstance(node.op, EthosU)]


def accelerator_of(graph: Graph) -> Accelerator:
    """What the streams of a graph were compiled for. Raises ChipfitError A001 where there is none."""
    streams = streams_of(graph)
    if not streams:
        raise ChipfitError("A001", f"'{graph.name}' has no command stream", "compile it with `chipfit compile`")
    return parse_payload(streams[0].operands[0].array.tobytes()).accelerator


class Executor:
    """A graph whose streams are ready to run; its variables begin anew with each :meth:`run`."""

    def __init__(self, graph: Graph, dense: Dense = "stream") -> None:
        self.graph = graph
        changed = {node: Node(replace(node.op, dense=dense), node.inputs, node.outputs) for node in streams_of(graph)}  # pyright: ignore[reportArgumentType, reportCallIssue]
        self._nodes = [changed.get(node, node) for node in graph.nodes]
        self._simulators: dict[tuple[int, int], Simulator] = {}
        working = sum(_working_bytes(node) for node in changed.values())
        self.most_runs = 1 if graph.variables else int(np.clip(_WORKING_BYTES // max(working, 1), 1, _MOST_RUNS))

    def run(
        self,
        inputs: Sequence[Array],
        *,
        watch: Callable[[Node], Watch] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[Array, ...]:
        """``inputs``: (samples, *shape) for each; likewise the outputs.

        ``watch``: gives what is told of each operation of a stream, over all samples; ``progress``: told how many
        samples are done. Raises ChipfitError I001 and I002 for wrong inputs, A001 for a stream that cannot be executed.
        """
        count = len(inputs[0]) if inputs else 0
        check_inputs(self.graph, [x[0] for x in inputs])
        state = initial_state(self.graph)
        parts: list[tuple[Array, ...]] = []
        for first in range(0, count, self.most_runs):
            parts.append(self._part([x[first : first + self.most_runs] for x in inputs], state, watch))
            if progress:
                progress(min(first + self.most_runs, count))
        return tuple(np.concatenate([part[i] for part in parts]) for i in range(len(self.graph.outputs)))

    def _part(
        self, inputs: Sequence[Array], state: dict[str, Array], watch: Callable[[Node], Watch] | None
    ) -> tuple[Array, ...]:
        runs = len(inputs[0])
        values = dict(zip(self.graph.inputs, inputs, strict=True))
        for number, node in enumerate(self._nodes):
            variable = node.op.attributes().get("variable")
            if isinstance(node.op, EthosU):
                xs = [np.repeat(v.array[None], runs, axis=0) if v.is_const else values[v] for v in node.operands[2:]]
                found = execute(node, self._simulator(number, node, runs), xs, watch(node) if watch else None)
            elif variable is not None and node.outputs:
                found = [state[variable][None].copy()]
            elif variable is not None:
                value = node.operands[0]
                state[variable] = np.array(value.array if value.is_const else values[value][0])
                continue
            else:
                rows = [
                    op_of(node).evaluate(node, *(v.array if v.is_const else values[v][k] for v in node.operands))
                    for k in range(runs)
                ]
                found = [np.stack([row[i] for row in rows]) for i in range(len(node.outputs))]
            values.update(zip(node.outputs, found, strict=True))
        return tuple(np.repeat(v.array[None], runs, 0) if v.is_const else values[v] for v in self.graph.outputs)

    def _simulator(self, number: int, node: Node, runs: int) -> Simulator:
        key = (number, runs)
        if key not in self._simulators:
            self._simulators[key] = simulator_of(node, runs)
        return self._simulators[key]


def _working_bytes(node: Node) -> int:
    op = node.op
    assert isinstance(op, EthosU)
    return op.scratch + op.fast


def stacked(samples: Sequence[tuple[Array, ...]]) -> list[Array]:
    """Samples as one array for each input, (samples, *shape)."""
    return [np.stack(column) for column in zip(*samples, strict=True)]
