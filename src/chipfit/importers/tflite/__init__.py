"""``.tflite`` -> Graph."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from chipfit.errors import ChipfitError
from chipfit.graph import Graph
from chipfit.importers._problems import raise_problems
from chipfit.importers.tflite.model import TFLITE_IDENTIFIER, ModelFile, SubgraphRecord
from chipfit.importers.tflite.subgraph import SubgraphImporter
from chipfit.importers.tflite.variables import Variables

__all__ = ["TFLITE_IDENTIFIER", "Attached", "load_tflite", "tflite_attached", "tflite_metadata", "tflite_operators"]


def load_tflite(data: bytes, name: str) -> Graph:
    """The main subgraph of a TensorFlow Lite model, verified.

    Inputs and outputs are named as the file's signature names them, unless it only counts them (``output_0``) and the
    tensor has a plain name; other tensors keep their names (made unique where they are not). Parameters that TensorFlow
    Lite holds in constant tensors become attributes; SAME and VALID become explicit padding; a CALL_ONCE subgraph gives
    the variables' first elements.

    Raises ChipfitError F003..F005 for damaged files; O001 or O002 with *all* operators that cannot be compiled; G001 or
    G003 where the operators don't fit together.
    """
    try:
        return _load(data, name)
    except ChipfitError as error:
        if error.hint:
            raise
        hint = "the model contradicts itself: the file is damaged, or the program that wrote it has a bug"
        raise ChipfitError(error.code, error.message, hint) from None


def tflite_metadata(data: bytes, name: str) -> bytes | None:
    """What a model file keeps under a name besides the network; None: nothing. Raises ChipfitError F003..F005."""
    return ModelFile(data).metadata.get(name)


def tflite_operators(data: bytes) -> tuple[str, ...]:
    """The operators of a model file, as the schema names them, custom ones by their own name; each once, sorted."""
    return ModelFile(data).operator_names


@dataclass(frozen=True)
class Attached:
    """What a model file says besides the network. ``signature``: the key of its signature; None: it has none."""

    signature: str | None
    metadata: Mapping[str, bytes]


def tflite_attached(data: bytes) -> Attached:
    """What a program that changes the network should write back. Raises ChipfitError F003..F005."""
    file = ModelFile(data)
    return Attached(file.signature.key if file.signature else None, file.metadata)


def _load(data: bytes, name: str) -> Graph:
    file = ModelFile(data)
    variables = Variables(file)
    record = file.subgraph(0)
    ports = _port_names(record, file.signature.names) if file.signature else {}
    importer = SubgraphImporter(record, name, variables, ports)
    graph = importer.run()
    graph.variables = variables.finish()
    raise_problems(importer.problems)
    graph.verify()
    return graph


_COUNTED = re.compile(r"(args|inputs?|outputs?)_\d+")


def _port_names(record: SubgraphRecord, names: Mapping[int, str]) -> dict[int, str]:
    """By index, the names of a signature that are better than those of the tensors."""
    ends = [i for i in (*record.inputs, *record.outputs) if i in names]
    return {i: names[i] for i in ends if not _says_less(names[i], record.tensors[i].name)}


def _says_less(port: str, tensor: str) -> bool:
    """Whether a signature's name is a number that a converter gave, and the tensor's a word that its maker chose."""
    return _COUNTED.fullmatch(port) is not None and tensor.isidentifier()
