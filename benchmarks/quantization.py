"""`make bench-quantize`: chipfit's quantizer beside another one and beside what was shipped, on the same pictures.

Models lie in the folder CHIPFIT_MODELS, pictures in CHIPFIT_DATA (default: ../shared/models and ../shared/data beside
the repository). Every row is a `.tflite` file that was written and run: models of integers by the C that chipfit
generates, which gives the bytes of TensorFlow Lite Micro's reference kernels; models of floats by LiteRT. A whole run
writes benchmarks/quantization.json and the tables of docs/quantization.md; with a filter the tables are only printed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import peer_quantizer
from old_files import FAULTS, with_fault
from page import between_marks, table

import chipfit
from chipfit.evaluation import evaluate_models
from chipfit.exporters import to_tflite
from chipfit.importers import load_graph
from chipfit.model import Model
from chipfit.quantization import ORDER, QuantizedModel, quantize_model, quantize_variants, read_data
from chipfit.quantize import Preprocessing, Recipe, Samples, parse_recipe
from chipfit.quantize.mixed import Budget

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "quantization.json"
PAGE = ROOT / "docs" / "quantization.md"
MODELS = Path(os.environ.get("CHIPFIT_MODELS", ROOT.parent / "shared" / "models"))
DATA = Path(os.environ.get("CHIPFIT_DATA", ROOT.parent / "shared" / "data"))
MOST_INT16 = 3
"""Tensors in int16 that mixed precision may take."""


@dataclass(frozen=True)
class Case:
    """A model and its pictures. The first ``calibrated`` choose the integers, ``tested`` others judge them.

    ``labels``: where classes come from, as `chipfit evaluate --labels` takes it; ``shipped``: the int8 model that its
    makers published; ``least``: signal to noise that mixed precision is asked for, dB.
    """

    short: str
    model: str
    data: str
    pixels: Preprocessing
    calibrated: int
    tested: int
    least: float
    labels: tuple[str, ...] = ()
    shipped: str | None = None


CASES = (
    Case(
        "mn",
        "imagenet_mnv1_025_224_f32",
        "imagenet_even",
        Preprocessing(scale=1 / 127.5, mean=(1.0,)),
        100,
        400,
        26.0,
        labels=("name+1",),
    ),
    Case(
        "r8",
        "mlperf_ic_resnet8_f32",
        "cifar10_test",
        Preprocessing(),
        200,
        800,
        32.0,
        shipped="mlperf_ic_resnet8_int8",
    ),
    Case(
        "vww",
        "mlperf_vww_mnv1_025_96_f32",
        "imagenet_even",
        Preprocessing(scale=1 / 255),
        100,
        400,
        29.0,
        shipped="mlperf_vww_mnv1_025_96_int8",
    ),
)


@dataclass(frozen=True)
class Row:
    """One file. ``seconds``: that making it took, None: unknown; figures are None where there are none.

    ``agreement``: share of pictures with the float model's first choice; ``sqnr``: signal to noise of the tensor before
    the softmax, dB; ``engine``: what ran it.
    """

    case: str
    maker: str
    recipe: str
    seconds: float | None
    file_bytes: int
    top1: float | None = None
    agreement: float | None = None
    sqnr: float | None = None
    engine: str = ""


@dataclass(frozen=True)
class Outcome:
    """What becomes of a model in a file of some kind, in words."""

    case: str
    file: str
    recipe: str
    peer: str
    chipfit: str


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if not peer_quantizer.is_installed():
        print(peer_quantizer.MISSING, file=sys.stderr)
    rows: list[Row] = []
    found: list[Outcome] = []
    for case in CASES:
        if options.only and case.short not in options.only:
            continue
        if not (MODELS / f"{case.model}.tflite").is_file() or not (DATA / case.data).is_dir():
            print(f"{case.model}: no model or no pictures, left out", file=sys.stderr)
            continue
        rows += measured(replace(case, tested=options.test or case.tested), options.modes)
        if peer_quantizer.is_installed() and not options.modes:
            found += outcomes(case)
    text = _tables(rows, found)
    print(text)
    if rows and not (options.only or options.modes or options.test):
        record = {"rows": [asdict(r) for r in rows], "files": [asdict(o) for o in found]}
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8", newline="\n")
        PAGE.write_text(between_marks(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8", newline="\n")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda t: t.split(","), help=f"models: {','.join(c.short for c in CASES)}")
    parser.add_argument("--modes", type=lambda t: t.split(","), help="recipes and makers whose names begin so")
    parser.add_argument("--test", type=int, help="pictures to judge by, at most")
    return parser.parse_args(arguments)


# ---------------------------------------------------------------------------------------------- making files


def measured(case: Case, modes: Sequence[str] | None) -> list[Row]:
    """All rows of a model: the float one first."""
    source = MODELS / f"{case.model}.tflite"
    model = chipfit.load(source)
    samples = read_data(model, DATA / case.data, case.pixels, case.calibrated)
    rows = [Row(case.short, "", "float32", None, source.stat().st_size)]
    with tempfile.TemporaryDirectory() as name:
        files = [source]
        for i, (row, data) in enumerate(_variants(case, model, samples, modes)):
            files.append(Path(name) / f"variant{i}.tflite")
            files[-1].write_bytes(data)
            rows.append(row)
            made = "" if row.seconds is None else f": {row.seconds:.1f} s"
            print(f"{case.short} {row.maker} {row.recipe}{made}", file=sys.stderr)
        report = evaluate_models(
            files,
            DATA / case.data,
            labels=case.labels,
            reference=source,
            preprocessing=case.pixels,
            skip=case.calibrated,
            limit=case.tested,
        )
    return [
        replace(row, top1=f.top1.share if f.top1 else None, agreement=f.agreement, sqnr=f.sqnr, engine=f.engine)
        for row, f in zip(rows, report.models, strict=True)
    ]


def _variants(case: Case, model: Model, samples: Samples, modes: Sequence[str] | None) -> Iterator[tuple[Row, bytes]]:
    """Each row with its file, made when asked for."""
    if case.shipped and _wanted("shipped", modes):
        data = (MODELS / f"{case.shipped}.tflite").read_bytes()
        yield Row(case.short, "its makers", "int8", None, len(data)), data
    if peer_quantizer.is_installed() and _wanted(peer_quantizer.NAME, modes):
        rewritten = to_tflite(load_graph(MODELS / f"{case.model}.tflite"))
        for form in peer_quantizer.FORMS:
            started = time.perf_counter()
            data = peer_quantizer.quantize(rewritten, samples.arrays[0], form)
            yield Row(case.short, peer_quantizer.NAME, form, time.perf_counter() - started, len(data)), data
    recipes = [(title, recipe) for title, recipe in _recipes() if _wanted(title, modes)]
    made = quantize_variants(model, samples, [recipe for _, recipe in recipes], calibrated=case.calibrated)
    for (title, _), variant in zip(recipes, made, strict=True):
        yield _row(case, title, variant)
    title = f"mixed: {case.least:.0f} dB, at most {MOST_INT16} tensors in int16"
    if _wanted(title, modes):
        budget = Budget(min_sqnr=case.least, max_int16=MOST_INT16)
        mixed = quantize_variants(model, samples, ["int8"], calibrated=case.calibrated, budget=budget)
        yield _row(case, title, next(mixed))


def _row(case: Case, title: str, made: QuantizedModel) -> tuple[Row, bytes]:
    data = made.tflite()
    return Row(case.short, "chipfit", title, made.report.seconds, len(data)), data


def _recipes() -> Iterator[tuple[str, Recipe]]:
    """chipfit's rows by title: from no step to all of the default, one more each time, and all that there are; then the
    other forms."""
    for count in range(len(ORDER) + 1):
        title = f"int8, and `{ORDER[count - 1]}`" if count else "int8, no step"
        yield title, Recipe(steps=frozenset(ORDER[:count]))
    yield "int8, and `adaround`: the best", Recipe(steps=frozenset((*ORDER, "adaround")))
    for form in ("float16", "dynamic", "int16x8"):
        yield form, parse_recipe(form)


def _wanted(title: str, modes: Sequence[str] | None) -> bool:
    return modes is None or any(title.startswith(mode) for mode in modes)


# ---------------------------------------------------------------------------------------------- files as published


def outcomes(case: Case) -> Iterator[Outcome]:
    """Both tools on the float model's file as it was published, as chipfit writes it, and with faults of old files."""
    published = (MODELS / f"{case.model}.tflite").read_bytes()
    samples = read_data(chipfit.load(published), DATA / case.data, case.pixels, 4)
    written = to_tflite(load_graph(published))
    files = {"as it was published": published, "written by chipfit": written}
    files.update({fault: with_fault(written, fault) for fault in FAULTS})
    for title, data in files.items():
        for form in ("int8", "dynamic"):
            peer = peer_quantizer.outcome(data, samples.arrays[0], form)
            # without steps: it is quick, and whether it works is all that is asked
            made = quantize_model(chipfit.load(data), samples, Recipe(form, steps=frozenset())).tflite()
            yield Outcome(
                case.short,
                title,
                form,
                peer,
                "quantized" if peer_quantizer.has_integer_weights(made) else "left as it was",
            )


