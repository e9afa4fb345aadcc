"""What was made before, and of what: made again only if something of that has changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from chipfit.training.run_folder import RunFolder

DONE = "done.json"
"""By the name of the file that was made: the command and a digest of what it read."""


class Kept:
    """``file``: what ``command`` makes of ``sources``, in ``folder``."""

    def __init__(self, folder: Path, command: Sequence[str], sources: Sequence[Path], file: Path) -> None:
        self._folder, self._file = folder, file
        self._entry = {"command": list(command), "digest": _digest(sources), "made": ""}

    @property
    def is_current(self) -> bool:
        return self._file.is_file() and self._read().get(self._file.name) == self._now()

    def note(self) -> None:
        """It has been made."""
        RunFolder(self._folder).write_json(DONE, {**self._read(), self._file.name: self._now()})

    def _now(self) -> dict[str, Any]:
        return {**self._entry, "made": _digest([self._file])}

    def _read(self) -> dict[str, Any]:
        try:
            data: Any = json.loads((self._folder / DONE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}


def _digest(paths: Sequence[Path]) -> str:
    """Of the bytes of files; of a folder's files the names, sizes and times."""
    digest = blake2b(digest_size=16)
    for path in paths:
        if path.is_file():
            digest.update(path.read_bytes())
            continue
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            state = file.stat()
            digest.update(f"{file.relative_to(path)} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()
