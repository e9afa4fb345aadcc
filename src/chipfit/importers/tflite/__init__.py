"""``.tflite`` -> Graph."""

from __future__ import annotations

from chipfit.errors import ChipfitError
from chipfit.graph import Graph
from chipfit.importers.tflite.model import TFLITE_IDENTIFIER, ModelFile
from chipfit.importers.tflite.problems import raise_problems
from chipfit.importers.tflite.subgraph import SubgraphImporter
from chipfit.importers.tflite.variables import Variables

__all__ = ["TFLITE_IDENTIFIER", "load_tflite", "tflite_metadata"]


def load_tflite(data: bytes, name: str) -> Graph:
    """The main subgraph of a TensorFlow Lite model, verified.

    Tensor names are kept (made unique where they are not); parameters that TensorFlow Lite holds in constant tensors
    become attributes; SAME and VALID become explicit padding; a CALL_ONCE subgraph gives the variables' first elements.

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
    return ModelFile(data).metadata(name)


def _load(data: bytes, name: str) -> Graph:
    file = ModelFile(data)
    variables = Variables(file)
    importer = SubgraphImporter(file.subgraph(0), name, variables)
    graph = importer.run()
    graph.variables = variables.finish()
    raise_problems(importer.problems)
    graph.verify()
    return graph
