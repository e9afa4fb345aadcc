"""Names that a person can read, of the names that exporters give to tensors."""

from __future__ import annotations

import re

_OUTPUT = re.compile(r"(:\d+|_output_\d+)$")
_WRAPPERS = re.compile(r"^(StatefulPartitionedCall|PartitionedCall)(_\d+)?/")
_NUMBER = re.compile(r"^[\d%_.]*$")


def tensor_name(name: str, node_name: str = "", op: str = "") -> str:
    """``/conv/Conv_output_0`` is ``conv/Conv``; a bare number is the name of the node or its operator."""
    found = _WRAPPERS.sub("", _OUTPUT.sub("", name.strip())).strip("/")
    if _NUMBER.match(found):
        other = node_name.strip("/ ")
        return other if other and not _NUMBER.match(other) else f"{(op or 'tensor').lower()}_{found}".rstrip("_")
    return found


def port_name(name: str) -> str:
    """An input or output of the model keeps its name, without TensorFlow's ``:0``."""
    return re.sub(r":\d+$", "", name) or "tensor"
