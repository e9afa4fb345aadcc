"""Samples of an evaluation, read batch by batch: pictures of a folder, arrays, or IDX files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.evaluation.candidates import Candidate, size_of
from chipfit.evaluation.engines import real_numbers
from chipfit.evaluation.labels import Labels, Wanted, labels_of_array, labels_of_files, table_of_files
from chipfit.graph import Array, DType, TensorType, Value
from chipfit.quantize import Preprocessing, image_files, image_samples
from chipfit.quantize.idx import idx_labels, is_idx, read_idx
from chipfit.report.data import TensorInfo

LABEL_NAMES = ("labels", "label", "y")
"""Arrays of these names in an ``.npz`` file are the classes, unless a model's input has that name."""

DataSource = str | Path | Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Dataset:
    """``read``: samples from one place to another (exclusive), as real numbers, (samples, *shape) for each input.

    ``pixels``: how pictures become inputs; None: they are none.
    """

    count: int
    labels: Labels
    read: Callable[[int, int], tuple[Array, ...]]
    pixels: Preprocessing | None = None

    def part(self, skip: int, limit: int | None) -> Dataset:
        """Without the first ``skip`` samples, and at most ``limit`` of the others. Raises ChipfitError Q001."""
        count = min(self.count - skip, self.count if limit is None else limit)
        if count <= 0:
            behind = f" behind the first {skip}" if skip else ""
            raise ChipfitError("Q001", f"there are {self.count} samples, and none{behind} to evaluate")
        index = self.labels.index
        labels = replace(self.labels, index=None if index is None else index[skip : skip + count])
        return Dataset(count, labels, lambda a, b: self.read(a + skip, b + skip), self.pixels)


def open_data(
    source: DataSource,
    models: Sequence[Candidate],
    wanted: Wanted,
    pixels: Preprocessing | None,
    pool: ThreadPoolExecutor,
) -> Dataset:
    """Samples for models that have the same inputs. ``pixels``: how pictures become inputs; None: as they are.

    Raises ChipfitError Q001 (no samples), Q002 (not usable), Q006 (labels), I001 (shape), I003 (names), I004 (file).
    """
    if isinstance(source, Mapping):
        return _of_arrays(dict(source), models, wanted, pixels, "labels")
    path = Path(source)
    if path.is_dir():
        return _of_folder(path, models[0].inputs, wanted, pixels or Preprocessing(), pool)
    if wanted.table is not None or wanted.number:
        raise ChipfitError("Q006", f"'{path}' holds no pictures by name", "labels by file are for a folder of pictures")
    if is_idx(path):
        labels = idx_labels(path)
        arrays = {"": read_idx(path)} | ({"labels": read_idx(labels)} if labels else {})
        return _of_arrays(arrays, models, wanted, pixels, labels.name if labels else "")
    return _of_arrays(_load(path), models, wanted, pixels, path.name)


# ---------------------------------------------------------------------------------------------- pictures


def _of_folder(
    folder: Path, inputs: Sequence[TensorInfo], wanted: Wanted, pixels: Preprocessing, pool: ThreadPoolExecutor
) -> Dataset:
    if len(inputs) != 1:
        raise ChipfitError("Q002", f"the model has {len(inputs)} inputs: pictures fill one", "use an .npz file")
    if wanted.table is not None:
        files, labels = table_of_files(folder, wanted.table, wanted.names)
    else:
        files = image_files(folder)
        labels = labels_of_files(files, folder, wanted)
    value = Value(inputs[0].name, TensorType(inputs[0].shape, DType(inputs[0].dtype)))

    def one(file: Path) -> Array:
        return image_samples([file], value, pixels).arrays[0]

    def read(start: int, stop: int) -> tuple[Array, ...]:
        return (np.concatenate(list(pool.map(one, files[start:stop]))),)

    return Dataset(len(files), labels, read, pixels)


# ---------------------------------------------------------------------------------------------- arrays


