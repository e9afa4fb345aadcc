"""Pictures read for training: what is decoded, what is left out, and what stays in the cache."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import DType, TensorType, Value
from chipfit.quantize import Preprocessing, image_samples
from chipfit.training import pictures as under_test
from chipfit.training import read_pictures
from chipfit.training.cache import Cache, default_folder
from training.photos import noise, write_classes, write_picture

SHAPE = (32, 32, 3)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "data", {"b": 3, "a": 2})


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.mark.parametrize("shape", [(32, 32, 3), (32, 48, 1)])
@pytest.mark.parametrize("how", [Preprocessing("crop", 40), Preprocessing("stretch")])
def test_training_sees_the_pixels_of_calibration(data: Path, shape: tuple[int, int, int], how: Preprocessing) -> None:
    pictures = read_pictures(data, shape, preprocessing=how, cache=False)
    assert (pictures.pixels.shape, pictures.pixels.dtype) == ((5, *shape), np.uint8)
    assert (pictures.shape, len(pictures), pictures.cached) == (shape, 5, "off")
    value = Value("x", TensorType((1, *shape), DType.FLOAT32))
    samples = image_samples([data / f for f in pictures.files], value, how)
    np.testing.assert_array_equal(pictures.pixels, samples.arrays[0][:, 0])


def test_classes_and_labels(data: Path) -> None:
    pictures = read_pictures(data, SHAPE, cache=False)
    assert pictures.classes == ("a", "b")
    assert pictures.files == ("a/0.png", "a/1.png", "b/0.png", "b/1.png", "b/2.png")
    assert (pictures.labels.tolist(), pictures.labels.dtype) == ([0, 0, 1, 1, 1], np.int64)
    assert pictures.counts() == (2, 3)
    assert pictures.counts(np.array([0, 2, 3])) == (1, 2)
    assert pictures.in_validation is None
    with pytest.raises(ValueError, match="read-only"):
        pictures.pixels[0] = 0


def test_validation_by_folder(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", {"a": 2, "b": 1})
    write_classes(tmp_path / "val", {"a": 1, "b": 1}, first=9)
    pictures = read_pictures(tmp_path, SHAPE, cache=False)
    assert pictures.in_validation is not None
    assert pictures.in_validation.tolist() == [False, False, False, True, True]
    assert pictures.labels.tolist() == [0, 0, 1, 0, 1]


def spoil(data: Path) -> dict[str, str]:
    """Files that cannot be read, and why."""
    (data / "a" / "00.jpg").write_bytes(b"")
    (data / "a" / "text.jpg").write_text("a text")
    whole = (data / "b" / "1.png").read_bytes()
    (data / "b" / "1.png").write_bytes(whole[: len(whole) // 2])
    return {"a/00.jpg": "the file is empty", "a/text.jpg": "no picture, or of a format that Pillow does not read"}


@pytest.mark.parametrize("cached", [False, True])
def test_broken_files_are_named_and_left_out(cached: bool, data: Path, cache: Path) -> None:
    whole = read_pictures(data, SHAPE, cache=False)
    reasons = spoil(data)
    for state in ("written", "read") if cached else ("off",):
        pictures = read_pictures(data, SHAPE, cache=cache if cached else False)
        assert pictures.cached == state
        assert pictures.files == ("a/0.png", "a/1.png", "b/0.png", "b/2.png")
        assert pictures.labels.tolist() == [0, 0, 1, 1]
        assert len(pictures.digests) == 4
        np.testing.assert_array_equal(pictures.pixels, whole.pixels[[0, 1, 2, 4]])
        said = {b.file: b.reason for b in pictures.broken}
        assert said.keys() == {*reasons, "b/1.png"}
        assert "truncated" in said["b/1.png"]
        assert {f: said[f] for f in reasons} == reasons


def test_a_class_without_a_readable_picture(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", {"a": 2, "b": 1})
    write_classes(tmp_path / "val", {"a": 1, "b": 1}, first=9)
    (tmp_path / "val" / "b" / "0.png").write_bytes(b"")
    with pytest.raises(
        ChipfitError, match=r"of class 'b' to validate with can be read; 'val/b/0.png': the file is emp"
    ) as e:
        read_pictures(tmp_path, SHAPE, cache=False)
    assert e.value.code == "N001"
    (tmp_path / "train" / "b" / "0.png").write_bytes(b"")
    with pytest.raises(ChipfitError, match=r"of class 'b' can be read"):
        read_pictures(tmp_path / "train", SHAPE, cache=False)


@pytest.mark.parametrize("shape", [(31, 32, 3), (32, 225, 3), (32, 32, 2)])
def test_shapes_that_no_network_takes(shape: tuple[int, int, int], data: Path) -> None:
    with pytest.raises(ChipfitError, match=f"{shape[0]} x {shape[1]} with {shape[2]}") as error:
        read_pictures(data, shape, cache=False)
    assert error.value.code == "U001"


def test_progress_and_memory(data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more than a part of the pictures is decoded ahead."""
    monkeypatch.setattr(under_test, "_AT_ONCE", 2)
    told: list[tuple[int, int]] = []
    pictures = read_pictures(data, SHAPE, cache=cache, progress=lambda _, done, count: told.append((done, count)))
    assert told == [(0, 5), (2, 5), (4, 5), (5, 5)]
    np.testing.assert_array_equal(pictures.pixels, read_pictures(data, SHAPE, cache=False).pixels)


