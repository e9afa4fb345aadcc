"""``chipfit inspect`` and ``chipfit run`` of a kmodel: known by its content, never by its name."""

from __future__ import annotations

from pathlib import Path

from chipfit.errors import ChipfitError


def is_kmodel_file(source: str) -> bool:
    """Whether a file is a kmodel of any version, or a package with flash addresses."""
    path = Path(source)
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            head = stream.read(64)
    except OSError:
        return False
    from chipfit.kmodel import is_kfpkg, is_kmodel

    if head[:4] == b"PK\x03\x04":
        return is_kfpkg(path.read_bytes())
    return is_kmodel(head.ljust(64, b"\0"), path.stat().st_size)


def inspect_kmodel(source: str, as_json: bool) -> None:
    from chipfit.cli._console import show, show_json
    from chipfit.kmodel import PackageReport, inspect_file
    from chipfit.report.text_kmodel import kmodel_text, package_text

    report = inspect_file(Path(source))
    if as_json:
        show_json(report.to_json())
    elif isinstance(report, PackageReport):
        show(lambda width: package_text(report, width, source))
    else:
        show(lambda width: kmodel_text(report, width, source))


MAIXPY = "maixpy"


def project_kmodel(
    source: str,
    board: str,
    framework: str,
    out: Path | None,
    name: str | None,
    labels: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    from chipfit.cli._console import show, show_json, talk
    from chipfit.evaluation.labels import wanted_labels
    from chipfit.kmodel import load
    from chipfit.maixpy import write_maixpy_project
    from chipfit.report.text import command
    from chipfit.report.text_kmodel import maixpy_text

    if not Path(source).exists():
        raise ChipfitError("F001", f"there is no file '{source}'", "check the path")
    if not is_kmodel_file(source):
        hint = f"`{command('convert', source, '--for', 'k210')}` makes a kmodel first"
        raise ChipfitError("U001", f"MaixPy runs kmodels, which '{source}' is not", hint)
    if framework != MAIXPY:
        raise ChipfitError("U001", f"'{source}' is a kmodel, which {framework} does not run", "use -f maixpy")
    names = wanted_labels([str(labels)]).names if labels is not None else None
    with talk("reading the model") as say:
        model = load(source)
        say.say("writing the project")
        report = write_maixpy_project(model, board, out, name=name, labels=names or (), force=force)
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: maixpy_text(report))


def run_kmodel(
    source: str,
    input_file: Path | None,
    count: int | None,
    seed: int | None,
    out: Path | None,
    dump: Path | None,
    as_json: bool,
) -> None:
    from chipfit.cli._console import show, show_json, talk
    from chipfit.kmodel import LayerDump, load, read_inputs, save_outputs
    from chipfit.report.text_kmodel import kmodel_run_text

    if input_file is not None and (count is not None or seed is not None):
        raise ChipfitError("U001", "--input and --random exclude each other", "leave out --random and --seed")
    with talk("reading") as say:
        model = load(source)
        if input_file is not None:
            how = model.sidecar.preprocessing if model.sidecar else None
            given = read_inputs(input_file, model.inputs, how)
            samples, names, words = given.samples, given.names, f"from {input_file}"
        else:
            samples, names, words = model.samples(count or 1, seed or 0), None, f"random (seed {seed or 0})"
        run = model.run(
            samples,
            names=names,
            observe=LayerDump(dump) if dump else None,
            progress=lambda done, of: say.say(f"simulating {done + 1} of {of}"),
        )
        if out is not None:
            save_outputs(run, out)
    if as_json:
        show_json(run.to_json())
    else:
        show(lambda width: kmodel_run_text(run, width, source=words, saved=str(out) if out else None))