def _load(path: Path) -> dict[str, Array]:
    try:
        loaded: Any = np.load(path, mmap_mode="r" if path.suffix == ".npy" else None, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        with loaded:
            return {str(name): np.asarray(loaded[name]) for name in loaded.files}
    except Exception as error:
        # a damaged archive raises whatever its decoder does
        hint = "data are a folder of pictures, an .npz or .npy file, or an IDX file such as t10k-images-idx3-ubyte.gz"
        raise ChipfitError("I004", f"cannot read {os.fspath(path)}: {error}", hint) from None


def _of_arrays(
    arrays: dict[str, Array], models: Sequence[Candidate], wanted: Wanted, pixels: Preprocessing | None, how: str
) -> Dataset:
    """Arrays by the names of the inputs, or the only one that is no labels."""
    inputs = models[0].inputs
    taken = {i.name for m in models for i in m.inputs}
    found = next((n for n in LABEL_NAMES if n in arrays and n not in taken), None)
    labels = Labels(None, wanted.names, None)
    if found is not None:
        labels = labels_of_array(arrays.pop(found), wanted, how)
    columns: list[Array] = []
    for k, info in enumerate(inputs):
        names = [m.inputs[k].name for m in models]
        named = next((arrays[n] for n in names if n in arrays), None)
        if named is None and len(inputs) == len(arrays) == 1:
            named = next(iter(arrays.values()))
        if named is None:
            there = ", ".join(arrays) or "none"
            raise ChipfitError("I003", f"no array for input '{info.name}'; there are: {there}", "name it as the input")
        columns.append(_shaped(named, info))
    count = len(columns[0])
    lengths = [len(c) for c in columns] + ([] if labels.index is None else [len(labels.index)])
    if len(set(lengths)) > 1:
        raise ChipfitError("I001", f"inputs and labels have different numbers of samples: {lengths}")
    if not count:
        raise ChipfitError("Q001", "there are no samples to evaluate")
    readers = [_reader(c, k, models, pixels) for k, c in enumerate(columns)]

    def read(start: int, stop: int) -> tuple[Array, ...]:
        return tuple(
            _finite(reader(c[start:stop]), i.name) for reader, c, i in zip(readers, columns, inputs, strict=True)
        )

    return Dataset(count, labels, read, pixels if any(c.dtype == np.uint8 for c in columns) else None)


def _shaped(array: Array, info: TensorInfo) -> Array:
    """(samples, *shape). A leading 1 of the input may stand for the samples; bytes may lack dimensions of 1."""
    shape = info.shape
    if array.dtype.kind not in "fiub":
        raise ChipfitError("Q002", f"samples for '{info.name}' are {array.dtype}, which are no numbers")
    if array.shape[1:] == shape:
        return array
    if array.shape == shape and shape[:1] == (1,):
        return array[None]
    squeezed = tuple(n for n in shape if n != 1)
    if array.ndim and tuple(n for n in array.shape[1:] if n != 1) == squeezed:
        return array.reshape(len(array), *shape)
    if array.dtype == np.uint8 and array.ndim > 1 and (size_of(array.shape[1:]),) == squeezed:
        return array.reshape(len(array), *shape)  # a dense network takes a picture as a row
    raise ChipfitError(
        "I001", f"the data have the shape {list(array.shape)}, input '{info.name}' takes {list(shape)}",
        "several samples go into one array with a leading axis of samples",
    )  # fmt: skip


def _reader(
    column: Array, index: int, models: Sequence[Candidate], pixels: Preprocessing | None
) -> Callable[[Array], Array]:
    """Turns a part of a column into real numbers.

    Integers that an input of one of the models stores are what they stand for there; other bytes are pixels. Where it
    is stated how pixels become inputs, all bytes are pixels.
    """
    same = [m.inputs[index] for m in models if m.inputs[index].dtype == column.dtype.name]
    quantized = [info for info in same if info.scale is not None]
    is_pixels = column.dtype == np.uint8 and pixels is not None
    if quantized and not is_pixels:
        return lambda x: real_numbers(x, quantized[0])
    if is_pixels:
        return lambda x: pixels.apply(x) if pixels else x
    whole = np.dtype(models[0].inputs[index].dtype)
    return lambda x: x.astype(np.float32 if whole.kind == "f" or quantized or column.dtype.kind == "f" else whole)


def _finite(x: Array, name: str) -> Array:
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise ChipfitError("Q002", f"samples for '{name}' are not finite")
    return x
