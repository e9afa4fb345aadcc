"""The folder of a run: what it holds, each file whole or not there, and where a run that was stopped goes on."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.files import PART, staged_file
from chipfit.graph import Array

RUN, BEST, LAST, SPLIT = "run.json", "best.keras", "last.npz", "split.json"
QAT_LAST, QAT_BEST = "qat_last.npz", "qat_best.npz"
CURVES, SHEET = "curves.png", "samples.png"
SCHEMA, COMPRESSED = "chipfit.train", "chipfit.compress"
"""Of ``run.json``: a network that was trained, or one that was made smaller. Both say where their pictures are."""

_STATE = "state"


def integer_name(model: str) -> str:
    """Of the integer model that a run has by itself, beside its float ``model``; its file is this and ``.tflite``."""
    return f"{model}_int8"


@dataclass(frozen=True)
class RunFolder:
    """Files by these names. What is written appears whole or not at all, even if the process is killed."""

    path: Path

    def require_free(self) -> None:
        """Raise ChipfitError P001 if the folder holds anything but what a run writes before it can be gone on with."""
        if (self.path / RUN).is_file():
            hint = f"go on with it: --resume -o {self.path}; or name another folder: -o"
            raise ChipfitError("P001", f"'{self.path}' holds a run already", hint)
        if self.path.exists() and (not self.path.is_dir() or any(not _is_early(p) for p in self.path.iterdir())):
            raise ChipfitError("P001", f"'{self.path}' exists and is no run of chipfit", "name another folder: -o")

    def create(self) -> None:
        """Raises ChipfitError P003 if it cannot be made."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ChipfitError("P003", f"cannot make '{self.path}': {error.strerror or error}") from None

    @contextmanager
    def staged(self, name: str) -> Generator[Path]:
        """A name with the same ending to write to, which then becomes the right one."""
        with staged_file(self.path / name) as part:
            yield part

    def write(self, name: str, content: bytes) -> None:
        """Raises ChipfitError P003."""
        with self.staged(name) as part:
            part.write_bytes(content)

    def write_json(self, name: str, data: Mapping[str, Any]) -> None:
        self.write(name, (json.dumps(data, indent=2) + "\n").encode())

    def read_run(self) -> dict[str, Any]:
        """What ``run.json`` says. Raises ChipfitError N003 for a folder that is no run, or one that cannot be read."""
        file = self.path / RUN
        try:
            data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            if data["schema"] not in (SCHEMA, COMPRESSED) or data["version"] != 1:
                raise ChipfitError("N003", f"'{file}' is of another version of chipfit", "start anew: another -o")
        except FileNotFoundError:
            hint = "without --resume a run begins; -o names its folder"
            raise ChipfitError("N003", f"'{self.path}' holds no run", hint) from None
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ChipfitError("N003", f"'{file}' cannot be read: {error}", "start anew: another -o") from None
        return data

    def write_arrays(self, name: str, arrays: Mapping[str, Array]) -> None:
        """Arrays by any names, whole or not at all."""
        self.write_last(list(arrays.values()), {"names": list(arrays)}, name)

    def read_arrays(self, name: str) -> dict[str, Array]:
        """What :meth:`write_arrays` wrote. Raises ChipfitError N003 where that is not there or damaged."""
        last = self.read_last(name)
        if last is None:
            raise ChipfitError("N003", f"'{self.path}' holds no {name}", "start anew: another -o")
        return dict(zip(last[1]["names"], last[0], strict=True))

    def write_last(self, arrays: Sequence[Array], state: Mapping[str, Any], name: str = LAST) -> None:
        """Where a run goes on: all variables in their order, and what else it must know."""
        data = io.BytesIO()
        named = {str(i): array for i, array in enumerate(arrays)}
        np.savez(data, allow_pickle=False, **{_STATE: np.array(json.dumps(state)), **named})
        self.write(name, data.getvalue())

    def read_last(self, name: str = LAST) -> tuple[list[Array], dict[str, Any]] | None:
        """What :meth:`write_last` wrote; None before the end of the first epoch. Raises ChipfitError N003."""
        file = self.path / name
        try:
            with np.load(file, allow_pickle=False) as data:
                return [data[str(i)] for i in range(len(data.files) - 1)], json.loads(str(data[_STATE]))
        except FileNotFoundError:
            return None
        except (OSError, EOFError, ValueError, LookupError, zipfile.BadZipFile) as error:
            raise ChipfitError("N003", f"'{file}' cannot be read: {error}", "start anew: another -o") from None


def _is_early(path: Path) -> bool:
    """Whether a file comes before :data:`RUN`: a run that was killed there leaves nothing to go on with."""
    return path.name in (SHEET, SPLIT) or path.name.startswith(PART)
