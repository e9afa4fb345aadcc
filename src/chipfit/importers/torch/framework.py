"""PyTorch itself: modules become exported programs, and those graphs of operators that chipfit has."""

from __future__ import annotations

import importlib
import importlib.util
import operator
from collections.abc import Collection, Generator
from contextlib import contextmanager
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.importers._quiet import quiet

_INSTALL = 'install it with `pip install "chipfit[torch]"`'
_FIXED = "hand over inputs of the sizes that the chip will see: chipfit.load(program, example_inputs=(tensor,))"
_TRACEABLE = (
    "call the module on these inputs to see whether they fit; its forward must be made of torch operators, without "
    "branches on the numbers in tensors"
)


def import_torch() -> Any:
    """PyTorch. Raises ChipfitError T001 where it is missing or too old."""
    if importlib.util.find_spec("torch") is None:
        raise ChipfitError("T001", "PyTorch models are read by the package torch, which is missing", _INSTALL)
    try:
        with quiet():
            torch: Any = importlib.import_module("torch")
            importlib.import_module("torch.export")
    except (ImportError, OSError) as error:
        raise ChipfitError("T001", f"PyTorch cannot be imported: {error}", _INSTALL) from error
    if not hasattr(torch.export, "default_decompositions"):
        raise ChipfitError("T001", f"torch {torch.__version__} is installed, 2.6 is needed", 'pip install "torch>=2.6"')
    return torch


def arguments(torch: Any, example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A tuple or list of arguments, a dictionary of keyword arguments, or one tensor: as a module is called."""
    if isinstance(example_inputs, dict):
        return (), dict(example_inputs)
    if isinstance(example_inputs, (tuple, list)):
        return tuple(example_inputs), {}
    if isinstance(example_inputs, torch.Tensor):
        return (example_inputs,), {}
    kind = type(example_inputs).__name__
    raise ChipfitError("U001", f"example_inputs is a {kind}", "give a tuple of tensors, as the module is called with")


def export(torch: Any, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The exported program of a module in evaluation mode; the module itself stays in the mode that it is in.

    Raises ChipfitError O002 where it cannot be traced.
    """
    modes = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in modes:
            part.training = False
        with _tracing(torch):
            return torch.export.export(module, args, kwargs)
    except Exception as error:  # code of the user may raise anything
        raise ChipfitError("O002", f"'{type(module).__name__}' cannot be traced: {_said(error)}", _TRACEABLE) from error
    finally:
        for part, mode in modes:
            part.training = mode


@contextmanager
def _tracing(torch: Any) -> Generator[None]:
    """No gradients, none of the fused layers that only torch has, no talk about what lies inside of torch."""
    mha = torch.backends.mha
    fused = mha.get_fastpath_enabled()
    try:
        mha.set_fastpath_enabled(False)
        with quiet(), torch.no_grad():
            yield
    finally:
        mha.set_fastpath_enabled(fused)


def _said(error: Exception) -> str:
    """The kind and the first line of what torch says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def fixed(torch: Any, program: Any) -> Any:
    """The program with sizes that are numbers: an unknown size of the first axis counts samples and becomes 1.

    Raises ChipfitError O002 where other sizes are unknown.
    """
    inputs = [
        (spec.arg.name, node.meta["val"])
        for spec, node in zip(program.graph_signature.input_specs, _placeholders(program), strict=True)
        if spec.kind.name == "USER_INPUT" and isinstance(node.meta.get("val"), torch.Tensor)
    ]
    if all(isinstance(size, int) for _, value in inputs for size in value.shape):
        return program
    leaves: list[Any] = []
    for name, value in inputs:
        shape = [size if isinstance(size, int) else 1 if i == 0 else None for i, size in enumerate(value.shape)]
        if None in shape:
            sizes = ", ".join(str(size) for size in value.shape)
            raise ChipfitError("O002", f"input '{name}' has the shape [{sizes}]: sizes are not known", _FIXED)
        leaves.append(torch.zeros(shape, dtype=value.dtype))
    args, kwargs = program.call_spec.in_spec.unflatten(leaves)
    return export(torch, program.module(), args, kwargs)


def decomposed(torch: Any, program: Any, native: Collection[str]) -> Any:
    """The program without mutation, in operators of ATen that are in ``native``, as far as torch can express it so.

    torch makes its table of all operators, which takes a second, only for programs that need it.
    """
    try:
        with _tracing(torch):
            program = program.run_decompositions({})
            calls = (n for n in program.graph.nodes if n.op == "call_function" and n.target is not operator.getitem)
            if all(operator_name(node.target) in native for node in calls if node.all_input_nodes):
                return program
            table = torch.export.default_decompositions()
            for target in list(table):
                if operator_name(target) in native:
                    table.pop(target)
            return program.run_decompositions(table)
    except Exception as error:  # torch itself, e.g. on operators of other packages
        raise ChipfitError("O002", f"the program cannot be decomposed: {_said(error)}", _TRACEABLE) from error


def operator_name(target: Any) -> str:
    """``conv2d`` of ``aten.conv2d.default``; for what is no operator of ATen its name."""
    schema = getattr(target, "_schema", None)
    return str(target) if schema is None else str(schema.name).removeprefix("aten::")


def _placeholders(program: Any) -> list[Any]:
    return [node for node in program.graph.nodes if node.op == "placeholder"]
