"""Recurrent layers as TensorFlow Lite operators."""

from __future__ import annotations

from chipfit.exporters.tflite.window import activation
from chipfit.exporters.tflite.writer import ABSENT, ModelWriter, schema
from chipfit.graph import DType, Node, TensorType

_GATES = "ifgo"
# gates by the names of the file's intermediate tensors
_INTERMEDIATES = ("input", "forget", "cell", "output")


def emit_lstm(writer: ModelWriter, node: Node) -> None:
    main, a = writer.main, node.op.attributes()
    w, r, b = ([main.tensor(node[kind + gate]) for gate in _GATES] for kind in "wrb")
    states = [writer.state(node[port]) for port in "hc"]
    fields = {
        "fusedActivationFunction": schema.ActivationFunctionType.TANH,
        "cellClip": a["cell_clip"],
        "projClip": 0.0,
        "timeMajor": a["time_major"],
    }
    main.emit(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        [main.tensor(node["x"]), *w, *r, *[ABSENT] * 3, *b, *[ABSENT] * 2, *states, *[ABSENT] * 4],
        [main.tensor(node["y"])],
        "UnidirectionalSequenceLSTMOptions",
        fields,
        intermediates=_intermediates(writer, node),
    )


def _intermediates(writer: ModelWriter, node: Node) -> list[int]:
    """Tensors without elements that integer layers are asked to have: the last one's scale is that of h."""
    if node["x"].dtype.is_float:
        return []
    main, name = writer.main, node.name
    gates = [main.activation(f"{name}/{gate}", TensorType((0,), DType.FLOAT32)) for gate in _INTERMEDIATES]
    return [*gates, main.activation(f"{name}/hidden", TensorType((0,), node["h"].dtype, node["h"].type.quant))]


def emit_svdf(writer: ModelWriter, node: Node) -> None:
    main = writer.main
    constants = [main.tensor(node[port]) for port in ("feature", "w", "b")]
    main.emit(
        "SVDF",
        [main.tensor(node["x"]), *constants, writer.state(node["state"])],
        [main.tensor(node["y"])],
        "SVDFOptions",
        {"rank": node.op.attributes()["rank"], "fusedActivationFunction": activation(node)},
    )
