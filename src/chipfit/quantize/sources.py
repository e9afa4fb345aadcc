"""Calibration samples: from arrays, an ``.npz`` file, an iterable, or a folder of images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Value
from chipfit.quantize.observers import Range

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""

IMAGE_ENDINGS = (".bmp", ".jpeg", ".jpg", ".png", ".webp")

SampleSource = Array | Mapping[str, Array] | str | Path | Iterable[Any]


def no_progress(what: str, done: int, total: int) -> None:
    """For callers who do not ask."""


@dataclass(frozen=True)
class Preprocessing:
    """From the pixels of a picture (0..255) to what a model takes: ``(pixel * scale - mean) / std``.

    ``resize``: ``crop`` (the shorter side to ``side``, then the middle is cut out) or ``stretch`` (both sides to the
    model's). ``side``: 0 is the shorter side of the model's input. ``mean`` and ``std``: one for all channels or one
    for each. Kept with the model, so that whoever feeds it can do the same.
    """

    resize: Literal["crop", "stretch"] = "crop"
    side: int = 0
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        numbers = (self.scale, *self.mean, *self.std)
        if not np.isfinite(numbers).all() or 0.0 in self.std or self.scale == 0.0:
            raise ChipfitError("Q002", f"scale {self.scale}, mean {self.mean} and std {self.std} make no picture")
        if self.resize not in ("crop", "stretch") or self.side < 0:
            raise ChipfitError("Q002", f"resize '{self.resize}' to {self.side} is unknown", "known are: crop, stretch")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Preprocessing:
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return Preprocessing(**given)

    def apply(self, pixels: Array) -> Array:
        """(..., channels), uint8, to float32."""
        scaled = pixels.astype(np.float32) * np.float32(self.scale)
        return (scaled - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)

    def range(self, channels: int) -> Range:
        """The least and the greatest number that any pixel can become."""
        ends = self.apply(np.array([[0] * channels, [255] * channels], np.uint8))
        return Range(float(ends.min()), float(ends.max()))


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


def image_files(folder: Path, limit: int | None = None) -> list[Path]:
    """Pictures below a folder, from all its folders in turn, each sorted by path. ``limit``: the first of them.

    Raises ChipfitError Q001 if there is none.
    """
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_ENDINGS and p.is_file())
    if not found:
        raise ChipfitError(
            "Q001",
            f"there are no pictures in '{folder}'",
            f"files are known by their endings: {', '.join(IMAGE_ENDINGS)}",
        )
    by_folder: dict[Path, list[Path]] = {}
    for path in found:
        by_folder.setdefault(path.parent, []).append(path)
    turns = [(i, path) for paths in by_folder.values() for i, path in enumerate(paths)]
    return [path for _, path in sorted(turns)[:limit]]


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
    array = preprocessing.apply(pixels).reshape(len(files), *shape)
    return Samples((array,), (preprocessing.range(shape[3]),), preprocessing)


def _read_picture(path: Path, shape: tuple[int, ...], how: Preprocessing) -> Array:
    try:
        image_module: Any = import_module("PIL.Image")
    except ImportError:
        raise ChipfitError("T001", "pictures are read with Pillow", "python -m pip install pillow") from None
    _, height, width, channels = shape
    try:
        with image_module.open(path) as file:
            picture = file.convert("RGB" if channels == 3 else "L")
            bilinear = image_module.Resampling.BILINEAR
            if how.resize == "stretch":
                return np.asarray(picture.resize((width, height), bilinear)).reshape(height, width, channels)
            side = how.side or min(height, width)
            factor = max(side / min(picture.size), height / picture.size[1], width / picture.size[0])
            if factor != 1.0:
                picture = picture.resize(tuple(round(s * factor) for s in picture.size), bilinear)
            left, top = (picture.size[0] - width) // 2, (picture.size[1] - height) // 2
            return np.asarray(picture.crop((left, top, left + width, top + height))).reshape(height, width, channels)
    except (OSError, ValueError) as error:
        raise ChipfitError("Q002", f"'{path}' cannot be read as a picture: {error}") from None


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
