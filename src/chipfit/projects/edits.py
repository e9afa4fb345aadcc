"""Writing a project where one is already: what a person has changed or added is not lost."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chipfit.codegen.project import MANIFEST, staged_folder, write_files
from chipfit.errors import ChipfitError

_SUMS = "files"
"""The key under which a project's ``chipfit.json`` keeps the SHA-256 of each file, by path."""
_LISTED = 3


def write_project_folder(
    folder: Path, files: Mapping[str, str | bytes], manifest: Mapping[str, Any], *, force: bool
) -> None:
    """Write a project, whole or not at all. Of an older one in the same folder the files that chipfit did not write
    stay; those that it wrote go.

    Raises ChipfitError P001 if the folder is not chipfit's, P004 if files were changed that chipfit wrote. With
    ``force`` both are overwritten.
    """
    sums = {name: _sum(text.encode() if isinstance(text, str) else text) for name, text in files.items()}
    before = _sums(folder)
    edited = [name for name, was in before.items() if _is_edited(folder / name, was)]
    if edited and not force:
        more = f" and {len(edited) - _LISTED} more" if len(edited) > _LISTED else ""
        raise ChipfitError(
            "P004",
            f"{folder} holds a project that was edited: {', '.join(edited[:_LISTED])}{more}",
            "choose another folder with -o, or pass --force to overwrite these files",
        )
    with staged_folder(folder, force=force) as staging:
        if before:
            shutil.copytree(folder, staging, dirs_exist_ok=True, symlinks=True)
            for name in before:
                (staging / name).unlink(missing_ok=True)
        write_files(staging, files, {**manifest, _SUMS: sums})


def _sums(folder: Path) -> dict[str, str]:
    """Of the files that chipfit wrote there; empty if it wrote no project."""
    try:
        sums = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))[_SUMS]
        return {str(name): str(value) for name, value in sums.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def _is_edited(path: Path, was: str) -> bool:
    try:
        return _sum(path.read_bytes()) != was
    except FileNotFoundError:
        return False  # what is gone cannot be lost


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