def test_without_pillow(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(ChipfitError, match="Pillow") as error:
        read_pictures(data, SHAPE, cache=False)
    assert error.value.code == "T001"


# ---------------------------------------------------------------------------------------------- the cache


def entries(cache: Path) -> list[Path]:
    return sorted(cache.iterdir())


def test_the_second_time_nothing_is_decoded(data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read_pictures(data, SHAPE, cache=cache)
    assert first.cached == "written"
    monkeypatch.setattr(under_test, "decoded", None)
    second = read_pictures(data, SHAPE, cache=cache)
    assert second.cached == "read"
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert (first.digests, first.files) == (second.digests, second.files)
    assert len(entries(cache)) == 1
    with pytest.raises(ValueError, match="read-only"):
        second.pixels[0] = 0


def test_what_the_pixels_depend_on(data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def state(**changes: Any) -> str:
        given: dict[str, Any] = {"folder": data, "shape": SHAPE, "cache": cache} | changes
        return read_pictures(**given).cached

    assert state() == "written"
    for changes in (
        {"shape": (32, 32, 1)},
        {"shape": (32, 40, 3)},
        {"preprocessing": Preprocessing("stretch")},
        {"preprocessing": Preprocessing(side=36)},
    ):
        assert (state(**changes), state(**changes)) == ("written", "read")
    assert state(preprocessing=Preprocessing(scale=1 / 255)) == "read"  # the scale is not applied here
    os.utime(data / "a" / "0.png", ns=(1, 1))
    assert (state(), state()) == ("written", "read")
    write_picture(data / "a" / "new.png", noise(77))
    assert (state(), state()) == ("written", "read")
    (data / "a" / "new.png").unlink()
    assert state() == "read"
    monkeypatch.setattr("chipfit.training.cache.CACHE_VERSION", 0)
    assert state() == "written"


def damage_pixels(entry: Path) -> None:
    raw = bytearray((entry / "pixels.npy").read_bytes())
    raw[-5] ^= 1
    (entry / "pixels.npy").write_bytes(raw)


def change_index(key: str, value: Any) -> Any:
    def change(entry: Path) -> None:
        index = json.loads((entry / "index.json").read_text())
        (entry / "index.json").write_text(json.dumps(index | {key: value}))

    return change


DAMAGES = {
    "a bit": damage_pixels,
    "truncated": lambda entry: os.truncate(entry / "pixels.npy", 200),
    "no pixels": lambda entry: (entry / "pixels.npy").unlink(),
    "no index": lambda entry: (entry / "index.json").unlink(),
    "no JSON": lambda entry: (entry / "index.json").write_text("{"),
    "a list": lambda entry: (entry / "index.json").write_text("[]"),
    "other digests": change_index("digests", ["x"]),
    "an empty digest": change_index("digests", ["", "x", "x", "x", "x"]),
    "broken": change_index("broken", {"0": "why"}),
    "null": change_index("broken", None),
    "another type": lambda entry: np.save(entry / "pixels.npy", np.zeros((5, *SHAPE), np.int8)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_made_again(damage: str, data: Path, cache: Path) -> None:
    first = read_pictures(data, SHAPE, cache=cache)
    expected = first.pixels.copy()
    del first  # Windows changes no file that is mapped
    DAMAGES[damage](entries(cache)[0])
    for state in ("written", "read"):
        pictures = read_pictures(data, SHAPE, cache=cache)
        assert pictures.cached == state
        np.testing.assert_array_equal(pictures.pixels, expected)
        del pictures
    assert len(entries(cache)) == 1


def test_an_interrupted_run_leaves_nothing(data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "_AT_ONCE", 2)

    def interrupt(what: str, done: int, count: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_pictures(data, SHAPE, cache=cache, progress=interrupt)
    assert entries(cache) == []


def test_a_cache_that_cannot_be_written_is_done_without(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    pictures = read_pictures(data, SHAPE, cache=tmp_path / "file")
    assert pictures.cached.startswith(f"cannot write to {tmp_path / 'file'}")
    np.testing.assert_array_equal(pictures.pixels, read_pictures(data, SHAPE, cache=False).pixels)


def test_a_disk_that_is_full(data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Cache, "put_in_place", full)
    pictures = read_pictures(data, SHAPE, cache=cache)
    assert pictures.cached.endswith("No space left on device")
    assert len(pictures) == 5
    assert entries(cache) == []


def test_what_was_not_used_for_longest_goes(data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = [(32, side, 3) for side in (32, 33, 34)]
    for i, shape in enumerate(shapes):
        read_pictures(data, shape, cache=cache)
        for age, entry in zip((300, 200, 100), sorted(entries(cache), key=lambda e: e.stat().st_mtime), strict=False):
            os.utime(entry, (1e9 - age, 1e9 - age))
        assert len(entries(cache)) == i + 1
    assert read_pictures(data, shapes[0], cache=cache).cached == "read"  # in use again
    (cache / ".new-stale").mkdir()
    os.utime(cache / ".new-stale", (1e9, 1e9))
    (cache / ".new-at-work").mkdir()
    (cache / "of somebody else").mkdir()
    monkeypatch.setattr("chipfit.training.cache.MOST_CACHED", 40_000)  # two and a half
    read_pictures(data, (32, 35, 3), cache=cache)
    monkeypatch.setattr("chipfit.training.cache.MOST_CACHED", 1 << 30)
    assert {e.name for e in entries(cache)} >= {".new-at-work", "of somebody else"}
    assert not (cache / ".new-stale").exists()
    states = [read_pictures(data, shape, cache=cache).cached for shape in (shapes[0], (32, 35, 3), shapes[2])]
    assert states == ["read", "read", "written"]


def test_the_entry_in_use_stays(data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chipfit.training.cache.MOST_CACHED", 0)
    assert [read_pictures(data, SHAPE, cache=cache).cached for _ in range(2)] == ["written", "read"]


def test_two_at_once(data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process writes the same entry while this one does: one of them stays, and it is whole."""
    put = Cache.put_in_place

    def put_twice(self: Cache, staged: Path) -> None:
        shutil.copytree(staged, self.root / self.key)
        put(self, staged)

    monkeypatch.setattr(Cache, "put_in_place", put_twice)
    assert read_pictures(data, SHAPE, cache=cache).cached == "written"
    assert len(entries(cache)) == 1
    assert read_pictures(data, SHAPE, cache=cache).cached == "read"


def test_the_users_cache(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, appauthor: tmp_path / str(name))
    assert default_folder() == tmp_path / "chipfit" / "pictures"
    assert read_pictures(data, SHAPE).cached == "written"
    assert len(entries(default_folder())) == 1


def test_a_name_that_is_no_text(data: Path, cache: Path) -> None:
    try:
        shutil.copy(data / "a" / "0.png", os.fsdecode(os.fsencode(data / "a") + b"/\xff.png"))
    except OSError:
        pytest.skip("this file system takes only text")
    assert len(read_pictures(data, SHAPE, cache=cache)) == 6
