"""What a kmodel cannot say of itself, in a JSON file beside it: ``NAME.json`` for ``NAME.kmodel``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.quantize import Preprocessing

SCHEMA = "chipfit.kmodel_facts"
VERSION = 1


@dataclass(frozen=True)
class TensorFacts:
    """An input or output. ``shape``: (n, c, h, w), as it lies in memory; ``scale``: the step, so that a stored integer
    q stands for (q - zero_point) * scale; None for floats."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class Sidecar:
    """``kmodel``: version of the file; ``main_bytes``: working memory of a run; ``preprocessing``: how the model was
    trained to see pictures, which the compiler may have folded into it; ``labels``: of the classes, if there are."""

    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    kmodel: int
    main_bytes: int
    labels: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "version": VERSION, **asdict(self)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Sidecar:
        """Raises ValueError, TypeError or LookupError for what is none."""
        if data["schema"] != SCHEMA or data["version"] != VERSION:
            raise ValueError(f"schema {data['schema']} version {data['version']}")
        labels, pictures = tuple(data.get("labels", ())), data.get("preprocessing")
        if not all(isinstance(label, str) for label in labels):
            raise TypeError("a label is no text")
        return Sidecar(
            inputs=tuple(map(_tensor, data["inputs"])),
            outputs=tuple(map(_tensor, data["outputs"])),
            kmodel=int(data["kmodel"]),
            main_bytes=int(data["main_bytes"]),
            labels=labels,
            preprocessing=None if pictures is None else Preprocessing.from_json(pictures),
        )


def _tensor(data: Mapping[str, Any]) -> TensorFacts:
    shape = tuple(int(extent) for extent in data["shape"])
    scale, zero_point = data.get("scale"), data.get("zero_point")
    return TensorFacts(
        str(data["name"]),
        shape,
        str(data["dtype"]),
        None if scale is None else float(scale),
        None if zero_point is None else int(zero_point),
    )


def sidecar_path(kmodel: Path) -> Path:
    """Where the facts of a kmodel lie."""
    return kmodel.with_suffix(".json")


def read_sidecar(kmodel: Path) -> Sidecar | None:
    """The facts beside a kmodel; None: there are none. Raises ChipfitError F003 for a file that is damaged."""
    path = sidecar_path(kmodel)
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:  # a file of another kind and the same name
            return None
        return Sidecar.from_json(data)
    except (OSError, ValueError, TypeError, LookupError, RecursionError, ChipfitError) as error:
        raise ChipfitError("F003", f"'{path}' is damaged: {error}", "convert the model again") from None


def sidecar_text(sidecar: Sidecar) -> str:
    """The text of the file."""
    return json.dumps(sidecar.to_json(), indent=2) + "\n"
