"""Operators of ai.onnx.ml, which exporters of classic models write: linear models and scalers are dense layers."""

from __future__ import annotations

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Value
from chipfit.importers.onnx.node import Function, NodeImporter


def _matrix(o: NodeImporter) -> Value:
    """The features as float32, one row for each sample."""
    x = o.cast(o.x, DType.FLOAT32)
    return o.reshape(x, (1, *x.shape)) if len(x.shape) == 1 else x


def _linear(o: NodeImporter, rows: int) -> Value:
    x = _matrix(o)
    coefficients = np.asarray(o.attribute("coefficients", []), np.float32)
    if rows < 1 or not coefficients.size or coefficients.size != rows * x.shape[-1]:
        raise ChipfitError("O002", f"{coefficients.size} coefficients do not fit '{x.name}' ({x.type})")
    intercepts = np.asarray(o.attribute("intercepts", []), np.float32)
    if intercepts.size not in (0, rows):
        raise ChipfitError("O002", f"{intercepts.size} intercepts do not fit {rows} rows of coefficients")
    bias = o.constant("intercepts", intercepts) if intercepts.size else None
    return o.emit("fully_connected", [x, o.constant("coefficients", coefficients.reshape(rows, -1)), bias])


def _transformed(o: NodeImporter, scores: Value) -> Value:
    kind = o.attribute("post_transform", "NONE")
    if kind == "NONE":
        return scores
    if kind not in ("SOFTMAX", "LOGISTIC"):
        raise o.refuse("post_transform", "use NONE, SOFTMAX or LOGISTIC")
    return o.emit("softmax" if kind == "SOFTMAX" else "logistic", [scores])


def linear_regressor(o: NodeImporter) -> Value:
    return _transformed(o, _linear(o, int(o.attribute("targets", 1))))


def linear_classifier(o: NodeImporter) -> list[Value]:
    """Labels and scores of each class. Labels are numbers; text has no place on a chip."""
    labels = o.attribute("classlabels_ints")
    if not labels:
        raise ChipfitError("O002", "its labels are text", "train it on classes that are numbered")
    classes = np.asarray(labels, np.int64)
    rows = classes.size
    if rows == 2 and len(o.attribute("intercepts", [])) == 1:
        raise ChipfitError("O002", "it has one score for two classes", "export it with a row for each class")
    scores = _linear(o, rows)
    place = o.emit("arg_max", [scores], DType.INT32, axis=len(scores.shape) - 1)
    if not np.array_equal(classes, np.arange(rows)):
        place = o.emit("gather", [o.constant("classes", classes), place], axis=0)
    return [place, _transformed(o, scores)]


def scaler(o: NodeImporter) -> Value:
    """(x - offset) * scale."""
    x = _matrix(o)
    offset, scale = (np.asarray(o.attribute(name, [default]), np.float64) for name, default in _SCALER)
    if any(a.size not in (1, x.shape[-1]) for a in (offset, scale)):
        raise ChipfitError("O002", f"its numbers do not fit '{x.name}' ({x.type})")
    y = o.emit("sub", [x, o.constant("offset", offset)]) if np.any(offset) else x
    return o.emit("mul", [y, o.constant("scale", scale)]) if np.any(scale != 1) else y


_SCALER = (("offset", 0.0), ("scale", 1.0))


def normalizer(o: NodeImporter) -> Value:
    """x divided by its greatest magnitude, the sum of its magnitudes, or its length."""
    x, norm = _matrix(o), o.attribute("norm", "MAX")
    axes = (len(x.shape) - 1,)
    if norm == "MAX":
        total = o.emit("reduce_max", [o.emit("abs", [x])], axes=axes, keep_dims=True)
    elif norm == "L1":
        total = o.emit("sum", [o.emit("abs", [x])], axes=axes, keep_dims=True)
    elif norm == "L2":
        total = o.emit("sqrt", [o.emit("sum", [o.emit("square", [x])], axes=axes, keep_dims=True)])
    else:
        raise o.refuse("norm", "use MAX, L1 or L2")
    return o.emit("div", [x, total])


def zip_map(o: NodeImporter) -> Value | Array:
    """A dictionary of scores by class is the tensor of scores."""
    found = o.operands[0]
    return o.x if found is None else found


CLASSIC: dict[str, Function] = {
    "LinearRegressor": linear_regressor,
    "LinearClassifier": linear_classifier,
    "Scaler": scaler,
    "Normalizer": normalizer,
    "ZipMap": zip_map,
}
