"""A model that takes part in a comparison: in integers, which are chosen where there are none; its pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from chipfit.comparison.sources import Found
from chipfit.deployment.integers import open_run, quantized_file
from chipfit.deployment.source import pictures_of_run
from chipfit.errors import ChipfitError
from chipfit.metadata import facts_of
from chipfit.model import Model, load
from chipfit.quantize import Preprocessing, Progress
from chipfit.training.run_folder import SPLIT, RunFolder
from chipfit.training.train import Source, source_of


@dataclass(frozen=True)
class RunPictures:
    """Validation pictures of a run. ``key``: equal for runs with the same ones, whatever their sizes; ``files``: their
    paths, in turns of the classes; ``how``: they were chosen."""

    run: Path
    source: Source
    key: tuple[str, str, str]
    how: str
    files: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Member:
    """``model``: integer, as ``file`` has it. ``float_file``: None: there is none. ``pictures``: None: nothing says
    what it was trained with, or ``--data`` says what it is judged by. ``has_seen``: its integers were chosen on the
    first samples of ``--data``; ``learned_of``: the folder that it was trained with; None: unknown."""

    found: Found
    model: Model
    file: Path
    float_file: Path | None
    pictures: RunPictures | None = None
    has_seen: bool = False
    learned_of: Path | None = None


def open_member(
    found: Found, folder: Path, data: Path | None, preprocessing: Preprocessing | None, progress: Progress
) -> Member:
    """``folder``: where its integers are kept if they are chosen here. ``data``: what all are judged by; ``None``: each
    knows its own pictures. ``preprocessing``: how pixels become inputs, for models whose files do not say.

    Raises ChipfitError Q001 for a float model without data, U001 for a run that estimates numbers, and as
    :func:`~chipfit.deployment.integers.open_run` does.
    """
    if found.run is None:
        return _of_files(found, folder, data, preprocessing, None, progress)
    kept = RunFolder(found.run).read_run()
    learned_of = None if kept["data"] is None else Path(kept["data"])
    settings = kept["settings"]
    if settings is not None and settings.get("labels"):
        hint = "its own figures are in run.json"
        raise ChipfitError("U001", f"'{found.run}' estimates numbers: those are compared that tell classes", hint)
    if settings is None or (data is not None and found.file is not None):
        return _of_files(found, folder, data, preprocessing, learned_of, progress)
    file = found.file
    if file is None:
        opened = open_run(found.run, folder, progress=progress)
        file, model, source, files = opened.file, opened.model, opened.source, opened.pictures.files
    else:
        source = source_of(found.run)
        model, files = load(file), pictures_of_run(found.run, source, progress).files
    pictures = None if data is not None else _pictures(found.run, source, files)
    return Member(found, model, file, found.float_file, pictures, learned_of=learned_of)


def _pictures(run: Path, source: Source, files: tuple[str, ...]) -> RunPictures:
    split = json.loads((run / SPLIT).read_text(encoding="utf-8"))
    digest = blake2b("\n".join(sorted(split["validation"])).encode(), digest_size=16).hexdigest()
    of_its_own = "" if source.validation is None else str(source.validation.resolve())
    return RunPictures(run, source, (str(source.data.resolve()), of_its_own, digest), str(split["how"]), files)


def _of_files(
    found: Found,
    folder: Path,
    data: Path | None,
    preprocessing: Preprocessing | None,
    learned_of: Path | None,
    progress: Progress,
) -> Member:
    """Without pictures of its own: a bare model, or a run that is judged by other data."""
    given = found.file or found.float_file or found.path
    model = load(given)
    if not model.is_float or model.is_integer:
        # a deployment without a run has chosen its integers on data of the user, which may be these
        was_chosen = found.kind == "deployment" and found.run is None and found.float_file is not None
        return Member(found, model, given, found.float_file, has_seen=was_chosen, learned_of=learned_of)
    if data is None:
        what = f"'{given}' is a float model: its integers are chosen on typical inputs"
        raise ChipfitError("Q001", what, "--data names a folder of pictures or an .npz file, which judges all models")
    how = facts_of(model).preprocessing or preprocessing
    file = folder / f"{model.name}.tflite"
    made = quantized_file(given, model, data, file, how, progress=progress)
    return Member(found, made, file, given, has_seen=True, learned_of=learned_of)
