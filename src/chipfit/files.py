"""Files that appear whole or not at all, even if the process is killed while it writes them."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from chipfit.errors import ChipfitError

PART = ".part-"
"""How names of files begin that are being written; the ending is the file's own, which some writers go by."""


@contextmanager
def staged_file(path: Path) -> Generator[Path]:
    """A name to write to, which becomes ``path`` if all goes well. Raises ChipfitError P003 if it cannot be written."""
    part = path.with_name(f"{PART}{path.name}")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise ChipfitError("P003", f"cannot write '{path}': {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def write_whole(files: Mapping[Path, bytes]) -> None:
    """Write all files or none: under other names first, which become the right ones when all are written.

    Raises ChipfitError P003 if they cannot be written.
    """
    parts = {path: path.with_name(f"{PART}{path.name}") for path in files}
    try:
        for path, part in parts.items():
            if path.is_dir():
                raise IsADirectoryError(f"'{path}' is a folder")
            part.write_bytes(files[path])
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        raise ChipfitError("P003", f"cannot write '{next(iter(files))}': {error}") from None
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
