"""PyTorch modules, exported programs and ``.pt2`` files -> Graph. Pickled files are refused, never unpickled."""

from __future__ import annotations

from typing import Any

from chipfit.errors import ChipfitError
from chipfit.graph import Graph
from chipfit.importers.torch.archive import load_archive
from chipfit.importers.torch.files import is_archive, is_torch_file, refusal
from chipfit.importers.torch.framework import arguments, decomposed, export, fixed, import_torch
from chipfit.importers.torch.names import output_names
from chipfit.importers.torch.operators import NATIVE
from chipfit.importers.torch.trace import ProgramImporter

__all__ = ["is_torch_file", "is_torch_object", "load_torch", "load_torch_file"]

_EXAMPLE = "chipfit.load(module, example_inputs=(torch.zeros(1, 3, 96, 96),))"
_MODULE = f"build the module, load the weights into it, and hand it over: {_EXAMPLE}"


def is_torch_object(source: object) -> bool:
    """Whether an object is of PyTorch, or a dictionary of its tensors, without importing it."""
    if isinstance(source, dict) and source:
        source = next(iter(source.values()))
    return any(kind.__module__.split(".")[0] == "torch" for kind in type(source).__mro__)


def load_torch_file(data: bytes, name: str) -> Graph:
    """The graph of a ``.pt2`` file (``torch.export.save``).

    Raises ChipfitError O001 or O002 with all operators that cannot be compiled, F002 for pickled files, F003 for
    damaged ones, T001 where torch is missing.
    """
    if not is_archive(data):
        raise refusal(data)
    torch = import_torch()
    program, outputs = load_archive(torch, data)
    return _imported(torch, program, name, outputs)


def load_torch(model: Any, name: str | None, example_inputs: Any = None) -> Graph:
    """The graph of a module or an exported program, verified: float32, channels last inside.

    ``example_inputs``: what the module is called with: a tuple, a dictionary of keyword arguments, or one tensor. Their
    sizes are the graph's; give one sample. Inputs are called like the arguments of ``forward``, outputs like the keys
    of a dictionary, ``output``, or ``output_0`` and so on; constants as in the ``state_dict``, what is between after
    the module that makes it. Raises ChipfitError O001 or O002 with all operators that cannot be compiled.
    """
    torch = import_torch()
    if isinstance(model, torch.export.ExportedProgram):
        if example_inputs is None:
            program = fixed(torch, model)
        else:
            program = export(torch, model.module(), *arguments(torch, example_inputs))
        return _imported(torch, program, name or "model")
    if isinstance(model, (torch.jit.ScriptModule, torch.jit.ScriptFunction)):
        raise ChipfitError("F002", "it is a TorchScript program", f"hand over the module it was made of: {_EXAMPLE}")
    if not isinstance(model, torch.nn.Module):
        what = "a dictionary of weights" if isinstance(model, dict) else f"a {type(model).__name__}"
        raise ChipfitError("F002", f"{what} is no network", _MODULE)
    title = name or type(model).__name__
    if example_inputs is None:
        raise ChipfitError("U001", f"'{title}' is a module: the shapes of its inputs are not known", f"use {_EXAMPLE}")
    return _imported(torch, export(torch, model, *arguments(torch, example_inputs)), title)


def _imported(torch: Any, program: Any, name: str, outputs: list[str] | None = None) -> Graph:
    program = decomposed(torch, program, NATIVE)
    return ProgramImporter(torch, name).run(program, outputs or output_names(program))
