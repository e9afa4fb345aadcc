"""Decoded pixels in a folder of the user's cache, so that the second run reads none of the pictures again.

An entry is a folder, named by a digest of all that its pixels depend on: each file's path, size and time of change, the
shape, the way of resizing, and the versions of Pillow and of this module. It holds ``pixels.npy``, (n, height, width,
channels) in uint8, which is mapped into memory and not read, and ``index.json``. It appears whole or not at all. An
entry that is damaged is made again; where all entries are too much, those that were not used for longest go.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from chipfit.graph import Array
from chipfit.quantize import Preprocessing
from chipfit.training.folders import Listed

CACHE_VERSION = 1
"""Goes up whenever the same files give other pixels or another index."""
MOST_CACHED = 4 << 30
"""Bytes of all entries."""
_STALE = 24 * 3600
"""Seconds after which what an interrupted run left is swept away."""
_PIXELS, _INDEX, _STAGED = "pixels.npy", "index.json", ".new-"

Decoded = tuple[Array, str]
"""Pixels of a picture, and a digest of its file's bytes."""


@dataclass(frozen=True, eq=False)
class Entry:
    """``pixels``: (n, height, width, channels), of the files that could be read. ``digests``: of each file that was
    asked for; empty: it is broken. ``broken``: why, by the file's place."""

    pixels: Array
    digests: tuple[str, ...]
    broken: dict[int, str] = field(default_factory=dict[int, str])


@dataclass(frozen=True)
class Cache:
    """The place of one entry. ``root``: the folder of all entries; ``key``: the entry's name."""

    root: Path
    key: str
    shape: tuple[int, int, int]
    count: int

    @staticmethod
    def of(
        where: str | Path | bool, files: Sequence[Listed], shape: tuple[int, int, int], how: Preprocessing
    ) -> Cache | None:
        """The entry for these files. ``where``: a folder; True: the user's; False: None is returned."""
        if where is False:
            return None
        root = default_folder() if where is True else Path(where)
        facts = [CACHE_VERSION, version("pillow"), *shape, how.resize, how.side]
        digest = blake2b(json.dumps(facts).encode(), digest_size=16)
        for listed in files:
            try:
                stat = listed.path.stat()
            except OSError:
                continue  # it is named as broken where it is read
            digest.update(os.fsencode(listed.path.absolute()) + f"\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
        return Cache(root, digest.hexdigest(), shape, len(files))

    def load(self) -> Entry | None:
        """The entry; None if there is none, or if it is damaged."""
        folder = self.root / self.key
        try:
            index: dict[str, Any] = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
            pixels: Array = np.load(folder / _PIXELS, mmap_mode="r", allow_pickle=False)
            digests = tuple(str(d) for d in index["digests"])
            broken = {int(i): str(reason) for i, reason in index["broken"].items()}
            is_whole = (
                pixels.dtype == np.uint8
                and pixels.shape == (self.count - len(broken), *self.shape)
                and len(digests) == self.count
                and all(bool(d) != (i in broken) for i, d in enumerate(digests))
                and zlib.crc32(pixels.reshape(-1).data) == index["crc32"]
            )
            if not is_whole:
                return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        with suppress(OSError):  # the folder may be read-only
            os.utime(folder)  # it is in use: others are pruned first
        return Entry(pixels.view(np.ndarray), digests, broken)

    def store(self, parts: Iterable[Sequence[Decoded | str]]) -> Entry:
        """Write the entry: pixels and digests of the files in their order, or why there are none.

        Raises OSError if the folder cannot be written; nothing is left then.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=_STAGED, dir=self.root))
        try:
            self._write(staged, parts)
            self.put_in_place(staged)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        entry = self.load()
        if entry is None:
            raise OSError("what was written cannot be read again")
        self._prune()
        return entry

    def _write(self, staged: Path, parts: Iterable[Sequence[Decoded | str]]) -> None:
        digests: list[str] = []
        broken: dict[int, str] = {}
        crc, count = 0, 0
        # written in order and not through a map of the file: a full disk is an error then, and not a signal
        with (staged / _PIXELS).open("wb") as file:
            _write_header(file, (self.count, *self.shape))
            start = file.tell()
            for part in parts:
                for row in part:
                    if isinstance(row, str):
                        broken[len(digests)] = row
                        digests.append("")
                        continue
                    data = np.ascontiguousarray(row[0]).data
                    file.write(data)
                    crc = zlib.crc32(data, crc)
                    digests.append(row[1])
                    count += 1
            if broken:  # fewer than the header says
                file.seek(0)
                _write_header(file, (count, *self.shape))
                assert file.tell() == start, "numpy pads its header, so that a smaller count takes the same place"
        index = {"digests": digests, "broken": broken, "crc32": crc}
        (staged / _INDEX).write_text(json.dumps(index), encoding="utf-8")

    def put_in_place(self, staged: Path) -> None:
        """Make what was staged the entry, in one step."""
        folder = self.root / self.key
        if folder.exists() and self.load() is None:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            staged.replace(folder)
        except OSError:
            if not folder.exists():  # else another process has just written the same
                raise

    def _prune(self) -> None:
        """Takes away what was not used for longest, and what interrupted runs have left; not this entry."""
        now = time.time()
        entries: list[tuple[float, int, Path]] = []
        for folder in self.root.iterdir():
            try:
                used = folder.stat().st_mtime
                if folder.name.startswith(_STAGED):
                    if now - used > _STALE:
                        shutil.rmtree(folder, ignore_errors=True)
                elif (folder / _INDEX).is_file():
                    entries.append((used, sum(p.stat().st_size for p in folder.iterdir()), folder))
            except OSError:
                continue  # another process has taken it away
        total = sum(size for _, size, _ in entries)
        for _, size, folder in sorted(entries):
            if total > MOST_CACHED and folder.name != self.key:
                shutil.rmtree(folder, ignore_errors=True)
                total -= size


def default_folder() -> Path:
    """Where decoded pictures are kept unless the user says otherwise."""
    return platformdirs.user_cache_path("chipfit", appauthor=False) / "pictures"


def _write_header(file: Any, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
