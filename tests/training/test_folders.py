"""Which pictures are found, of which class they are, and what is said of folders that are arranged otherwise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chipfit.errors import ChipfitError
from chipfit.training.folders import Found, find_pictures


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"not read here")
    return folder


def listed(found: Found) -> list[tuple[str, str, bool]]:
    return [(f.name, found.classes[f.label], f.is_validation) for f in found.files]


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    """Nested files count, hidden ones do not; the order is that of names, and endings are of any case."""
    touch(tmp_path, "dog/2.PNG", "cat/b/1.jpg", "dog/1.tif", "cat/a.gif", "cat/b.jpeg")
    touch(
        tmp_path, "cat/.hidden.jpg", "cat/.thumbs/1.jpg", ".git/x.jpg", "__MACOSX/cat/1.jpg", "dog/notes.txt", "top.jpg"
    )
    touch(tmp_path, "dog/phone.HEIC", "dog/2.heic", "dog/README")
    found = find_pictures(tmp_path)
    assert listed(found) == [
        ("cat/a.gif", "cat", False),
        ("cat/b/1.jpg", "cat", False),
        ("cat/b.jpeg", "cat", False),
        ("dog/1.tif", "dog", False),
        ("dog/2.PNG", "dog", False),
    ]
    assert found.classes == ("cat", "dog")
    assert not found.has_validation
    assert found.ignored == {".heic": 2, ".txt": 1, "without an ending": 1}


@pytest.mark.parametrize(
    ("train", "validation"),
    [("train", "val"), ("Train", "Validation"), ("training", "valid"), ("train", "test")],
)
def test_train_and_validation_folders(train: str, validation: str, tmp_path: Path) -> None:
    touch(tmp_path, f"{train}/cat/1.jpg", f"{train}/dog/1.jpg", f"{validation}/dog/2.jpg", f"{validation}/cat/2.jpg")
    found = find_pictures(tmp_path)
    assert found.has_validation
    assert listed(found) == [
        (f"{train}/cat/1.jpg", "cat", False),
        (f"{train}/dog/1.jpg", "dog", False),
        (f"{validation}/cat/2.jpg", "cat", True),
        (f"{validation}/dog/2.jpg", "dog", True),
    ]


def test_of_several_folders_one_is_used_and_the_others_are_named(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        touch(tmp_path, f"{part}/a/1.jpg", f"{part}/b/1.jpg")
    found = find_pictures(tmp_path)
    assert {f.name.split("/")[0] for f in found.files} == {"train", "val"}
    assert found.unused == ("test",)
    found = find_pictures(tmp_path, tmp_path / "test")
    assert {f.name.split("/")[0] for f in found.files} == {"train", "test"}
    assert found.unused == ("val",)


def test_a_train_folder_alone_and_classes_of_such_names(tmp_path: Path) -> None:
    touch(tmp_path / "one", "train/a/1.jpg", "train/b/1.jpg")
    assert [f.name for f in find_pictures(tmp_path / "one").files] == ["train/a/1.jpg", "train/b/1.jpg"]
    touch(tmp_path / "two", "train/1.jpg", "bus/1.jpg")
    assert find_pictures(tmp_path / "two").classes == ("bus", "train")


def test_a_validation_folder_elsewhere(tmp_path: Path) -> None:
    touch(tmp_path, "data/a/1.jpg", "data/b/1.jpg", "other/a/2.jpg", "other/b/3.jpg")
    found = find_pictures(tmp_path / "data", tmp_path / "other")
    assert [f.name for f in found.files] == ["a/1.jpg", "b/1.jpg", "other/a/2.jpg", "other/b/3.jpg"]
    assert [f.is_validation for f in found.files] == [False, False, True, True]


WRONG = {
    "one class": (["cat/1.jpg"], r"has one class only, 'cat'", r"sub-folder per class"),
    "one folder too much": (
        ["data/cat/1.jpg", "data/dog/1.jpg"],
        r"one class only, 'data'",
        r"are the classes in it\?",
    ),
    "no classes": (["1.jpg", "2.jpg"], r"lie directly in", r"sub-folder per class"),
    "pictures of train": (["train/1.jpg", "val/1.jpg"], r"lie directly in .*train", r"train/cat/1\.jpg"),
    "nothing": (["notes.txt"], r"no classes in", r"sub-folder per class"),
    "empty class": (["a/1.jpg", "b/1.heic"], r"no pictures in .*b'", r"other files there: 1 \.heic"),
    "no train": (["val/a/1.jpg", "val/b/1.jpg"], r"a folder 'val' and no folder 'train'", ""),
    "other classes": (
        ["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/c/1.jpg"],
        r"val' lacks 'b', .*train' lacks 'c'",
        "name them alike",
    ),
    "empty in validation": (
        ["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/b/.keep"],
        r"no pictures in .*val.b'",
        "",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_arrangements(what: str, tmp_path: Path) -> None:
    names, message, hint = WRONG[what]
    with pytest.raises(ChipfitError, match=message) as error:
        find_pictures(touch(tmp_path, *names))
    assert error.value.code == "N001"
    assert re.search(hint, error.value.hint)


def test_no_folder(tmp_path: Path) -> None:
    touch(tmp_path, "data/a/1.jpg", "data/b/1.jpg")
    for folder, validation, message in (
        ("none", None, "there is no folder"),
        ("data/a/1.jpg", None, "is a file"),
        ("data", tmp_path / "none", "there is no folder"),
    ):
        with pytest.raises(ChipfitError, match=message) as error:
            find_pictures(tmp_path / folder, validation)
        assert error.value.code == "F001"
