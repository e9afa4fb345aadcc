"""The operators: one file each. Importing this package registers all of them."""

import importlib
import pkgutil

from chipfit.ops._base import (
    NARROW,
    REGISTRY,
    Accumulator,
    Arg,
    Call,
    Choice,
    Const,
    Function,
    Kernel,
    Op,
    Port,
    RowSums,
    Scratch,
    State,
    dequantize,
    graph_of,
    make_node,
    op_of,
    random_input,
    stateful_graph_of,
)
from chipfit.ops._coded import Coded
from chipfit.ops._traversal import Rows, Traversal

for _module in pkgutil.iter_modules(__path__):
    if not _module.name.startswith("_"):
        importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "NARROW",
    "REGISTRY",
    "Accumulator",
    "Arg",
    "Call",
    "Choice",
    "Coded",
    "Const",
    "Function",
    "Kernel",
    "Op",
    "Port",
    "RowSums",
    "Rows",
    "Scratch",
    "State",
    "Traversal",
    "dequantize",
    "graph_of",
    "make_node",
    "op_of",
    "random_input",
    "stateful_graph_of",
]
