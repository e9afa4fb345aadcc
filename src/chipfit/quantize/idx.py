"""IDX files, the form in which MNIST is handed on: an array behind a short header, usually packed by gzip.

Source of the format: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def is_idx(path: Path) -> bool:
    """Whether a file is named as IDX files are, such as ``t10k-images-idx3-ubyte.gz``."""
    return "-idx" in path.name or ".idx" in path.name


def read_idx(path: Path) -> Array:
    """The array of a file. Raises ChipfitError I004 if it is none."""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        raise ChipfitError("I004", f"cannot read {path}: {error}") from None
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES or len(data) < 4 + 4 * data[3]:
        raise ChipfitError("I004", f"{path} is no IDX file", "it begins with two zeros, a type, and dimensions")
    shape = struct.unpack_from(f">{data[3]}I", data, 4)
    dtype = np.dtype(_TYPES[data[2]])
    begin = 4 + 4 * len(shape)
    if len(data) - begin != math.prod(shape) * dtype.itemsize:
        raise ChipfitError("I004", f"{path} is truncated: {len(data) - begin} bytes for the shape {list(shape)}")
    return np.frombuffer(data, dtype, offset=begin).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def idx_labels(images: Path) -> Path | None:
    """The file of labels beside one of images; None: there is none."""
    for old, new in (("images-idx3", "labels-idx1"), ("images.idx3", "labels.idx1")):
        path = images.with_name(images.name.replace(old, new))
        if path != images and path.is_file():
            return path
    return None
