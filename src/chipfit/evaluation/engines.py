"""What runs models on this computer: their C, compiled for it, LiteRT, or, for a file of Vela, its NPU's simulator.

Batches go to all cores.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from chipfit.emulate import HostLibrary
from chipfit.errors import ChipfitError
from chipfit.evaluation.candidates import Candidate, size_of
from chipfit.graph import Array, DType, Graph
from chipfit.model import Model
from chipfit.npu import Executor, streams_of
from chipfit.oracle import LITERT_MISSING, have_litert, quiet
from chipfit.quantize.prepare import judged
from chipfit.report.data import TensorInfo

HOST_C, LITERT, SIMULATOR = "chipfit C", "LiteRT", "Ethos-U simulator"

WORKERS = min(os.cpu_count() or 1, 8)
"""Threads that models and readers of pictures share."""


class Runner(Protocol):
    """One instance of a model, for one thread."""

    def run(self, inputs: Sequence[Array]) -> tuple[Array, Array]:
        """``inputs``: (samples, *shape) each, as the model stores them; scores and first output, (samples, elements)
        each, likewise."""
        ...

    def single(self, inputs: Sequence[Array]) -> Callable[[], Any]:
        """What runs the first sample again and again."""
        ...


class Engine:
    """A model that is ready to run, once for each thread of the pool."""

    def __init__(self, candidate: Candidate, pool: ThreadPoolExecutor) -> None:
        self.candidate, self._pool = candidate, pool
        self._clipped = self._elements = 0
        self.runners: list[Runner]
        self._scores = candidate.scores[1]
        if candidate.model is not None and streams_of(candidate.model.graph):
            self.name = SIMULATOR
            self.runners = [_StreamRunner(candidate.model.graph, candidate.scores[1].name) for _ in range(WORKERS)]
        elif candidate.model is not None and (candidate.is_integer or not have_litert()):
            self.name = HOST_C
            self.runners, self._scores = _host_runners(candidate.model, WORKERS)
        elif have_litert():
            self.name = LITERT
            self.runners = _litert_runners(candidate, WORKERS)
        else:
            raise candidate.problem or ChipfitError("T001", LITERT_MISSING, "pip install ai-edge-litert")

    def run(self, real: Sequence[Array]) -> tuple[Array, Array]:
        """``real``: (samples, *shape) for each input, as real numbers. Scores as real numbers, (samples, classes), and
        the first place of the model's own output, (samples,)."""
        inputs = self.inputs(real)
        self._watch(real)
        cuts = np.linspace(0, len(inputs[0]), min(len(self.runners), len(inputs[0])) + 1).astype(int).tolist()
        parts = [[x[a:b] for x in inputs] for a, b in pairwise(cuts)]
        results = list(self._pool.map(lambda runner, part: runner.run(part), self.runners, parts))
        scores = real_numbers(np.concatenate([r[0] for r in results]), self._scores)
        output = np.concatenate([r[1] for r in results])
        if self.candidate.is_binary:
            scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
        # an output of another size is a choice already, or no choice at all
        return scores, (output if output.shape == scores.shape else scores).argmax(axis=1)

    def inputs(self, real: Sequence[Array]) -> list[Array]:
        """Real numbers as the model's inputs take them."""
        return [stored(x, info) for x, info in zip(real, self.candidate.inputs, strict=True)]

    def _watch(self, real: Sequence[Array]) -> None:
        for x, info in zip(real, self.candidate.inputs, strict=True):
            if info.scale is not None:
                low, high = (real_numbers(np.array(end), info) for end in DType(info.dtype).range)
                self._clipped += int(np.count_nonzero((x < low - info.scale) | (x > high + info.scale)))
                self._elements += x.size

    @property
    def clipped(self) -> float:
        """Share of the elements of all inputs so far that lie beyond what the model's inputs can hold."""
        return self._clipped / max(self._elements, 1)

    def singles(self, real: Sequence[Array]) -> dict[str, Callable[[], Any]]:
        """What runs the first sample again and again, by what runs it: as here, and by LiteRT, if it can: it runs all
        kinds of models, so that their times can be compared."""
        inputs = self.inputs(real)
        ways = {self.name: self.runners[0].single(inputs)}
        if self.name != LITERT and have_litert():
            with suppress(RuntimeError, ValueError):
                ways[LITERT] = _LiteRTRunner(self.candidate.source).single(inputs)
        return ways


def stored(real: Array, info: TensorInfo) -> Array:
    """Real numbers as an input takes them: quantized where it has a scale."""
    if info.scale is None:
        return real.astype(np.dtype(info.dtype), copy=False)
    low, high = DType(info.dtype).range
    rounded = np.rint(real / np.float32(info.scale))
    rounded += np.float32(info.zero_point or 0)
    return np.clip(rounded, low, high, out=rounded).astype(np.dtype(info.dtype))


def real_numbers(elements: Array, info: TensorInfo) -> Array:
    """What stored elements stand for, float32."""
    if info.scale is None:
        return elements.astype(np.float32, copy=False)
    return (elements.astype(np.float32) - np.float32(info.zero_point or 0)) * np.float32(info.scale)


# ---------------------------------------------------------------------------------------------- chipfit's C


