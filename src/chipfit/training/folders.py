"""Which pictures there are, and of which class each is: found by the folders that they lie in."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chipfit.errors import ChipfitError
from chipfit.quantize.pictures import IMAGE_ENDINGS

TRAIN_NAMES = ("train", "training")
VALIDATION_NAMES = ("val", "validation", "valid", "test")
"""Sub-folders with pictures to train and to validate with, in any case; of several the first one here."""
_NO_CLASSES = ("__MACOSX", "__pycache__")
_ARRANGE = "one sub-folder per class, with the pictures of the class in it: '{0}/cat/1.jpg', '{0}/dog/1.jpg'"


@dataclass(frozen=True)
class Listed:
    """A picture's file and its class. ``name``: its path in the folder that was given, with ``/``."""

    path: Path
    name: str
    label: int
    is_validation: bool


@dataclass(frozen=True)
class Found:
    """``classes``: sorted by name. ``files``: sorted by part, then by name. ``has_validation``: a folder of its own.

    ``ignored``: how many other files there are, by ending. ``unused``: folders that are left aside.
    """

    classes: tuple[str, ...]
    files: tuple[Listed, ...]
    has_validation: bool
    ignored: dict[str, int]
    unused: tuple[str, ...] = ()


def find_pictures(folder: Path, validation: Path | None = None) -> Found:
    """Pictures of a folder with a sub-folder for each class, or with ``train`` and ``val`` of such folders.

    ``validation``: a folder of its own to validate with. Hidden files are left out; the order does not depend on the
    file system. Raises ChipfitError F001 (no folder) or N001 (not arranged like this, empty, fewer than two classes,
    other classes in the validation folder).
    """
    check_folder(folder)
    train, *others = _parts(folder)
    if validation is not None:
        check_folder(validation)
    parts = [train, *(others[:1] if validation is None else [validation])]
    unused = tuple(p.name for p in others if p.resolve() != parts[1].resolve())
    other: Counter[str] = Counter()
    classes = _classes(parts[0])
    if len(parts) == 2:
        _same_classes(parts[0], classes, parts[1], _classes(parts[1]))
    files: list[Listed] = []
    for is_validation, part in enumerate(parts):
        start = validation.parent if is_validation and validation is not None else folder
        for label, name in enumerate(classes):
            paths = _pictures_of(part / name, other)
            if not paths:
                raise ChipfitError("N001", f"there are no pictures in '{part / name}'", _endings_hint(other))
            files += [Listed(p, p.relative_to(start).as_posix(), label, bool(is_validation)) for p in paths]
    return Found(classes, tuple(files), len(parts) == 2, dict(other.most_common()), unused)


def check_folder(folder: Path) -> None:
    """Raise ChipfitError F001 where there is none."""
    if not folder.exists():
        raise ChipfitError("F001", f"there is no folder '{folder}'", "pictures are read from a folder")
    if not folder.is_dir():
        raise ChipfitError("F001", f"'{folder}' is a file", "pictures are read from a folder")


def _parts(folder: Path) -> list[Path]:
    """The folder to train with, then those to validate with, the best by its name first."""
    names = {name.lower(): name for name in _folders_of(folder)}
    if not names or not names.keys() <= {*TRAIN_NAMES, *VALIDATION_NAMES}:
        return [folder]
    train = [names[n] for n in TRAIN_NAMES if n in names]
    validation = [names[n] for n in VALIDATION_NAMES if n in names]
    if len(train) > 1 or (not train and len(validation) > 1):  # classes may have such names
        return [folder]
    if not train:
        raise ChipfitError("N001", f"'{folder}' has a folder '{validation[0]}' and no folder 'train'", _arrange(folder))
    return [folder / name for name in (*train, *validation)]


def _classes(folder: Path) -> tuple[str, ...]:
    classes = tuple(_folders_of(folder))
    if len(classes) > 1:
        return classes
    if classes:
        inner = _folders_of(folder / classes[0])
        hint = f"are the classes in it? Then name '{folder / classes[0]}'" if len(inner) > 1 else _arrange(folder)
        raise ChipfitError("N001", f"'{folder}' has one class only, '{classes[0]}'", hint)
    if _pictures_of(folder, Counter()):
        raise ChipfitError(
            "N001", f"the pictures lie directly in '{folder}': their classes are unknown", _arrange(folder)
        )
    raise ChipfitError("N001", f"there are no classes in '{folder}'", _arrange(folder))


def _same_classes(train: Path, ours: Sequence[str], validation: Path, theirs: Sequence[str]) -> None:
    missing = [n for n in ours if n not in theirs]
    added = [n for n in theirs if n not in ours]
    if missing or added:
        said = [f"'{validation}' lacks {_named(missing)}"] * bool(missing)
        said += [f"'{train}' lacks {_named(added)}"] * bool(added)
        raise ChipfitError("N001", f"training and validation have other classes: {', '.join(said)}", "name them alike")


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{n}'" for n in names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"


def _folders_of(folder: Path) -> list[str]:
    try:
        return sorted(p.name for p in folder.iterdir() if p.is_dir() and not _is_hidden(p.name))
    except OSError as error:
        raise _unreadable(error) from None


def _unreadable(error: OSError) -> ChipfitError:
    return ChipfitError("F001", f"cannot read the folder '{error.filename}': {error.strerror}")


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _NO_CLASSES


def _pictures_of(folder: Path, other: Counter[str]) -> list[Path]:
    """Sorted by path, from all folders below; ``other`` counts files of other endings."""
    found: list[Path] = []

    def fail(error: OSError) -> None:
        raise _unreadable(error)

    for at, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [n for n in folders if not _is_hidden(n)]
        for name in names:
            path = Path(at, name)
            ending = path.suffix.lower()
            if _is_hidden(name):
                continue
            if ending in IMAGE_ENDINGS:
                found.append(path)
            else:
                other[ending or "without an ending"] += 1
    return sorted(found, key=lambda p: p.relative_to(folder).parts)


def pictures_below(folder: Path) -> list[Path]:
    """All pictures in a folder and in those below, sorted by path. Raises ChipfitError F001."""
    return _pictures_of(folder, Counter())


def _arrange(folder: Path) -> str:
    return "arrange them so: " + _ARRANGE.format(folder)


def _endings_hint(other: Counter[str]) -> str:
    others = f"; other files there: {', '.join(f'{n} {e}' for e, n in other.most_common(3))}" if other else ""
    return f"remove the folder or fill it; pictures end with {', '.join(IMAGE_ENDINGS)}{others}"
