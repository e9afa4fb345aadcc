"""The table of operators: the ONNX name -> the function that makes our nodes of it; and advice for what has none."""

from __future__ import annotations

from chipfit.importers.onnx.activations import ACTIVATIONS
from chipfit.importers.onnx.arithmetic import ARITHMETIC
from chipfit.importers.onnx.classic import CLASSIC
from chipfit.importers.onnx.dense import DENSE
from chipfit.importers.onnx.node import Function
from chipfit.importers.onnx.quantized import QUANTIZED
from chipfit.importers.onnx.recurrent import RECURRENT
from chipfit.importers.onnx.reductions import REDUCTIONS
from chipfit.importers.onnx.resize import RESIZE
from chipfit.importers.onnx.shapes import SHAPES
from chipfit.importers.onnx.windows import WINDOWS

OPERATORS: dict[str, Function] = {
    **ACTIVATIONS,
    **ARITHMETIC,
    **CLASSIC,
    **DENSE,
    **QUANTIZED,
    **RECURRENT,
    **REDUCTIONS,
    **RESIZE,
    **SHAPES,
    **WINDOWS,
}

STORED = frozenset((*QUANTIZED, "Shape", "Size"))
"""Operators that take quantized integers as such, or do not look at them."""

_DYNAMIC = "quantize it statically: onnxruntime.quantization.quantize_static, with samples"
_FLOW = "let it depend on shapes alone, or move the decision into the application"
_TREES = "trees are no neural network: a library such as emlearn compiles them"
_SORTED = "move what comes after the network (sorting, suppression) into the application"

#: operator -> the nearest thing the user can do
ADVICE: dict[str, str] = {
    **dict.fromkeys(("DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul"), _DYNAMIC),
    **dict.fromkeys(("If", "Loop", "Scan"), _FLOW),
    **dict.fromkeys(("TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble"), _TREES),
    **dict.fromkeys(("NonMaxSuppression", "Unique", "NonZero"), _SORTED),
    **dict.fromkeys(("SVMClassifier", "SVMRegressor"), "use a linear model or a small network"),
    **dict.fromkeys(("LpPool", "GlobalLpPool", "MaxRoiPool", "RoiAlign"), "use AveragePool or MaxPool"),
    "Erf": "use GELU as a whole (x * 0.5 * (1 + erf(x / sqrt(2)))), or Gelu of opset 20",
    "LRN": "use BatchNormalization, which becomes part of the layer before it",
    "Einsum": "write it as MatMul and Transpose",
    "Hardmax": "use ArgMax",
    "Attention": "export the model with attention written out: MatMul and Softmax",
}
DEFAULT_ADVICE = "replace it by operators of docs/importing.md, or move it out of the model into the application"
