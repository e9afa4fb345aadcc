"""Files and folders as inputs of a kmodel: pictures, raw bytes, arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.quantize import Preprocessing
from chipfit.quantize.pictures import IMAGE_ENDINGS, PictureError, decoded, file_bytes
from chipfit.report.data import TensorInfo
from chipfit.samples import read_samples

RAW_ENDING = ".bin"
_ARRAY_ENDINGS = (".npy", ".npz")


@dataclass(frozen=True, eq=False)
class NamedSamples:
    """``samples``: one tuple of arrays each; ``names``: of the files that they are from, without their endings; samples
    of one file are numbered."""

    samples: list[tuple[Array, ...]]
    names: list[str]


def read_inputs(path: Path, inputs: Sequence[TensorInfo], preprocessing: Preprocessing | None = None) -> NamedSamples:
    """Samples from a picture, a ``.bin`` with the bytes as the model takes them, a ``.npy`` or ``.npz``, or a folder of
    pictures and ``.bin`` files.

    Inputs of bytes take pixels 0..255, as the camera gives them; those of floats take them as ``preprocessing`` says.
    Raises ChipfitError I001..I004 for what does not fit or cannot be read, Q001 for an empty folder, Q002 for pictures
    that cannot be used, T001 without Pillow.
    """
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in (RAW_ENDING, *IMAGE_ENDINGS) and p.is_file())
        if not files:
            raise ChipfitError("Q001", f"there are no pictures and no {RAW_ENDING} files in '{path}'")
        names = [str(file.relative_to(path).with_suffix("")) for file in files]
        return NamedSamples([(_one_file(file, inputs, preprocessing),) for file in files], names)
    if not path.exists():
        raise ChipfitError("I004", f"'{path}' does not exist")
    if path.suffix.lower() in _ARRAY_ENDINGS:
        samples = read_samples(path, inputs)
        numbers = [f"_{index}" for index in range(len(samples))] if len(samples) > 1 else [""]
        return NamedSamples(samples, [f"{path.stem}{number}" for number in numbers])
    return NamedSamples([(_one_file(path, inputs, preprocessing),)], [path.stem])


def _one_file(path: Path, inputs: Sequence[TensorInfo], preprocessing: Preprocessing | None) -> Array:
    if len(inputs) != 1:
        names = ", ".join(info.name for info in inputs)
        raise ChipfitError("I003", f"the model has {len(inputs)} inputs: {names}", "name their arrays in an .npz file")
    info = inputs[0]
    return _raw(path, info) if path.suffix.lower() == RAW_ENDING else _picture(path, info, preprocessing)


def _raw(path: Path, info: TensorInfo) -> Array:
    dtype = np.dtype(info.dtype)
    wanted = int(np.prod(info.shape)) * dtype.itemsize
    data = path.read_bytes()
    if len(data) != wanted:
        raise ChipfitError(
            "I001",
            f"'{path}' has {len(data):,} bytes; {info.dtype}{list(info.shape)} takes {wanted:,}",
            "the order is (n, c, h, w): all of the first channel, then the next",
        )
    return np.frombuffer(data, dtype).reshape(info.shape)


def _picture(path: Path, info: TensorInfo, preprocessing: Preprocessing | None) -> Array:
    if len(info.shape) != 4 or info.shape[0] != 1 or info.shape[1] not in (1, 3):
        hint = f"hand in arrays: an .npz file, or a {RAW_ENDING} with the bytes"
        raise ChipfitError("Q002", f"'{path}': the input takes {list(info.shape)}, which is no picture", hint)
    how = preprocessing or Preprocessing()
    _, channels, height, width = info.shape
    try:
        pixels = decoded(file_bytes(path), (height, width, channels), how)
    except PictureError as error:
        raise ChipfitError("Q002", f"'{path}' is no picture that can be used: {error}") from None
    values = pixels if info.dtype == "uint8" else how.apply(pixels)
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])
