"""Graph -> ``.tflite``."""

from __future__ import annotations

from collections.abc import Mapping

from chipfit.exporters.tflite.emit import emit_node, require_form
from chipfit.exporters.tflite.loops import has_loop_form
from chipfit.exporters.tflite.writer import ModelWriter
from chipfit.graph import Graph
from chipfit.recurrent import unroll

__all__ = ["to_tflite"]

SIGNATURE = "serving_default"
"""The key under which callers find a model's only signature, unless its maker chose another one."""


def to_tflite(
    graph: Graph,
    metadata: Mapping[str, bytes] | None = None,
    signature: str | None = None,
    *,
    loops: bool = False,
) -> bytes:
    """The graph as a TensorFlow Lite flatbuffer that TFLite Micro and LiteRT load.

    Tensor names, types and quantization are kept; the signature gives inputs and outputs these names. Operators state
    the least version that has what they need. Explicit padding becomes SAME or VALID where it is one of them, else a
    PAD operator of its own. Variables become VAR_HANDLE, READ_VARIABLE and ASSIGN_VARIABLE, set by a CALL_ONCE
    subgraph; those of recurrent layers are variable tensors. SCANs are unrolled, or, with ``loops``, become WHILE.

    ``metadata``: bytes by name that the file keeps besides; ``signature``: its key, None: the usual one. Raises
    ChipfitError O002 where TensorFlow Lite has no form for an operator.
    """
    if not (loops and has_loop_form(graph)):
        graph = unroll(graph)
    for node in graph.nodes:
        require_form(node)
    writer = ModelWriter(graph)
    writer.declare_variables()
    for node in graph.nodes:
        emit_node(writer, node)
    writer.add_signature(signature or SIGNATURE)
    for name, data in (metadata or {}).items():
        writer.add_metadata(name, data)
    return writer.finish()
