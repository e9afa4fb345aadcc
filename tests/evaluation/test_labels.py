"""Where classes come from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.evaluation.labels import (
    Labels,
    Wanted,
    check_labels,
    labels_of_array,
    labels_of_files,
    table_of_files,
    wanted_labels,
)

AT = Path("data")


def index(labels: Labels) -> list[int]:
    assert labels.index is not None
    assert labels.index.dtype == np.int64
    return labels.index.tolist()


def test_folders_are_classes_in_the_order_of_their_names() -> None:
    files = [AT / "dog/1.png", AT / "cat/1.png", AT / "dog/deeper/2.png"]
    labels = labels_of_files(files, AT, Wanted())
    assert (index(labels), labels.names, labels.how) == ([1, 0, 1], ("cat", "dog"), "folders")


def test_names_give_another_order() -> None:
    labels = labels_of_files([AT / "dog/1.png", AT / "cat/1.png"], AT, Wanted(names=("dog", "bird", "cat")))
    assert index(labels) == [0, 2]
    check_labels(labels, 3)


def test_files_without_folders_have_no_class() -> None:
    labels = labels_of_files([AT / "1.png"], AT, Wanted())
    assert (labels.index, labels.how) == (None, None)


def test_numbers_in_names() -> None:
    files = [AT / "0007_tench.jpg", AT / "12.png"]
    assert index(labels_of_files(files, AT, wanted_labels(["name"]))) == [7, 12]
    assert index(labels_of_files(files, AT, wanted_labels(["name+1"]))) == [8, 13]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).touch()
    return tmp_path


def table(folder: Path, text: str, *names: str) -> tuple[list[str], Labels]:
    file = folder / "t.csv"
    file.write_text(text, encoding="utf-8")
    assert wanted_labels([str(file)]).table == file
    files, labels = table_of_files(folder, file, names or None)
    return [f.name for f in files], labels


def test_a_table_says_which_files_and_in_which_order(pictures: Path) -> None:
    files, labels = table(pictures, "path,label\nc.png,2\n\na.png, 0\n")
    assert (files, index(labels), labels.names, labels.how) == (["c.png", "a.png"], [2, 0], None, "t.csv")
    files, labels = table(pictures, "b.png,dog\na.png,cat\n")
    assert (files, index(labels), labels.names) == (["b.png", "a.png"], [1, 0], ("cat", "dog"))
    assert index(table(pictures, "b.png,dog\n", "bird", "dog")[1]) == [1]


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("path,label\na.png,0\nabsent.png,1\n", "Q006", "line 3.*absent.png"),
        ("a.png\n", "Q006", "line 1"),
        ("path,label\n", "Q001", "no pictures"),
    ],
)
def test_bad_tables(pictures: Path, text: str, code: str, says: str) -> None:
    with pytest.raises(ChipfitError, match=says) as caught:
        table(pictures, text)
    assert caught.value.code == code


def test_a_file_of_names(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\ufeffcat\n\n dog \n", encoding="utf-8")
    assert wanted_labels(["name", str(tmp_path / "names.txt")]) == Wanted(True, 0, None, ("cat", "dog"))
    (tmp_path / "twice.txt").write_text("cat\ncat\n")
    for words, code in (
        ([str(tmp_path / "twice.txt")], "Q006"),
        ([str(tmp_path / "absent.txt")], "F001"),
        (["name", "t.csv"], "Q006"),
    ):
        with pytest.raises(ChipfitError) as caught:
            wanted_labels(words)
        assert caught.value.code == code


def test_arrays() -> None:
    assert index(labels_of_array(np.array([3, 1], np.uint8), Wanted(), "y")) == [3, 1]
    assert index(labels_of_array(np.array([[3.0], [1.0]]), Wanted(), "y")) == [3, 1]
    assert index(labels_of_array(np.eye(4)[[3, 1]], Wanted(), "y")) == [3, 1]
    for bad in (np.array([0.5]), np.zeros((2, 3, 4)), np.array([[1, 2], [3, 4]]), np.array(["cat"])):
        with pytest.raises(ChipfitError) as caught:
            labels_of_array(bad, Wanted(), "y")
        assert caught.value.code == "Q006"


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (labels_of_files([AT / "a/1.png", AT / "b/1.png"], AT, Wanted()), "2 folders, the model has 3 classes"),
        (Labels(np.array([0, 3]), None, "y"), "label 3 is no class"),
        (Labels(np.array([-1, 2]), None, "y"), "label -1 is no class"),
        (Labels(np.array([0]), ("a", "b"), "y"), "2 classes are named, the model has 3"),
    ],
)
def test_labels_that_do_not_fit_the_model(labels: Labels, says: str) -> None:
    with pytest.raises(ChipfitError, match=says) as caught:
        check_labels(labels, 3)
    assert caught.value.code == "Q006"


@pytest.mark.parametrize(
    ("files", "wanted", "says"),
    [
        (["dog/1.png", "2.png"], Wanted(), "'2.png' lies beside"),
        (["dog/1.png"], Wanted(names=("cat",)), "folder 'dog' is none of the 1 classes"),
        (["7.png", "x.png"], Wanted(number=True), "1 files begin with no number, the first is 'x.png'"),
    ],
)
def test_files_that_have_no_class(files: list[str], wanted: Wanted, says: str) -> None:
    with pytest.raises(ChipfitError, match=says) as caught:
        labels_of_files([AT / f for f in files], AT, wanted)
    assert caught.value.code == "Q006"
