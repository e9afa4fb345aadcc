"""Files that are no .tflite: each is named, with what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chipfit.errors import ChipfitError
from chipfit.importers import load_graph


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"PK\x03\x04" + bytes(64), "zip"),
        (b"LMDK\x04\0\0\0" + bytes(64), "kmodel"),
        (b"\x03\0\0\0\0\0\0\0" + bytes(64), "kmodel v3"),
        (b"\x1c\0\0\0TFL2" + bytes(64), "schema version 2"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"alignas(16) const unsigned char g_model[] = { 0x1c };", "C source"),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07", "no format that chipfit knows"),
    ],
)
def test_other_formats_are_named(data: bytes, words: str) -> None:
    with pytest.raises(ChipfitError, match=words) as error:
        load_graph(data)
    assert error.value.code == "F002"
    assert error.value.hint


def test_missing_file_names_models_beside_it(tmp_path: Path) -> None:
    (tmp_path / "right.tflite").write_bytes(b"")
    with pytest.raises(ChipfitError) as error:
        load_graph(tmp_path / "wrong.tflite")
    assert error.value.code == "F001"
    assert "right.tflite" in error.value.hint


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match=r"a folder without a saved_model\.pb") as error:
        load_graph(str(tmp_path))
    assert error.value.code == "F002"
    assert "SavedModel" in error.value.hint