def _host_runners(model: Model, count: int) -> tuple[list[Runner], TensorInfo]:
    """Copies of one library: each has its own memory, so that each can run in a thread of its own."""
    graph = model.graph
    scores = judged(graph)
    outputs = list(dict.fromkeys([scores, graph.outputs[0]]))
    watched = Model(Graph(graph.name, graph.inputs, outputs, _needed(graph)))
    with tempfile.TemporaryDirectory(prefix="chipfit-evaluate-") as folder:
        firmware = watched.compile("host", Path(folder) / "model")
        library = firmware.folder / firmware.manifest["library"]
        infos = [TensorInfo.of(v) for v in outputs]
        return [_HostRunner(HostLibrary(library), infos) for _ in range(count)], infos[0]


def _needed(graph: Graph) -> list[Any]:
    """The nodes that the first output depends on."""
    wanted, nodes = {graph.outputs[0]}, []
    for node in reversed(graph.nodes):
        if not wanted.isdisjoint(node.outputs):
            wanted.update(node.operands)
            nodes.append(node)
    return nodes[::-1]


class _HostRunner:
    def __init__(self, library: HostLibrary, outputs: Sequence[TensorInfo]) -> None:
        if library.call("chipfit_reset") != 0:
            raise ChipfitError("E005", "the shared library could not be initialised")
        self._library = library
        self._run = library.function("chipfit_run", None)
        self._dtypes = [np.dtype(o.dtype) for o in outputs]
        self._sizes = [size_of(o.shape) * d.itemsize for o, d in zip(outputs, self._dtypes, strict=True)]

    def run(self, inputs: Sequence[Array]) -> tuple[Array, Array]:
        count = len(inputs[0])
        out = np.empty((count, sum(self._sizes)), np.uint8)
        self._run(_interleaved(inputs), out, count)
        scores = np.ascontiguousarray(out[:, : self._sizes[0]]).view(self._dtypes[0])
        output = (
            np.ascontiguousarray(out[:, self._sizes[0] :]).view(self._dtypes[-1]) if len(self._sizes) > 1 else scores
        )
        return scores, output

    def single(self, inputs: Sequence[Array]) -> Callable[[], Any]:
        source, out = _interleaved([x[:1] for x in inputs]), np.empty(sum(self._sizes), np.uint8)
        return lambda: self._run(source, out, 1)


def _interleaved(inputs: Sequence[Array]) -> Array:
    """The bytes of all inputs, sample by sample."""
    rows = [np.ascontiguousarray(x).reshape(len(x), -1).view(np.uint8) for x in inputs]
    return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)


# ---------------------------------------------------------------------------------------------- command streams


class _StreamRunner:
    """A file of Vela: its streams in the simulator, the operators around them by their definitions."""

    def __init__(self, graph: Graph, scores: str) -> None:
        named = next((v for v in graph.values() if v.name == scores), graph.outputs[0])
        self._executor = Executor(Graph(graph.name, graph.inputs, [named, graph.outputs[0]], graph.nodes))

    def run(self, inputs: Sequence[Array]) -> tuple[Array, Array]:
        scores, output = (y.reshape(len(y), -1) for y in self._executor.run(inputs))
        return scores, output

    def single(self, inputs: Sequence[Array]) -> Callable[[], Any]:
        first = [x[:1] for x in inputs]
        return lambda: self._executor.run(first)


# ---------------------------------------------------------------------------------------------- LiteRT


def _litert_runners(candidate: Candidate, count: int) -> list[Runner]:
    file = _with_outputs(candidate.source, (candidate.scores[0], candidate.output[0]))
    try:
        return [_LiteRTRunner(file) for _ in range(count)]
    except (RuntimeError, ValueError) as error:
        raise ChipfitError("Q005", f"LiteRT cannot load '{candidate.name}': {str(error).strip()}") from None


class _LiteRTRunner:
    def __init__(self, file: bytes) -> None:
        litert: Any = import_module("ai_edge_litert.interpreter")
        with quiet():
            self._interpreter = litert.Interpreter(model_content=file, num_threads=1)
            self._interpreter.allocate_tensors()
        self._inputs = [d["index"] for d in self._interpreter.get_input_details()]
        self._outputs = [d["index"] for d in self._interpreter.get_output_details()]

    def run(self, inputs: Sequence[Array]) -> tuple[Array, Array]:
        rows: list[list[Array]] = []
        for k in range(len(inputs[0])):
            self._set([x[k] for x in inputs])
            self._interpreter.invoke()
            rows.append([self._interpreter.get_tensor(i).reshape(-1) for i in self._outputs])
        return np.stack([r[0] for r in rows]), np.stack([r[-1] for r in rows])

    def _set(self, sample: Sequence[Array]) -> None:
        for index, x in zip(self._inputs, sample, strict=True):
            self._interpreter.set_tensor(index, x)

    def single(self, inputs: Sequence[Array]) -> Callable[[], Any]:
        self._set([x[0] for x in inputs])
        return self._interpreter.invoke


def _with_outputs(file: bytes, tensors: Sequence[int]) -> bytes:
    """The model with these outputs, by their indices in its main subgraph, instead of its own."""
    schema: Any = import_module("ai_edge_litert.schema_py_generated")
    builder: Any = import_module("flatbuffers").Builder(len(file))
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(file), 0))
    model.subgraphs[0].outputs = list(dict.fromkeys(tensors))
    model.signatureDefs = []  # they name the former outputs
    for buffer in model.buffers:
        if buffer.offset > 1:  # elements behind the tables, which move: back into the tables with them
            buffer.data = np.frombuffer(file, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
