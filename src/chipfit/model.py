"""A model as a user holds it: loaded, looked at, compiled, run, verified."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.build import Aim, Weights, compile_graph
from chipfit.firmware import Firmware
from chipfit.graph import Array, Graph, Value
from chipfit.importers import MOST_SECONDS, load_source
from chipfit.interpret import evaluate, initial_state
from chipfit.ops import op_of
from chipfit.passes import PIPELINE, integer_io, with_channels_last
from chipfit.recurrent import Form, StateMode, deploy
from chipfit.report.data import TensorInfo, VerifyReport
from chipfit.report.info import MemoryReport
from chipfit.samples import SampleLike, Samples, as_samples, random_samples
from chipfit.targets import Board, load_board


def load(
    source: str | Path | bytes | Any,
    *,
    name: str | None = None,
    allow_code: bool = False,
    signature: str | None = None,
    timeout: float = MOST_SECONDS,
    example_inputs: Any = None,
    channels_last: bool = False,
) -> Model:
    """Read a model: a file (``.tflite``, ``.keras``, ``.h5``, ``.onnx``, ``.pt2``) or its bytes, the folder of a
    SavedModel, or a model in memory (of Keras, ONNX or PyTorch; a function of TensorFlow).

    ``allow_code``: what a file holds of Python code (Lambda layers, classes of one's own) may be run; else such a file
    is refused. ``signature``: that of a SavedModel, by default ``serving_default`` or the only one; ``timeout``:
    seconds that TensorFlow's converter may take. ``example_inputs``: what a module of PyTorch is called with, one
    sample (a tuple, a dictionary of keyword arguments, or one tensor). ``channels_last``: inputs and outputs whose
    channels are first, (1, c, h, w) or (1, c, l), become (1, h, w, c) and (1, l, c). Raises ChipfitError F001..F005 for
    files that cannot be read, O001 and O002 for what cannot be compiled, T001 where the package is missing that reads
    such models, T003 where the converter crashes.
    """
    loaded = load_source(
        source, name, allow_code=allow_code, signature=signature, timeout=timeout, example_inputs=example_inputs
    )
    graph = loaded.graph
    passes = PIPELINE.run(graph).summary()
    if not channels_last:
        return Model(graph, passes, loaded.tflite, loaded.format)
    changed, notes = with_channels_last(graph, PIPELINE.run)
    return Model(changed, (*passes, *notes), loaded.tflite if changed is graph else None, loaded.format)


@dataclass(frozen=True, eq=False)
class Model:
    """A verified graph after the pipeline. ``passes``: the passes that changed it, each with what it did."""

    graph: Graph
    passes: tuple[str, ...] = ()
    source: bytes | None = None
    """The .tflite file it was loaded from or converted to, if any: what foreign interpreters run."""
    format: str | None = None
    """What it was loaded from: ``tflite``, ``saved_model``, ``keras``, ``onnx`` or ``torch``."""

    @property
    def name(self) -> str:
        return self.graph.name

    @property
    def inputs(self) -> list[TensorInfo]:
        return [TensorInfo.of(v) for v in self.graph.inputs]

    @property
    def outputs(self) -> list[TensorInfo]:
        return [TensorInfo.of(v) for v in self.graph.outputs]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        return sum(op_of(node).macs(node) for node in self.graph.nodes)

    @property
    def is_float(self) -> bool:
        """Whether any layer computes on real numbers: then outputs are compared within a tolerance."""
        return any(v.dtype.is_float for v in self._computed())

    @property
    def is_integer(self) -> bool:
        """Whether any layer computes on integers: then LiteRT, whose rounding differs, is no oracle."""
        return any(not v.dtype.is_float for v in self._computed())

    def _computed(self) -> Iterator[Value]:
        """Outputs of the layers that do arithmetic, conversions at the edges of the model aside."""
        converting = ("quantize", "dequantize", "cast")
        return (v for n in self.graph.nodes if n.op.name not in converting for v in n.outputs)

    def with_integer_io(self) -> Model:
        """The same model without the conversions at its ends: it takes and gives the stored integers.

        Inputs that only a QUANTIZE reads and outputs that a DEQUANTIZE makes; ``source`` is gone, since the file is
        another model. The model itself if there are none.
        """
        graph = integer_io(self.graph)
        return self if graph is self.graph else Model(graph, (*self.passes, "integer_io: took the conversions away"))

    def recurrent(self, form: Form = "loop", state: StateMode | None = None, steps: int | None = None) -> Model:
        """The same model with its recurrent layers in another form; integers stay the same, byte for byte.

        ``form``: ``loop`` (a loop over the steps), ``unroll`` (the layers of all steps, sharing their weights) or
        ``step`` (one step for each call). ``state``: how a run begins: ``reset`` (anew), ``kept`` (with what the last
        run left) or ``io`` (states are inputs and outputs); default ``kept`` for ``step``, else ``reset``. ``steps``:
        of each call, if not those of the model. Raises ChipfitError U001 where there is no recurrent layer, O002 where
        a layer looks at several steps at once.
        """
        graph = deploy(self.graph, form, state, steps).copy()
        report = PIPELINE.run(graph)
        return Model(graph, (*self.passes, *report.summary()))

    def samples(self, count: int, seed: int = 0) -> list[tuple[Array, ...]]:
        """Seeded random samples over the whole range of the inputs."""
        return random_samples(self.inputs, count, seed)

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """One run of the reference, state fresh."""
        return evaluate(self.graph, inputs)

    def run_samples(self, samples: Samples) -> tuple[Array, ...]:
        """The reference over samples in order (state goes on): one array per output with a leading axis of samples."""
        state = initial_state(self.graph)
        rows = [evaluate(self.graph, sample, state) for sample in samples]
        return tuple(np.stack([row[i] for row in rows]) for i in range(len(self.graph.outputs)))

    def compile(
        self,
        board: str | Board = "host",
        folder: str | Path | None = None,
        *,
        cc: str | None = None,
        stack_bytes: int | None = None,
        force: bool = False,
        optimize: Aim = "balanced",
        weights: Weights = "plain",
        preserve_input: bool = False,
        input_rows: bool = False,
        place: Sequence[str] = (),
        npu: bool = True,
    ) -> Firmware:
        """Generate C for a board, compile it, and write both to ``folder`` (default: ``<model>-<board>``).

        On a board with an NPU, Vela compiles the model first, as ``chipfit compile`` does: the C calls the NPU, and
        computes what stays on the core. The emulator runs it with the simulator of the NPU. ``npu`` False: C for the
        core alone.

        ``optimize``: ``balanced``, ``speed`` (wider weights within the board's flash), ``size`` (shared kernels) or
        ``ram`` (the least memory). ``weights``: ``compressed`` stores few different weights and zeros in less flash,
        for more instructions (see docs/compressed-weights.md). ``preserve_input``: inputs keep their bytes during a
        run. ``input_rows``: the application hands the image over row by row. ``place``: ``NAME=MEMORY``, for boards
        with several memories (see docs/boards.md).
        Raises ChipfitError M001 if it does not fit the board, P001 if the folder is not chipfit's; for an NPU as
        :func:`chipfit.npu.npu_model`.
        """
        path = Path(folder) if folder is not None else None
        target = load_board(board) if isinstance(board, str) else board
        model = self._for_npu(target, optimize) if npu and target.npu else self
        return compile_graph(
            model.graph,
            target,
            path,
            cc=cc,
            stack_bytes=stack_bytes,
            force=force,
            passes=model.passes,
            optimize=optimize,
            weights=weights,
            preserve_input=preserve_input,
            input_rows=input_rows,
            place=place,
        )

    def _for_npu(self, board: Board, optimize: Aim) -> Model:
        from chipfit.npu import npu_model

        return npu_model(self, board, optimize=optimize).model

    def memory(self, board: str | Board = "host", **options: Any) -> MemoryReport:
        """Where everything lies in RAM, and what would need less: see :func:`chipfit.inspection.memory_report`."""
        from chipfit.inspection import memory_report

        return memory_report(self, board, **options)

    def verify(self, samples: SampleLike | int = 32, **options: Any) -> VerifyReport:
        """Hold every execution against the reference: see :func:`chipfit.verify`.

        ``samples``: arrays, or a number of seeded random ones.
        """
        from chipfit.verification import verify

        chosen = self.samples(samples) if isinstance(samples, int) else as_samples(samples, self.inputs)
        return verify(self, chosen, **options)
