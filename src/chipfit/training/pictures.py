"""Pictures with classes, as a network learns from them: found, decoded in parallel, kept in a cache."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.quantize import Preprocessing, Progress, no_progress
from chipfit.quantize.pictures import PictureError, decoded, file_bytes, pillow
from chipfit.training.cache import Cache, Decoded, Entry
from chipfit.training.folders import Found, Listed, find_pictures

SMALLEST_SIDE, LARGEST_SIDE = 32, 224
_AT_ONCE = 256
"""Pictures that are decoded before they are written: so many are in memory."""
_MOST_THREADS = 8
"""Each may hold a large picture in its first size."""


@dataclass(frozen=True)
class Broken:
    """A file that is left out. ``file``: its path in the folder, with ``/``."""

    file: str
    reason: str


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Pictures of one size, with their classes.

    ``pixels``: (n, height, width, 1 or 3), uint8, read-only, in a file of the cache as a rule. ``labels``: (n,), int64,
    indices into ``classes``, which are sorted by name. ``files``: the pictures' paths in ``folder``, with ``/``.
    ``digests``: of the files' bytes: equal for copies. ``in_validation``: (n,), bool, by folder; None: no folder says.
    ``preprocessing``: how the pictures got their size; its scale is not applied here. ``broken``: files that are left
    out. ``ignored``: how many files are no pictures by their ending. ``unused``: folders that are left aside.
    ``cached``: ``read``, ``written``, ``off``, or why not.
    """

    folder: Path
    pixels: Array
    labels: Array
    classes: tuple[str, ...]
    files: tuple[str, ...]
    digests: tuple[str, ...]
    in_validation: Array | None
    preprocessing: Preprocessing
    broken: tuple[Broken, ...] = ()
    ignored: dict[str, int] = field(default_factory=dict[str, int])
    unused: tuple[str, ...] = ()
    cached: str = "off"

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a picture."""
        height, width, channels = self.pixels.shape[1:]
        return int(height), int(width), int(channels)

    def counts(self, indices: Array | None = None) -> tuple[int, ...]:
        """Pictures of each class, of all or of those at ``indices``."""
        labels = self.labels if indices is None else self.labels[indices]
        return tuple(int(n) for n in np.bincount(labels, minlength=len(self.classes)))


def read_pictures(
    folder: str | Path,
    shape: tuple[int, int, int],
    *,
    preprocessing: Preprocessing = Preprocessing(),  # noqa: B008  # frozen
    validation: str | Path | None = None,
    cache: str | Path | bool = True,
    progress: Progress = no_progress,
) -> PictureSet:
    """The pictures of a folder with a sub-folder per class, or with ``train`` and ``val`` of such folders.

    ``shape``: height, width (32 to 224) and channels (1: grey, 3: RGB). ``validation``: a folder of its own to validate
    with. ``cache``: a folder to keep decoded pixels in; True: the user's; False: none. A file that is broken is named
    in the result and left out.

    Raises ChipfitError U001 (shape), F001 (no folder), N001 (not arranged in classes, or nothing to read in one),
    T001 (no Pillow).
    """
    check_shape(shape)
    found = find_pictures(Path(folder), None if validation is None else Path(validation))
    pictures = read_found(Path(folder), found, shape, preprocessing=preprocessing, cache=cache, progress=progress)
    _check_enough(pictures)
    return pictures


def read_found(
    folder: Path,
    found: Found,
    shape: tuple[int, int, int],
    *,
    preprocessing: Preprocessing,
    cache: str | Path | bool,
    progress: Progress,
) -> PictureSet:
    """As :func:`read_pictures`, of pictures that have been found; there may be none that can be read."""
    pillow()
    keeper = Cache.of(cache, found.files, shape, preprocessing)
    entry, cached = keeper.load() if keeper else None, "read"
    if entry is None and keeper:
        try:
            entry, cached = keeper.store(_decoded_files(found.files, shape, preprocessing, progress)), "written"
        except OSError as error:
            cached = f"cannot write to {keeper.root}: {error.strerror or error}"
    elif entry is None:
        cached = "off"
    if entry is None:
        entry = _in_memory(_decoded_files(found.files, shape, preprocessing, progress), len(found.files), shape)
    progress("reading pictures", len(found.files), len(found.files))
    kept = [listed for listed, digest in zip(found.files, entry.digests, strict=True) if digest]
    return PictureSet(
        folder,
        entry.pixels,
        np.array([k.label for k in kept], np.int64),
        found.classes,
        tuple(k.name for k in kept),
        tuple(d for d in entry.digests if d),
        np.array([k.is_validation for k in kept], bool) if found.has_validation else None,
        preprocessing,
        tuple(Broken(found.files[i].name, reason) for i, reason in entry.broken.items()),
        found.ignored,
        found.unused,
        cached,
    )


def check_shape(shape: tuple[int, int, int]) -> None:
    """Raise ChipfitError U001 for a height, width and channels that no picture is read in."""
    *sides, channels = shape
    if any(not SMALLEST_SIDE <= side <= LARGEST_SIDE for side in sides) or channels not in (1, 3):
        raise ChipfitError(
            "U001",
            f"pictures of {sides[0]} x {sides[1]} with {channels} channels are not what a network is trained on here",
            f"sides are {SMALLEST_SIDE} to {LARGEST_SIDE} pixels; 1 channel is grey, 3 are colour",
        )


def _check_enough(pictures: PictureSet) -> None:
    """At least one picture of each class in each part."""
    parts: dict[str, Array | None] = {"": None}
    if pictures.in_validation is not None:
        within = {"train with": ~pictures.in_validation, "validate with": pictures.in_validation}
        parts = {f" to {what}": np.flatnonzero(part) for what, part in within.items()}
    for part, indices in parts.items():
        for name, count in zip(pictures.classes, pictures.counts(indices), strict=True):
            if not count:
                first = pictures.broken[0]
                raise ChipfitError(
                    "N001",
                    f"none of the pictures of class '{name}'{part} can be read; '{first.file}': {first.reason}",
                    f"{len(pictures.broken)} files are broken in all; put readable pictures in their place",
                )


def _decoded_files(
    files: Sequence[Listed], shape: tuple[int, int, int], how: Preprocessing, progress: Progress
) -> Iterator[list[Decoded | str]]:
    """Parts of the pictures in their order: pixels and digest of each, or why there are none."""

    def one(listed: Listed) -> Decoded | str:
        try:
            data = file_bytes(listed.path)
            return decoded(data, shape, how), blake2b(data, digest_size=16).hexdigest()
        except PictureError as reason:
            return str(reason)

    # decoding and resizing release the interpreter's lock; Pillow's warnings of odd files would stand between ours
    with warnings.catch_warnings(), ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as pool:
        warnings.simplefilter("ignore")
        for start in range(0, len(files), _AT_ONCE):
            progress("reading pictures", start, len(files))
            yield list(pool.map(one, files[start : start + _AT_ONCE]))


def _in_memory(parts: Iterator[list[Decoded | str]], most: int, shape: tuple[int, int, int]) -> Entry:
    pixels = np.empty((most, *shape), np.uint8)
    digests: list[str] = []
    broken: dict[int, str] = {}
    for row in (row for part in parts for row in part):
        if isinstance(row, str):
            broken[len(digests)] = row
        else:
            pixels[len(digests) - len(broken)] = row[0]
        digests.append("" if isinstance(row, str) else row[1])
    pixels = pixels[: most - len(broken)]
    pixels.flags.writeable = False
    return Entry(pixels, tuple(digests), broken)
