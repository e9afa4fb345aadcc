"""What a source of a comparison is: which models it stands for, and where their files and pictures are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chipfit.comparison.report import Kind
from chipfit.deployment.deploy import REPORT as DEPLOYED
from chipfit.deployment.deploy import RUN as DEPLOYED_RUN
from chipfit.deployment.integers import learned_file, require_finished
from chipfit.deployment.source import is_run
from chipfit.errors import ChipfitError
from chipfit.evaluation.candidates import distinct_names
from chipfit.importers import is_saved_model
from chipfit.search.run import TRIALS
from chipfit.search.trial import RESULT, SEARCH
from chipfit.training.run_folder import RunFolder
from chipfit.training.settings import TrainSettings


@dataclass(frozen=True)
class Found:
    """One model. ``path``: what its name is of; ``source``: as the user named it.

    ``run``: the folder that says its pictures; None: nothing does. ``float_file``: None: there is none. ``file``: the
    integer model, where there is one already; None: its integers are still to be chosen. ``is_coded``: it was made to
    take less flash with compressed weights.
    """

    name: str
    source: str
    path: Path
    kind: Kind
    about: str
    run: Path | None
    float_file: Path | None
    file: Path | None
    is_coded: bool = False


def find_models(sources: Sequence[str | Path]) -> list[Found]:
    """All models of all sources, with names of their own.

    Raises ChipfitError F001 (there is no such file), U001 (a folder of something else, a search that has found
    nothing), N003 (a run that is not finished, a folder that cannot be read).
    """
    found = [model for source in dict.fromkeys(map(str, sources)) for model in _of(Path(source))]
    names = distinct_names([f.name for f in found], [str(f.path) for f in found])
    return [replace(f, name=name) for f, name in zip(found, names, strict=True)]


def _of(source: Path) -> Iterator[Found]:
    if not source.exists():
        raise ChipfitError("F001", f"there is no file or folder '{source}'", "check the path")
    if is_run(source):
        yield _of_run(source, source, "run", source.resolve().name)
    elif (source / SEARCH).is_file():
        yield from _of_search(source)
    elif (source / RESULT).is_file():
        yield _of_trial(source, source, _read(source / RESULT))
    elif (source / DEPLOYED).is_file():
        yield _of_deployment(source)
    elif source.is_dir() and not is_saved_model(source):
        message = f"'{source}' is no run, search or deployment of chipfit, and no model"
        raise ChipfitError("U001", message, "pictures to judge by are named with --data")
    else:
        yield Found(source.resolve().stem, str(source), source, "model", "", None, None, None)


def _of_run(source: Path, run: Path, kind: Kind, name: str) -> Found:
    kept = RunFolder(run).read_run()
    require_finished(run, kept)
    applied = tuple(kept.get("applied", ()))
    return Found(
        name, str(source), run, kind, _about(kept, applied), run, run / f"{kept['model']}.tflite",
        learned_file(run, kept), is_coded=not {"cluster", "sparsify"}.isdisjoint(applied),
    )  # fmt: skip


def _about(kept: Mapping[str, Any], applied: Sequence[str]) -> str:
    """The network and what was done to it, in words."""
    network = kept.get("network", "")
    if not network and kept.get("settings"):
        settings = TrainSettings.from_json(kept["settings"])
        network = settings.network(2).title
    steps = [*applied, *(["qat"] if kept.get("qat") else [])]
    return ", ".join([*([network] if network else []), *steps])


def _of_search(folder: Path) -> Iterator[Found]:
    """The front, most accurate first."""
    report = _read(folder / SEARCH)
    trials: list[dict[str, Any]] = [t for t in report.get("trials", ()) if t["on_front"]]
    if not trials:
        message = f"the search in '{folder}' has found no network that fits"
        raise ChipfitError("U001", message, "name one of its trials, a folder in it")
    for trial in sorted(trials, key=lambda t: (-t["integer"], t["number"])):
        yield _of_trial(folder, folder / TRIALS / f"{trial['number']:03}", trial)


def _of_trial(source: Path, folder: Path, trial: Mapping[str, Any]) -> Found:
    """Its integer model is that of the run beside it."""
    where = folder.resolve()
    return _of_run(source, folder / Path(trial["file"]).parent, "trial", f"{where.parent.parent.name}/{where.name}")


def _of_deployment(folder: Path) -> Found:
    report = _read(folder / DEPLOYED)
    if "source" not in report:
        raise ChipfitError("N003", f"the deployment in '{folder}' is not finished", "the same command goes on with it")
    source, made = Path(report["source"]), folder / f"{report['model']}.tflite"
    run = next((r for r in (folder / DEPLOYED_RUN, source) if is_run(r)), None)
    name = folder.resolve().name
    if run is not None:
        of_run = _of_run(folder, run, "deployment", name)
        return replace(of_run, path=folder, file=made if made.is_file() else of_run.file)
    if not made.is_file():
        # an integer model was deployed as it is
        if not source.is_file():
            message = f"the model that '{folder}' was made of, '{source}', is not there"
            raise ChipfitError("F001", message, "name the model itself")
        return Found(name, str(folder), folder, "deployment", source.name, None, None, source)
    float_file = source if source.exists() else None
    return Found(name, str(folder), folder, "deployment", source.name, None, float_file, made)


def _read(file: Path) -> dict[str, Any]:
    try:
        data: Any = json.loads(file.read_text(encoding="utf-8"))
        return dict(data)
    except (OSError, TypeError, ValueError) as error:
        raise ChipfitError("N003", f"'{file}' cannot be read: {error}", "make it again") from None
