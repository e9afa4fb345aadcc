"""The generated C behind the call names of ``tf.lite.Interpreter``, for code that already uses one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.build import compile_graph
from chipfit.emulate import HostLibrary
from chipfit.errors import ChipfitError
from chipfit.graph import Array, Value
from chipfit.interpret import check_inputs
from chipfit.model import load


class Interpreter:
    """Runs a ``.tflite`` model by the C that chipfit generates from it, compiled for this computer.

    Takes the place of ``tf.lite.Interpreter``: same call names, same dictionaries, other arithmetic than XNNPACK's.
    Tensor indices count the inputs first, then the outputs. State (variables) goes on from one ``invoke`` to the next;
    ``reset_all_variables`` sets it back.
    """

    def __init__(self, model_path: str | Path | None = None, model_content: bytes | None = None) -> None:
        if (model_path is None) == (model_content is None):
            raise ChipfitError("U001", "give either model_path or model_content")
        self._model = load(model_content if model_content is not None else Path(str(model_path)))
        self._library: HostLibrary | None = None
        graph = self._model.graph
        self._values: list[Value] = [*graph.inputs, *graph.outputs]
        self._tensors: list[Array] = [np.zeros(v.shape, v.dtype.numpy) for v in self._values]

    def allocate_tensors(self) -> None:
        """Generate and compile the C (once)."""
        if self._library is not None:
            return
        with tempfile.TemporaryDirectory(prefix="chipfit-interpreter-") as folder:
            firmware = compile_graph(self._model.graph, "host", Path(folder) / "host")
            self._library = HostLibrary(firmware.folder / firmware.manifest["library"])
        self.reset_all_variables()

    def get_input_details(self) -> list[dict[str, Any]]:
        return [self._details(i) for i in range(len(self._model.graph.inputs))]

    def get_output_details(self) -> list[dict[str, Any]]:
        first = len(self._model.graph.inputs)
        return [self._details(first + i) for i in range(len(self._model.graph.outputs))]

    def set_tensor(self, tensor_index: int, value: Array) -> None:
        """Set an input. Raises ChipfitError I001 or I002 unless shape and dtype are the model's."""
        graph = self._model.graph
        if not 0 <= tensor_index < len(graph.inputs):
            raise ChipfitError("U001", f"{tensor_index} is not the index of an input (0 to {len(graph.inputs) - 1})")
        array = np.asarray(value)
        check_inputs(
            graph, [*self._tensors[:tensor_index], array, *self._tensors[tensor_index + 1 : len(graph.inputs)]]
        )
        self._tensors[tensor_index] = array.copy()

    def invoke(self) -> None:
        """Run once with the inputs set."""
        if self._library is None:
            raise ChipfitError("U001", "invoke before allocate_tensors", "call allocate_tensors() first")
        count = len(self._model.graph.inputs)
        source = np.frombuffer(b"".join(t.tobytes() for t in self._tensors[:count]) or b"\0", np.uint8)
        out = np.zeros(max(1, sum(v.type.nbytes for v in self._values[count:])), np.uint8)
        self._library.call("chipfit_run", source, out, 1, returns=None)
        at = 0
        for i, value in enumerate(self._values[count:], count):
            part = out[at : at + value.type.nbytes]
            self._tensors[i] = np.frombuffer(part.tobytes(), value.dtype.numpy).reshape(value.shape)
            at += value.type.nbytes

    def get_tensor(self, tensor_index: int) -> Array:
        """A copy of an input as it was set, or of an output as the last ``invoke`` left it."""
        if not 0 <= tensor_index < len(self._tensors):
            raise ChipfitError("U001", f"{tensor_index} is not the index of an input or output")
        return self._tensors[tensor_index].copy()

    def reset_all_variables(self) -> None:
        """Set the state back to the model's initial one."""
        if self._library is None:
            raise ChipfitError("U001", "reset_all_variables before allocate_tensors", "call allocate_tensors() first")
        self._library.call("chipfit_reset")

    def _details(self, index: int) -> dict[str, Any]:
        value = self._values[index]
        quant = value.type.quant
        scales = np.array(quant.scale if quant else [], np.float32)
        zeros = np.array(quant.zero_point if quant else [], np.int32)
        per_tensor = quant is not None and quant.axis is None
        return {
            "name": value.name,
            "index": index,
            "shape": np.array(value.shape, np.int32),
            "shape_signature": np.array(value.shape, np.int32),
            "dtype": value.dtype.numpy.type,
            "quantization": (quant.s, quant.zp) if quant is not None and per_tensor else (0.0, 0),
            "quantization_parameters": {
                "scales": scales,
                "zero_points": zeros,
                "quantized_dimension": (quant.axis or 0) if quant else 0,
            },
            "sparsity_parameters": {},
        }
