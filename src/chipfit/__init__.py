"""chipfit fits a trained neural network to a small chip, and proves the result on a simulated one.

>>> model = chipfit.load("kws.tflite")
>>> firmware = model.compile("arduino-nano-33-ble", "out")
>>> firmware.run(model.samples(4)).instructions
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chipfit.bundle import compile_models
    from chipfit.comparison import CompareReport, compare_models
    from chipfit.errors import ChipfitError
    from chipfit.evaluation import EvaluationReport, evaluate_models
    from chipfit.firmware import Firmware
    from chipfit.firmware_set import FirmwareSet
    from chipfit.graph import Graph
    from chipfit.interpreter import Interpreter
    from chipfit.model import Model, load
    from chipfit.project import ProjectReport, write_project
    from chipfit.quantization import quantize_model
    from chipfit.report.data import CompileReport, RunReport, VerifyReport
    from chipfit.streaming import stream
    from chipfit.targets import Board, Core, board_names, load_board
    from chipfit.verification import verify

try:
    __version__ = version("chipfit")
except PackageNotFoundError:  # a source tree that was not installed
    __version__ = "0.0.0"

# where each public name lives: loaded at first use, so that `chipfit --help` need not wait for numpy
_HOMES = {
    "Board": "chipfit.targets",
    "ChipfitError": "chipfit.errors",
    "CompareReport": "chipfit.comparison",
    "CompileReport": "chipfit.report.data",
    "Core": "chipfit.targets",
    "EvaluationReport": "chipfit.evaluation",
    "Firmware": "chipfit.firmware",
    "FirmwareSet": "chipfit.firmware_set",
    "Graph": "chipfit.graph",
    "Interpreter": "chipfit.interpreter",
    "Model": "chipfit.model",
    "ProjectReport": "chipfit.project",
    "RunReport": "chipfit.report.data",
    "VerifyReport": "chipfit.report.data",
    "board_names": "chipfit.targets",
    "compare_models": "chipfit.comparison",
    "compile_models": "chipfit.bundle",
    "evaluate_models": "chipfit.evaluation",
    "load": "chipfit.model",
    "load_board": "chipfit.targets",
    "quantize_model": "chipfit.quantization",
    "stream": "chipfit.streaming",
    "verify": "chipfit.verification",
    "write_project": "chipfit.project",
}

__all__ = [
    "Board",
    "ChipfitError",
    "CompareReport",
    "CompileReport",
    "Core",
    "EvaluationReport",
    "Firmware",
    "FirmwareSet",
    "Graph",
    "Interpreter",
    "Model",
    "ProjectReport",
    "RunReport",
    "VerifyReport",
    "__version__",
    "board_names",
    "compare_models",
    "compile_models",
    "evaluate_models",
    "load",
    "load_board",
    "quantize_model",
    "stream",
    "verify",
    "write_project",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'chipfit' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
