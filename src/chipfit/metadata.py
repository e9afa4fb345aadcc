"""What a ``.tflite`` file of chipfit says besides the network: how it was made, how pictures become inputs, classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.importers import tflite_metadata
from chipfit.model import Model
from chipfit.quantize import Preprocessing

METADATA = "chipfit.quantize"
"""The name under which a file keeps it, as JSON."""


@dataclass(frozen=True)
class Facts:
    """``recipe``: how the model was quantized; ``preprocessing``: how pictures become its input; None: not said.
    ``labels``: names of its classes, in the order of the output's elements; none: not said.
    """

    recipe: str | None = None
    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] = ()

    def attached(self) -> dict[str, bytes]:
        """As :func:`chipfit.exporters.to_tflite` takes it."""
        return {METADATA: json.dumps(asdict(self)).encode()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Facts:
        """Raises ValueError, TypeError or LookupError for what is none."""
        pictures, labels = data["preprocessing"], data.get("labels", ())
        if not all(isinstance(label, str) for label in labels):
            raise TypeError("a label is no text")
        return Facts(
            recipe=data["recipe"],
            preprocessing=None if pictures is None else Preprocessing.from_json(pictures),
            labels=tuple(labels),
        )


def facts_of(model: Model) -> Facts:
    """What the file of a model says. Raises ChipfitError F003 where that is damaged."""
    kept = None if model.source is None else tflite_metadata(model.source, METADATA)
    try:
        return Facts() if kept is None else Facts.from_json(json.loads(kept))
    except (ValueError, TypeError, LookupError, ChipfitError):
        raise ChipfitError("F003", f"'{model.name}' keeps a damaged description of its inputs") from None