# ---------------------------------------------------------------------------------------------- the page


def _tables(rows: Sequence[Row], found: Sequence[Outcome]) -> str:
    lines: list[str] = []
    for case in CASES:
        own = [r for r in rows if r.case == case.short]
        if not own:
            continue
        lines += [f"`{case.model}`, calibrated with {case.calibrated} pictures of `{case.data}`, judged by others:", ""]
        head = ("made by", "recipe", "top-1", "agreement", "signal to noise, dB", "KiB", "seconds", "run by")
        lines += [*table(head, [_cells(r) for r in own]), ""]
    if found:
        lines += ["The float models in other files, and what becomes of them:", ""]
        head = ("model", "file", "recipe", peer_quantizer.NAME, "chipfit")
        lines += [*table(head, [[o.case, o.file, o.recipe, o.peer, o.chipfit] for o in found], left=5), ""]
    return "\n".join(lines).rstrip()


def _cells(row: Row) -> list[str]:
    return [
        row.maker,
        row.recipe,
        "" if row.top1 is None else f"{100 * row.top1:.2f} %",
        "" if row.agreement is None else f"{100 * row.agreement:.2f} %",
        "" if row.sqnr is None else f"{row.sqnr:.2f}",
        f"{row.file_bytes / 1024:.0f}",
        "" if row.seconds is None else f"{row.seconds:.1f}",
        row.engine,
    ]


if __name__ == "__main__":
    sys.exit(main())
