"""The output folder appears whole or not at all, and nothing foreign is touched."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

import chipfit
from chipfit import build
from chipfit.codegen.project import MANIFEST, read_manifest, staged_folder
from chipfit.demo import model_path

FILES = {"model.h", "model.c", "weights.h", "weights.c", "host.c", "chipfit", "chipfit.json", "memory.json"}


@pytest.fixture(scope="module")
def model() -> chipfit.Model:
    return chipfit.load(model_path("int8"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_folder_is_complete(model: chipfit.Model, tmp_path: Path) -> None:
    firmware = model.compile("host", tmp_path / "deep" / "out")
    names = {p.name for p in firmware.folder.iterdir()}
    assert names == {*FILES, firmware.manifest["library"]}
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["out"]
    if sys.platform != "win32":
        assert stat.S_IMODE(firmware.folder.stat().st_mode) & 0o755 == 0o755
    again = chipfit.Firmware.open(firmware.folder)
    assert again.manifest == json.loads((firmware.folder / MANIFEST).read_text())
    assert again.report.model == "digits_int8"


@pytest.mark.parametrize("before", ["nothing", "own"])
def test_failure_of_the_compiler_leaves_no_trace(
    model: chipfit.Model, before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    if before == "own":
        model.compile("host", out)
    kept = contents(tmp_path)

    def fail(sources: list[Path], *_: object, **__: object) -> Path:
        assert all(s.is_file() for s in sources)
        raise chipfit.ChipfitError("T002", "injected")

    monkeypatch.setattr(build, "build_host_library", fail)
    with pytest.raises(chipfit.ChipfitError, match="injected"):
        model.compile("host", out)
    assert contents(tmp_path) == kept
    assert [p.name for p in tmp_path.iterdir()] == (["out"] if before == "own" else [])


def test_missing_compiler_leaves_no_trace(model: chipfit.Model, tmp_path: Path) -> None:
    with pytest.raises(chipfit.ChipfitError, match="cannot start") as caught:
        model.compile("nucleo-l4r5zi", tmp_path / "out", cc="no-such-compiler")
    assert caught.value.code == "T001"
    assert not list(tmp_path.iterdir())


def test_what_does_not_fit_leaves_no_trace(model: chipfit.Model, tmp_path: Path) -> None:
    """Found before the compiler runs (RAM of the plan), and behind it (the linked program)."""
    text = """name = "tiny"
title = "Tiny"
core = "cortex-m4f"
clock_hz = 1_000_000
[memory]
flash = { origin = 0, size = "FLASH" }
ram = { origin = 0x2000_0000, size = "RAM" }
"""
    board = tmp_path / "tiny.toml"
    for flash, ram, words in (("64K", "2K", "RAM"), ("9K", "64K", "flash")):
        board.write_text(text.replace("FLASH", flash).replace("RAM", ram))
        with pytest.raises(chipfit.ChipfitError, match=words) as caught:
            model.compile(str(board), tmp_path / "out")
        assert caught.value.code == "M001"
        assert "too many" in caught.value.message
        assert [p.name for p in tmp_path.iterdir()] == ["tiny.toml"]


def test_foreign_folder_is_refused(model: chipfit.Model, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(chipfit.ChipfitError, match="not written by chipfit") as caught:
        model.compile("host", out)
    assert caught.value.code == "P001"
    assert "--force" in caught.value.hint
    assert contents(tmp_path) == {str(Path("out", "thesis.txt")): b"years of work"}
    model.compile("host", out, force=True)
    assert {p.name for p in out.iterdir()} > {*FILES, "thesis.txt"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_foreign_file_is_refused(model: chipfit.Model, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(chipfit.ChipfitError) as caught:
        model.compile("host", tmp_path / "out")
    assert caught.value.code == "P001"
    assert contents(tmp_path) == {"out": b"a file"}


def test_own_folder_is_replaced(tmp_path: Path) -> None:
    """Nothing of an earlier compilation is left, and an empty folder counts as one's own."""
    out = tmp_path / "out"
    out.mkdir()
    with staged_folder(out) as staging:
        (staging / MANIFEST).write_text("{}")
        (staging / "old.c").write_text("old")
    with staged_folder(out) as staging:
        (staging / MANIFEST).write_text("{}")
    assert [p.name for p in out.iterdir()] == [MANIFEST]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_old_folder_stays_if_the_new_one_cannot_take_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    with staged_folder(out) as staging:
        (staging / MANIFEST).write_text("old")
    replace = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if target == out and self.parent == tmp_path:
            raise PermissionError("injected")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(PermissionError, match="injected"), staged_folder(out) as staging:
        (staging / MANIFEST).write_text("new")
    assert contents(tmp_path) == {str(Path("out", MANIFEST)): b"old"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_working_folder_is_filled_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not replaced by another folder of that name: the user's shell is in it."""
    monkeypatch.chdir(tmp_path)
    before = Path().stat().st_ino
    for text in ("first", "second"):
        with staged_folder(Path()) as staging:
            (staging / MANIFEST).write_text(text)
        assert contents(Path.cwd()) == {MANIFEST: text.encode()}
        assert os.stat(".").st_ino == before  # noqa: PTH116 - of the working folder as the system knows it


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "not a compiled model"),
        ("{", "not a compiled model"),
        ("[]", "version None"),
        ('{"version": 99}', "version 99"),
        ('{"version": 2, "name": "x"}', "lacks entry, board, target, core"),
    ],
)
def test_manifest_that_cannot_be_used(text: str | None, words: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(chipfit.ChipfitError, match=words) as caught:
        read_manifest(tmp_path)
    assert caught.value.code == "P002"
    assert "chipfit compile" in caught.value.hint
