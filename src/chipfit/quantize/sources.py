"""Calibration samples: from arrays, an ``.npz`` file, an iterable, or a folder of images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Value
from chipfit.quantize.observers import Range
from chipfit.quantize.pictures import PictureError, Preprocessing, decoded, file_bytes

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""

SampleSource = Array | Mapping[str, Array] | str | Path | Iterable[Any]


def no_progress(what: str, done: int, total: int) -> None:
    """For callers who do not ask."""


@dataclass(frozen=True)
class Samples:
    """``arrays``: one per input of the graph, (samples, *shape of the input), float32 (indices: integers).

    ``ranges``: what the inputs can hold by their making; None: as the samples do. ``preprocessing``: how pictures
    became samples, for a model with one input.
    """

    arrays: tuple[Array, ...]
    ranges: tuple[Range | None, ...]
    preprocessing: Preprocessing | None = None

    def __len__(self) -> int:
        return len(self.arrays[0])

    def first(self, count: int) -> Samples:
        return Samples(tuple(a[:count] for a in self.arrays), self.ranges, self.preprocessing)

    def rest(self, count: int) -> Samples:
        """All but the first ``count``."""
        return Samples(tuple(a[count:] for a in self.arrays), self.ranges, self.preprocessing)


def samples_of(source: SampleSource, inputs: Sequence[Value]) -> Samples:
    """Samples for a graph's inputs: an array (one input), a mapping from names, an ``.npz`` or ``.npy`` file, or an
    iterable of samples, each an array or one array per input.

    Raises ChipfitError Q001 (none at all), Q002 (not finite, no numbers), I001 (shape), I003 (names), I004 (file).
    """
    columns = columns_of(source, inputs)
    arrays = tuple(_checked(a, v) for a, v in zip(columns, inputs, strict=True))
    if len({len(a) for a in arrays}) != 1:
        raise ChipfitError("I001", f"the inputs have different numbers of samples: {[len(a) for a in arrays]}")
    if not len(arrays[0]):
        raise _none()
    return Samples(arrays, (None,) * len(arrays))


def columns_of(source: SampleSource, inputs: Sequence[Value]) -> list[Array]:
    """One array for each input, samples first, as the source has them; errors as :func:`samples_of`."""
    if isinstance(source, str | Path):
        source = _read(Path(source), inputs)
    if isinstance(source, Mapping):
        missing = [v.name for v in inputs if v.name not in source]
        if missing:
            raise ChipfitError("I003", f"no array for the inputs {', '.join(missing)}; there are {', '.join(source)}")
        columns = [source[v.name] for v in inputs]
    elif isinstance(source, np.ndarray):
        columns = [source]
    else:
        rows = [x if isinstance(x, tuple | list) else (x,) for x in source]
        if any(len(row) != len(inputs) for row in rows):
            raise ChipfitError("I001", f"the model has {len(inputs)} inputs; a sample has another number of arrays")
        if not rows:
            raise _none()
        columns = [_stack(column) for column in zip(*rows, strict=True)]
    if len(columns) != len(inputs):
        raise ChipfitError(
            "I003", f"the model has {len(inputs)} inputs, one array was given", "name them: pass a mapping or an .npz"
        )
    return [np.asarray(a) for a in columns]


def image_samples(
    files: Sequence[Path], value: Value, preprocessing: Preprocessing, progress: Progress = no_progress
) -> Samples:
    """Pictures as samples of the input ``value``: (1, h, w, 1 or 3).

    Raises ChipfitError Q002 for an input that takes no picture or a file that is none, T001 without Pillow.
    """
    shape = value.shape
    if len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3):
        is_first = len(shape) == 4 and shape[1] in (1, 3)
        raise ChipfitError(
            "Q002",
            f"input '{value.name}' ({value.type}) takes no picture",
            "its channels are first: load the model with channels_last=True (--channels-last)"
            if is_first
            else "hand arrays in: an .npz file or an iterable",
        )
    if not files:
        raise _none()
    pixels = np.empty((len(files), *shape[1:]), np.uint8)
    for i, path in enumerate(files):
        progress("reading pictures", i, len(files))
        pixels[i] = _read_picture(path, shape, preprocessing)
    progress("reading pictures", len(files), len(files))
    return pixel_samples(pixels, preprocessing)


def pixel_samples(pixels: Array, preprocessing: Preprocessing) -> Samples:
    """(n, h, w, channels), uint8, as samples (1, h, w, channels) of an input."""
    return Samples((preprocessing.apply(pixels)[:, None],), (preprocessing.range(pixels.shape[3]),), preprocessing)


def _read_picture(path: Path, shape: tuple[int, ...], how: Preprocessing) -> Array:
    _, height, width, channels = shape
    try:
        return decoded(file_bytes(path), (height, width, channels), how)
    except PictureError as reason:
        raise ChipfitError("Q002", f"'{path}' cannot be read as a picture: {reason}") from None


def _read(path: Path, inputs: Sequence[Value]) -> Array | dict[str, Array]:
    try:
        loaded: Any = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            arrays = {str(name): np.asarray(loaded[name]) for name in loaded.files}
    except Exception as error:
        # a damaged archive raises whatever its decoder does
        raise ChipfitError("I004", f"cannot read {path}: {error}", "save it with numpy.save or numpy.savez") from None
    return next(iter(arrays.values())) if len(arrays) == len(inputs) == 1 else arrays


def _stack(column: Sequence[Any]) -> Array:
    arrays = [np.asarray(x) for x in column]
    shapes = {a.shape for a in arrays}
    if len(shapes) > 1:
        raise ChipfitError("I001", f"samples have different shapes: {sorted(map(list, shapes))[:4]}")
    return np.stack(arrays)


def _checked(array: Array, value: Value) -> Array:
    """(samples, *shape), in the input's element type, finite. A leading 1 of the input may stand for the samples."""
    if array.dtype.kind not in "fiub":
        raise ChipfitError("Q002", f"samples of '{value.name}' are {array.dtype}, which are no numbers")
    shape = value.shape
    if array.shape == shape and shape[:1] == (1,):
        array = array[None]
    elif array.shape[1:] != shape:
        if shape[:1] != (1,) or array.shape[1:] != shape[1:]:
            raise ChipfitError(
                "I001",
                f"input '{value.name}' has shape {list(array.shape)}, the model takes {list(shape)}",
                "several samples go into one array with a leading axis of samples",
            )
        array = array[:, None]
    array = array.astype(value.dtype.numpy, copy=False)
    bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1) if array.size else np.zeros(0, bool)
    if bad.any():
        first = int(np.argmax(bad))
        raise ChipfitError(
            "Q002", f"{int(bad.sum())} samples of '{value.name}' are not finite, the first is sample {first}"
        )
    return array


def _none() -> ChipfitError:
    return ChipfitError("Q001", "there are no samples to calibrate with", "about 100 typical ones are enough")
