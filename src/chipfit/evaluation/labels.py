"""Which class each sample is of, and what the classes are called."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array

NAMES_HINT = "name the classes in the model's order, one a line, in a text file: --labels FILE"


@dataclass(frozen=True, eq=False)
class Labels:
    """``index``: class of each sample, (samples,), int64; None: unknown. ``names``: of the classes, by index; None:
    unknown. ``how``: where the classes come from. ``by_order``: their order is only that of their names."""

    index: Array | None
    names: tuple[str, ...] | None
    how: str | None
    by_order: bool = False


@dataclass(frozen=True)
class Wanted:
    """What the user said of labels. ``number``: the number at the beginning of a file's name is the class, plus
    ``offset``. ``table``: a CSV file of paths and labels. ``names``: a file with a name a line."""

    number: bool = False
    offset: int = 0
    table: Path | None = None
    names: tuple[str, ...] | None = None


def wanted_labels(texts: Sequence[str]) -> Wanted:
    """``name``, ``name+1``, a ``.csv`` file, or a file of names. Raises ChipfitError F001 or Q006."""
    number, offset, table, names = False, 0, None, None
    for text in texts:
        match = re.fullmatch(r"name([+-]\d+)?", text)
        if match:
            number, offset = True, int(match[1] or 0)
        elif text.lower().endswith(".csv"):
            table = Path(text)
        else:
            names = tuple(line.strip() for line in _lines(Path(text)) if line.strip())
            if len(set(names)) != len(names):
                raise ChipfitError("Q006", f"'{text}' names a class twice", "one name a line, in the model's order")
    if number and table:
        raise ChipfitError("Q006", f"labels come from names of files or from '{table}', not from both")
    return Wanted(number, offset, table, names)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        hint = "--labels takes `name`, `name+1`, a .csv file of path,label, or a text file with a name a line"
        raise ChipfitError("F001", f"cannot read '{path}': {error}", hint) from None


def labels_of_files(files: Sequence[Path], folder: Path, wanted: Wanted) -> Labels:
    """The class of each picture: by the number in its name where that is wanted, else by its folder.

    Files that lie in ``folder`` itself have no class. Raises ChipfitError Q006.
    """
    if wanted.number:
        numbers = [re.match(r"\d+", f.name) for f in files]
        without = [f.name for f, n in zip(files, numbers, strict=True) if n is None]
        if without:
            raise ChipfitError("Q006", f"{len(without)} files begin with no number, the first is '{without[0]}'")
        index = np.array([int(n[0]) + wanted.offset for n in numbers if n], np.int64)
        return Labels(index, wanted.names, "the numbers in the files' names")
    folders = [f.relative_to(folder).parts[0] if f.parent != folder else "" for f in files]
    if set(folders) == {""}:
        return Labels(None, wanted.names, None)
    if "" in folders:
        stray = files[folders.index("")].name
        raise ChipfitError("Q006", f"'{stray}' lies beside the folders of the classes", "move it into one of them")
    names = wanted.names or tuple(sorted(set(folders)))
    return Labels(_by_name(folders, names, "folder"), names, "folders", by_order=wanted.names is None)


def table_of_files(folder: Path, table: Path, names: tuple[str, ...] | None) -> tuple[list[Path], Labels]:
    """The pictures that a CSV file lists with their classes: ``path,label``, paths from ``folder`` on, labels as
    indices or names. A first line that names no file is a heading. Raises ChipfitError F001 or Q006."""
    rows = [(n, [cell.strip() for cell in row]) for n, row in enumerate(csv.reader(_lines(table)), 1) if row]
    if rows and len(rows[0][1]) > 1 and not (folder / rows[0][1][0]).is_file():
        rows = rows[1:]
    files: list[Path] = []
    for number, row in rows:
        if len(row) < 2 or not (folder / row[0]).is_file():
            raise ChipfitError(
                "Q006", f"{table}, line {number}: there is no file '{row[0]}' in '{folder}' with a label behind it",
                "each line is a path, a comma and a label",
            )  # fmt: skip
        files.append(folder / row[0])
    if not files:
        raise ChipfitError("Q001", f"'{table}' lists no pictures")
    texts = [row[1] for _, row in rows]
    if all(re.fullmatch(r"-?\d+", text) for text in texts):
        return files, Labels(np.array([int(t) for t in texts], np.int64), names, table.name)
    known = names or tuple(sorted(set(texts)))
    return files, Labels(_by_name(texts, known, "label"), known, table.name, by_order=names is None)


def labels_of_array(array: Array, wanted: Wanted, how: str) -> Labels:
    """Indices (samples,) or (samples, 1), or one-hot (samples, classes). Raises ChipfitError Q006."""
    if array.ndim == 2 and array.shape[1] > 1 and (np.sort(array, axis=1)[:, :-1] == 0).all():
        array = array.argmax(axis=1)
    array = array.reshape(len(array), -1) if array.ndim else array.reshape(1, 1)
    if array.shape[1] != 1 or array.dtype.kind not in "iubf" or (array != np.rint(array)).any():
        raise ChipfitError("Q006", f"labels of the form {array.dtype}{list(array.shape)} are no indices of classes")
    return Labels(array[:, 0].astype(np.int64), wanted.names, how)


def _by_name(found: Sequence[str], names: tuple[str, ...], what: str) -> Array:
    index = {name: i for i, name in enumerate(names)}
    unknown = sorted({name for name in found if name not in index})
    if unknown:
        raise ChipfitError("Q006", f"{what} '{unknown[0]}' is none of the {len(names)} classes", NAMES_HINT)
    return np.array([index[name] for name in found], np.int64)


def check_labels(labels: Labels, classes: int) -> None:
    """Raise ChipfitError Q006 unless the labels are classes of a model that tells ``classes`` apart."""
    if labels.names is not None and len(labels.names) != classes:
        if labels.index is None or not labels.by_order:
            raise ChipfitError("Q006", f"{len(labels.names)} classes are named, the model has {classes}", NAMES_HINT)
        raise ChipfitError(
            "Q006", f"there are {len(labels.names)} {labels.how}, the model has {classes} classes", NAMES_HINT
        )
    if labels.index is None or not len(labels.index):
        return
    low, high = int(labels.index.min()), int(labels.index.max())
    if low < 0 or high >= classes:
        wrong = low if low < 0 else high
        hint = f"labels run from 0 to {classes - 1}"
        if labels.how and "names" in labels.how:
            hint += "; `--labels name+1` adds one, for models whose class 0 is the background"
        raise ChipfitError("Q006", f"label {wrong} is no class of the model, which has {classes}", hint)
