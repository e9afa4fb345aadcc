"""Projects in which TensorFlow Lite Micro runs the model's file: what it must be told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from chipfit.errors import ChipfitError
from chipfit.graph import Array

TFLM_COMMIT = "90b983c2b3f1480642e040bbd2ddb37b998f3424"
"""The commit of tensorflow/tflite-micro that projects are written for: it has no releases."""

_TABLE = Path(__file__).parent / "tflm" / "operators.txt"


@dataclass(frozen=True, eq=False)
class InterpreterUse:
    """``file``: the model's, uint8. ``methods``: of the resolver, one for each operator; ``variables``: how many
    outlive a run. ``arena``: bytes, obtained by ``arena_how``. ``commit``: of TensorFlow Lite Micro."""

    file: Array
    methods: tuple[str, ...]
    variables: int
    arena: int
    arena_how: str
    commit: str = TFLM_COMMIT

    @property
    def rows(self) -> list[str]:
        """The file as lines of numbers in C."""
        data = self.file.tobytes()
        return [", ".join(map(str, data[i : i + 32])) for i in range(0, len(data), 32)]


def resolver_methods(operators: Iterable[str]) -> tuple[str, ...]:
    """How the resolver of TensorFlow Lite Micro is told of these operators, named as in the file.

    Raises ChipfitError O002 for those that it does not have.
    """
    known = _methods()
    names = list(operators)
    if missing := [name for name in names if name not in known]:
        raise ChipfitError(
            "O002",
            f"TensorFlow Lite Micro has no {', '.join(missing)}",
            "chipfit's own C may have it: -f cmake",
        )
    return tuple(known[name] for name in names)


@cache
def _methods() -> dict[str, str]:
    lines = _TABLE.read_text(encoding="utf-8").splitlines()
    return dict(line.split() for line in lines if not line.startswith("#"))
