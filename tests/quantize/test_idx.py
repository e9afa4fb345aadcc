"""IDX files, packed and not, whole and damaged."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.quantize.idx import idx_labels, is_idx, read_idx

KINDS = {"uint8": 0x08, "int16": 0x0B, "float32": 0x0D}


def idx_bytes(array: Array) -> bytes:
    head = struct.pack(f">HBB{array.ndim}I", 0, KINDS[array.dtype.name], array.ndim, *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("dtype", list(KINDS))
@pytest.mark.parametrize("packed", [False, True])
def test_round_trip(dtype: str, packed: bool, tmp_path: Path) -> None:
    array = np.arange(-6, 18).astype(dtype).reshape(4, 2, 3)
    data = idx_bytes(array)
    file = tmp_path / "a-idx3-ubyte"
    file.write_bytes(gzip.compress(data) if packed else data)
    found = read_idx(file)
    assert found.dtype == array.dtype
    assert found.tolist() == array.tolist()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\x08",
        b"\0\1\x08\1\0\0\0\1x",
        b"\0\0\x07\1\0\0\0\1x",
        b"\0\0\x08\3\0\0",
        idx_bytes(np.zeros((2, 3), np.uint8))[:-1],
        idx_bytes(np.zeros((2, 3), np.uint8)) + b"x",
        gzip.compress(idx_bytes(np.zeros((200, 3), np.uint8)), mtime=0)[:20],
    ],
)
def test_damaged(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(ChipfitError) as caught:
        read_idx(tmp_path / "a")
    assert caught.value.code == "I004"


def test_labels_lie_beside(tmp_path: Path) -> None:
    images = tmp_path / "t10k-images-idx3-ubyte.gz"
    assert is_idx(images)
    assert not is_idx(tmp_path / "images.npz")
    assert idx_labels(images) is None
    beside = tmp_path / "t10k-labels-idx1-ubyte.gz"
    beside.touch()
    assert idx_labels(images) == beside
    assert idx_labels(beside) is None
