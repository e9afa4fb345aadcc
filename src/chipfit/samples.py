"""Inputs of a run in the forms that users have them."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, TensorType
from chipfit.ops import random_input
from chipfit.report.data import RunReport, RunSetReport, TensorInfo

Samples = Sequence[tuple[Array, ...]]
"""One tuple per sample, one array per input."""

_DAMAGED = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What reading a damaged ``.npy`` or ``.npz`` raises."""

SampleLike = Array | Mapping[str, Array] | Sequence[tuple[Array, ...]]


def as_samples(source: SampleLike, inputs: Sequence[TensorInfo]) -> list[tuple[Array, ...]]:
    """``source`` as samples, checked against the model's inputs.

    An array (models with one input): of the input's shape, or with a leading axis of samples, or, where the input's
    first dimension is a batch of 1, with that axis used for the samples. A mapping from input names to such arrays.
    Or a sequence with one tuple of arrays per sample.
    Raises ChipfitError I001 (shape), I002 (dtype), I003 (names).
    """
    if isinstance(source, np.ndarray):
        if len(inputs) != 1:
            names = ", ".join(i.name for i in inputs)
            raise ChipfitError(
                "I003", f"the model has {len(inputs)} inputs, one array was given", f"name them: {names}"
            )
        return [(x,) for x in _split(source, inputs[0])]
    if isinstance(source, Mapping):
        return _from_mapping(source, inputs)
    samples = [tuple(np.asarray(array) for array in sample) for sample in source]
    for sample in samples:
        if len(sample) != len(inputs):
            raise ChipfitError("I001", f"the model has {len(inputs)} inputs, a sample has {len(sample)}")
        for array, info in zip(sample, inputs, strict=True):
            _check_dtype(array, info)
            if tuple(array.shape) != info.shape:
                raise _wrong_shape(array, info)
    return samples


def random_samples(inputs: Sequence[TensorInfo], count: int, seed: int = 0) -> list[tuple[Array, ...]]:
    """Seeded random samples over the whole range of the inputs."""
    rng = np.random.default_rng(seed)
    types = [TensorType(i.shape, DType(i.dtype)) for i in inputs]
    return [tuple(random_input(rng, t) for t in types) for _ in range(count)]


def _from_mapping(source: Mapping[str, Array], inputs: Sequence[TensorInfo]) -> list[tuple[Array, ...]]:
    if len(inputs) == 1 and len(source) == 1:
        return [(x,) for x in _split(next(iter(source.values())), inputs[0])]
    missing = [i.name for i in inputs if i.name not in source]
    if missing:
        raise ChipfitError(
            "I003",
            f"no array for the inputs {', '.join(missing)}; there are {', '.join(source) or 'none'}",
            f"name the arrays as the model names its inputs: {', '.join(i.name for i in inputs)}",
        )
    columns = [_split(np.asarray(source[i.name]), i) for i in inputs]
    if len({len(c) for c in columns}) > 1:
        raise ChipfitError("I001", f"the inputs have different numbers of samples: {[len(c) for c in columns]}")
    return list(zip(*columns, strict=True))


def _split(array: Array, info: TensorInfo) -> list[Array]:
    _check_dtype(array, info)
    shape = tuple(array.shape)
    if shape == info.shape:
        return [array]
    if shape[1:] == info.shape:
        return [array[i, ...] for i in range(len(array))]
    if info.shape[:1] == (1,) and shape[1:] == info.shape[1:]:
        return list(array.reshape(-1, *info.shape))
    raise _wrong_shape(array, info)


def _wrong_shape(array: Array, info: TensorInfo) -> ChipfitError:
    return ChipfitError(
        "I001",
        f"input '{info.name}' has shape {list(array.shape)}, the model takes {list(info.shape)}",
        "several samples go into one array with a leading axis of samples",
    )


def _check_dtype(array: Array, info: TensorInfo) -> None:
    if array.dtype == np.dtype(info.dtype):
        return
    hint = f"convert it with .astype('{info.dtype}')"
    if info.scale is not None:
        hint = f"quantize it first: round(x / {info.scale:.9g}) + {info.zero_point}, clamped, as {info.dtype}"
    raise ChipfitError("I002", f"input '{info.name}' is {array.dtype}, the model takes {info.dtype}", hint)


def read_samples(path: Path, inputs: Sequence[TensorInfo]) -> list[tuple[Array, ...]]:
    """Samples from a ``.npy`` or ``.npz`` file. Raises ChipfitError I001..I004."""
    return as_samples(read_arrays(path), inputs)


def read_arrays(path: Path) -> Array | dict[str, Array]:
    """The array of a ``.npy`` file, or those of a ``.npz`` file by name. Raises ChipfitError I004."""
    try:
        loaded: Any = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise ChipfitError("I004", f"{path} does not exist") from error
    except _DAMAGED as error:
        raise ChipfitError("I004", f"cannot read {path}: {error}", "save it with numpy.save or numpy.savez") from error
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        try:
            return {name: np.asarray(loaded[name]) for name in loaded.files}
        except _DAMAGED as error:
            raise ChipfitError("I004", f"cannot read {path}: {error}") from error


def save_outputs(path: Path, report: RunReport) -> None:
    """Write the outputs of a run to an ``.npz`` file: one array per output, by name, samples first."""
    save_arrays(path, {info.name: array for info, array in zip(report.output_info, report.outputs, strict=True)})


def save_set_outputs(path: Path, report: RunSetReport) -> None:
    """The same of several models: the names are those of the model and the output, with a dot between."""
    save_arrays(
        path,
        {
            f"{model.model}.{info.name}": array
            for model in report.models
            for info, array in zip(model.output_info, model.outputs, strict=True)
        },
    )


def save_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays by name to an ``.npz`` file."""
    with zipfile.ZipFile(path, "w") as archive:  # numpy.savez could not take an output that is named 'file'
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)
