"""What models make of samples: all of them of the same ones, or none beside another one that saw others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chipfit.comparison.members import Member, RunPictures
from chipfit.comparison.report import Accuracy, Judged
from chipfit.deployment.integers import LABELS
from chipfit.deployment.source import pictures_of_run
from chipfit.errors import ChipfitError
from chipfit.evaluation import Share, right_answers
from chipfit.evaluation.data import DataSource
from chipfit.evaluation.statistics import difference, share_of
from chipfit.graph import Array
from chipfit.metadata import facts_of
from chipfit.model import load
from chipfit.quantization import CALIBRATED
from chipfit.quantize import Preprocessing, Progress

_OWN_FAULT = ("I001", "I003", "Q002", "Q005", "Q006")
"""Errors of one model and the data, which leave the others comparable."""

_NO_PICTURES = "it comes without pictures of its own: --data judges all models by the same samples"
_NO_LABELS = "the data have no labels"


@dataclass(frozen=True, eq=False)
class Verdict:
    """``right``: samples that the integer model tells right, (samples,), bool, ``float_right``: the float one; of the
    samples at place ``judged``. None: unknown, and ``unknown`` says why."""

    judged: int | None
    right: Array | None
    float_right: Array | None
    unknown: str = ""


def judge_members(
    members: Sequence[Member],
    data: Path | None,
    preprocessing: Preprocessing | None,
    limit: int | None,
    progress: Progress,
) -> tuple[tuple[Judged, ...], list[Verdict]]:
    """By ``data``, or else each run by its validation pictures; at most ``limit`` samples.

    Raises ChipfitError as :func:`chipfit.evaluate_models` does, where no model can be judged by the data.
    """
    if data is not None:
        return _by_data(members, data, preprocessing, limit, progress)
    groups: dict[tuple[str, str, str], list[Member]] = {}
    for member in members:
        if member.pictures is not None:
            groups.setdefault(member.pictures.key, []).append(member)
    judged: list[Judged] = []
    verdicts: dict[Member, Verdict] = {}
    for place, group in enumerate(groups.values()):
        known = [m.pictures for m in group if m.pictures is not None]
        # of large pictures fewer are kept
        common = set.intersection(*(set(p.files) for p in known))
        files = [f for f in known[0].files if f in common][:limit]
        for member, pictures in zip(group, known, strict=True):
            verdicts[member] = _by_pictures(member, pictures, files, place, progress)
        source = known[0].source
        judged.append(Judged(str(source.validation or source.data), f"validation pictures: {known[0].how}", len(files)))
    return tuple(judged), [verdicts.get(m, Verdict(None, None, None, _NO_PICTURES)) for m in members]


def _by_pictures(
    member: Member, pictures: RunPictures, files: Sequence[str], place: int, progress: Progress
) -> Verdict:
    """The same files for each, at the size and in the colours that it takes."""
    found = pictures_of_run(pictures.run, pictures.source, progress)
    at = {file: i for i, file in enumerate(found.files)}
    index = np.array([at[file] for file in files])
    data = {member.model.inputs[0].name: found.validation[index], LABELS: found.labels[index]}
    return _verdict(member, right_answers(_models(member), data, progress=progress), place)


def _by_data(
    members: Sequence[Member],
    data: Path,
    preprocessing: Preprocessing | None,
    limit: int | None,
    progress: Progress,
) -> tuple[tuple[Judged, ...], list[Verdict]]:
    """Behind the samples that integers were chosen on, as far as there are others."""
    seen = CALIBRATED if any(m.has_seen for m in members) else 0
    most = None if limit is None else limit + seen
    verdicts: list[Verdict] = []
    errors: list[ChipfitError] = []
    for member in members:
        try:
            right = _right(member, data, preprocessing, most, progress)
            verdicts.append(_verdict(member, right, 0))
        except ChipfitError as error:
            if error.code not in _OWN_FAULT:
                raise
            errors.append(error)
            verdicts.append(Verdict(None, None, None, error.message))
    if len(errors) == len(members):
        raise errors[0]
    counts = {len(v.right) for v in verdicts if v.right is not None}
    if not counts:
        return (), verdicts
    count = max(counts)
    skipped = seen if count > seen else 0
    chosen = slice(skipped, None if limit is None else skipped + limit)
    how = f"behind the first {skipped}, on which integers were chosen" if skipped else "all"
    if seen and not skipped:
        how = "all; integers were chosen on some of them, for want of others"
    cut = [Verdict(v.judged, _part(v.right, chosen), _part(v.float_right, chosen), v.unknown) for v in verdicts]
    return (Judged(str(data), how, len(range(count)[chosen]), skipped),), cut


def _part(right: Array | None, chosen: slice) -> Array | None:
    return None if right is None else right[chosen]


def _right(
    member: Member, data: DataSource, preprocessing: Preprocessing | None, most: int | None, progress: Progress
) -> list[Array] | None:
    says = facts_of(load(member.file)).preprocessing is not None
    stated = None if says else preprocessing
    return right_answers(_models(member), data, preprocessing=stated, limit=most, progress=progress)


def _models(member: Member) -> list[Path]:
    return [member.file] if member.float_file is None else [member.float_file, member.file]


def _verdict(member: Member, right: list[Array] | None, place: int) -> Verdict:
    if right is None:
        return Verdict(None, None, None, _NO_LABELS)
    return Verdict(place, right[-1], None if member.float_file is None else right[0])


def accuracy_of(name: str, verdict: Verdict, first_name: str, first: Verdict) -> Accuracy | None:
    """With the points above the first model, where it was judged by the same samples."""
    if verdict.right is None or verdict.judged is None:
        return None
    points = apart = None
    if verdict is not first and first.right is not None and first.judged == verdict.judged:
        points = 100 * float(verdict.right.mean() - first.right.mean())
        apart = difference((first_name, name), first.right, verdict.right)
    whole = None if verdict.float_right is None else _share(verdict.float_right)
    return Accuracy(verdict.judged, whole, _share(verdict.right), points, apart)


def _share(right: Array) -> Share:
    return share_of(int(right.sum()), len(right))
