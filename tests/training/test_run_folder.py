"""A run's folder: files appear whole or not at all, and only where nothing else is."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.training.run_folder import LAST, RUN, SHEET, SPLIT, RunFolder


def test_what_was_written_is_read(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read_last() is None
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int64)]
    folder.write_last(arrays, {"rate": 0.1, "history": []})
    found = folder.read_last()
    assert found is not None
    assert found[1] == {"rate": 0.1, "history": []}
    for ours, theirs in zip(found[0], arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write("a.bin", b"old")
    with suppress(KeyboardInterrupt), folder.staged("a.bin") as part:
        part.write_bytes(b"half of the ne")
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    (tmp_path / "b.bin").mkdir()
    with pytest.raises(ChipfitError, match=r"b\.bin") as caught:
        folder.write("b.bin", b"new")
    assert caught.value.code == "P003"


def test_only_where_nothing_is(tmp_path: Path) -> None:
    RunFolder(tmp_path / "new").require_free()
    RunFolder(tmp_path).require_free()
    # a run that was killed before it could be gone on with
    for name in (SHEET, SPLIT, ".part-run.json"):
        (tmp_path / name).write_text("")
    RunFolder(tmp_path).require_free()
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(ChipfitError, match="is no run of chipfit") as caught:
        RunFolder(tmp_path).require_free()
    assert caught.value.code == "P001"
    with pytest.raises(ChipfitError, match="exists"):
        RunFolder(tmp_path / "letter.txt").require_free()
    (tmp_path / RUN).write_text("{}")
    with pytest.raises(ChipfitError, match="holds a run already") as caught:
        RunFolder(tmp_path).require_free()
    assert "--resume" in caught.value.hint


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "chipfit.train", "version": 2}', '{"schema": "x"}'])
def test_a_run_that_cannot_be_read(text: str, tmp_path: Path) -> None:
    (tmp_path / RUN).write_text(text)
    with pytest.raises(ChipfitError) as caught:
        RunFolder(tmp_path).read_run()
    assert caught.value.code == "N003"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", bytes(100)])
def test_a_state_that_cannot_be_read(content: bytes, tmp_path: Path) -> None:
    (tmp_path / LAST).write_bytes(content)
    with pytest.raises(ChipfitError) as caught:
        RunFolder(tmp_path).read_last()
    assert caught.value.code == "N003"
