"""Which pictures a network learns from, and which it is judged by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.training.pictures import PictureSet

_BLOCK = 20
"""Pictures that lie on one side together: a second of a video, more or less."""


@dataclass(frozen=True)
class Copies:
    """Files with the same bytes, as pairs of names.

    ``across``: in training and in validation: the network is judged by what it has learned by heart.
    ``in_two_classes``: with different labels: one of them is wrong.
    """

    across: tuple[tuple[str, str], ...] = ()
    in_two_classes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Split:
    """``train`` and ``validation``: indices into the pictures, (n,), int64, rising. ``how``: who decided."""

    train: Array
    validation: Array
    how: str
    copies: Copies = Copies()

    def to_json(self, pictures: PictureSet) -> dict[str, Any]:
        """The names of the files on both sides."""
        train, validation = ([pictures.files[i] for i in part] for part in (self.train, self.validation))
        return {"how": self.how, "train": train, "validation": validation}


def split_pictures(pictures: PictureSet, fraction: float = 0.2, seed: int = 0) -> Split:
    """By the folders where they say it, else ``fraction`` of each class for validation.

    Of a class with two pictures or more at least one is on each side; a single one is trained with. Which ones depends
    on the seed and on the files' bytes alone: not on names, order or other pictures. Copies stay on one side.

    Raises ChipfitError U001 if the fraction is not between 0 and 1.
    """
    if pictures.in_validation is not None:
        chosen, how = pictures.in_validation, "by folder"
    else:
        _check_fraction(fraction)
        chosen = np.zeros(len(pictures), bool)
        for label in range(len(pictures.classes)):
            chosen[_drawn(pictures, np.flatnonzero(pictures.labels == label), fraction, seed)] = True
        how = f"{100 * fraction:g} % of each class, seed {seed}"
    train, validation = np.flatnonzero(~chosen), np.flatnonzero(chosen)
    return Split(train, validation, how, _copies(pictures, chosen))


def split_rows(pictures: PictureSet, fraction: float = 0.2, seed: int = 0) -> Split:
    """For pictures with numbers: whole blocks of neighbours, ``fraction`` of them for validation, drawn by the seed.

    Pictures of a video are like those before and behind them: drawn one by one, each would have been learned almost.
    Neighbours are those whose rows follow each other in the file; a block has 20 of them, or a tenth of all if that is
    less. Of copies that lie on both sides :attr:`Split.copies` tells. Raises ChipfitError U001 if the fraction is not
    between 0 and 1.
    """
    _check_fraction(fraction)
    count = len(pictures)
    length = max(1, min(_BLOCK, count // 10))
    blocks = -(-count // length)
    wanted = min(max(1, round(fraction * blocks)), blocks - 1)
    drawn = np.random.default_rng(seed).permutation(blocks)[:wanted]
    chosen = np.isin(np.arange(count) // length, drawn)
    how = f"{100 * fraction:g} % in blocks of {length} rows, seed {seed}"
    return Split(np.flatnonzero(~chosen), np.flatnonzero(chosen), how, _copies(pictures, chosen))


def class_weights(labels: Array, classes: int) -> Array:
    """(classes,), float64: ``n / (classes * n_c)``, so that each class counts alike; 0 for a class without pictures."""
    counts = np.bincount(labels, minlength=classes)
    return np.where(counts > 0, len(labels) / (classes * np.maximum(counts, 1)), 0.0)


def _check_fraction(fraction: float) -> None:
    if not 0.0 < fraction < 1.0:
        raise ChipfitError("U001", f"a fraction of {fraction:g} for validation", "it is between 0 and 1, such as 0.2")


def _drawn(pictures: PictureSet, indices: Array, fraction: float, seed: int) -> list[int]:
    """Those of one class that validate. Files with the same bytes have the same key, and lie side by side."""
    order = sorted((_key(seed, pictures.digests[i]), int(i)) for i in indices)
    groups = [[i for _, i in group] for _, group in groupby(order, key=lambda pair: pair[0])]
    if len(groups) < 2:  # all are copies of one: they lie on both sides, or there would be nothing to judge by
        groups = [[i] for _, i in order]
    wanted = max(1, round(fraction * len(indices)))
    drawn: list[int] = []
    for group in groups[:-1]:
        if len(drawn) >= wanted:
            break
        drawn += group
    return drawn


def _key(seed: int, digest: str) -> bytes:
    return blake2b(f"{seed} {digest}".encode(), digest_size=8).digest()


def _copies(pictures: PictureSet, is_validation: Array) -> Copies:
    by_digest: dict[str, list[int]] = {}
    for i, digest in enumerate(pictures.digests):
        by_digest.setdefault(digest, []).append(i)
    across: list[tuple[str, str]] = []
    in_two: list[tuple[str, str]] = []
    for same in by_digest.values():
        train = [i for i in same if not is_validation[i]]
        across += [(pictures.files[train[0]], pictures.files[i]) for i in same if train and is_validation[i]]
        in_two += list(_of_other_class(pictures, same))
    return Copies(tuple(across), tuple(in_two))


def _of_other_class(pictures: PictureSet, same: Sequence[int]) -> Iterator[tuple[str, str]]:
    first = same[0]
    for i in same[1:]:
        if pictures.labels[i] != pictures.labels[first]:
            yield pictures.files[first], pictures.files[i]


def in_turns(labels: Array, indices: Array, seed: int) -> Array:
    """Indices in random order, one of each class after the other as long as there are any: so are the first ones of
    all classes."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(indices)
    turns = np.empty(len(shuffled), np.int64)
    for label in np.unique(labels[shuffled]):
        own = np.flatnonzero(labels[shuffled] == label)
        turns[own] = np.arange(len(own))
    return shuffled[np.lexsort((labels[shuffled], turns))]
