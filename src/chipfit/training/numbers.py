"""Numbers that belong to pictures, from a ``.csv`` file, as a network learns them."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.training.folders import Found, Listed, check_folder, pictures_below

_HINT = "a row is: name of a file, then numbers, with commas between; the first row may name the columns"


@dataclass(frozen=True, eq=False)
class Numbers:
    """``names``: of the columns. ``values``: (rows, columns), float64. ``found``: the rows' pictures, in the order of
    the file; the label of each is its row. ``without``: pictures of the folder that no row names."""

    names: tuple[str, ...]
    values: Array
    found: Found
    without: int


@dataclass(frozen=True, eq=False)
class Standard:
    """What numbers are standardised by: the mean and the deviation of each column, (columns,), float64, in its unit."""

    mean: Array
    deviation: Array

    @staticmethod
    def of(values: Array, names: Sequence[str]) -> Standard:
        """``values``: (n, columns). Raises ChipfitError N001 for a column of one value."""
        for name, column in zip(names, values.T, strict=True):
            if column.min() == column.max():
                message = f"'{name}' is {column[0]:g} for all pictures to train with: there is nothing to learn"
                raise ChipfitError("N001", message, "leave the column out")
        return Standard(values.mean(axis=0), values.std(axis=0))

    def apply(self, values: Array) -> Array:
        """To mean 0 and deviation 1, float32."""
        return ((values - self.mean) / self.deviation).astype(np.float32)

    def folded(self, kernel: Array, bias: Array) -> tuple[Array, Array]:
        """A last layer, (units, columns) and (columns,), that gives numbers in their units, float32."""
        return (
            (kernel * self.deviation).astype(np.float32),
            (bias * self.deviation + self.mean).astype(np.float32),
        )


def read_numbers(file: Path, folder: Path) -> Numbers:
    """The rows of a file: name of a picture's file, then numbers. Without a heading columns are ``number 1`` and so on.

    The name is a path in the folder, with ``/``, or the bare name of a file somewhere below it. Raises ChipfitError
    F001 (no file, no folder) or N001 (a row without its picture, or with what is no number; fewer than 2 rows).
    """
    check_folder(folder)
    rows = _rows(file)
    below = pictures_below(folder)
    by_path = {path.relative_to(folder).as_posix(): path for path in below}
    by_name: dict[str, list[Path]] = {}
    for path in below:
        by_name.setdefault(path.name, []).append(path)
    names = [f"number {i}" for i in range(1, len(rows[0][1]))]
    if not any(_is_number(cell) for cell in rows[0][1][1:]):
        names = [cell.strip() for cell in rows.pop(0)[1][1:]]
    if len(rows) < 2:
        raise ChipfitError("N001", f"'{file}' has {len(rows)} row(s) with numbers, too few to learn from", _HINT)
    listed: list[Listed] = []
    seen: dict[Path, int] = {}
    values = np.empty((len(rows), len(names)))
    for row, (line, cells) in enumerate(rows):
        where = f"line {line} of '{file}'"
        if len(cells) != len(names) + 1:
            raise ChipfitError("N001", f"{where} has {len(cells) - 1} numbers, others have {len(names)}", _HINT)
        path = _picture(cells[0].strip(), by_path, by_name, where, folder)
        if path in seen:
            raise ChipfitError("N001", f"{where} names '{cells[0]}' again, after line {seen[path]}", "one row for each")
        seen[path] = line
        for column, cell in enumerate(cells[1:]):
            if not _is_number(cell):
                raise ChipfitError("N001", f"{where}: '{names[column]}' is '{cell.strip()}', no number", _HINT)
            values[row, column] = float(cell)
        listed.append(Listed(path, path.relative_to(folder).as_posix(), row, is_validation=False))
    return Numbers(tuple(names), values, Found(tuple(names), tuple(listed), False, {}), len(below) - len(listed))


def _rows(file: Path) -> list[tuple[int, list[str]]]:
    """Numbers of lines, from 1, and cells; empty lines are left out."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened)
            rows = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except OSError as error:
        hint = "--labels names a .csv file"
        raise ChipfitError("F001", f"cannot read '{file}': {error.strerror or error}", hint) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ChipfitError("N001", f"'{file}' is no table of text: {error}", _HINT) from None
    if not rows or len(rows[0][1]) < 2:
        raise ChipfitError("N001", f"'{file}' has no column of numbers", _HINT)
    return rows


def _picture(
    name: str, by_path: dict[str, Path], by_name: dict[str, list[Path]], where: str, folder: Path
) -> Path:  # fmt: skip
    if name in by_path:
        return by_path[name]
    same = by_name.get(name, [])
    if len(same) == 1:
        return same[0]
    if same:
        first = same[0].relative_to(folder).as_posix()
        raise ChipfitError("N001", f"{where}: {len(same)} pictures have the name '{name}'", f"write '{first}', say")
    hint = "names are those of files below the folder that was given"
    raise ChipfitError("N001", f"{where}: there is no picture '{name}' in '{folder}'", hint)


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
