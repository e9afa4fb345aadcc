"""Networks that ``chipfit train --for k210`` makes, as kmodels: what the KPU computes of them, and what is lost.

Two runs, kept in a folder so that a second call only measures: classes of vehicles at 64x64, and the position of a car
in its lane, two numbers, at 160x120. Pictures and weights lie in the folder that CHIPFIT_DATA names (default:
../shared/data beside the repository). The kmodel is calibrated on pictures that were trained with, simulated on all
that validate, and judged beside the float network. Writes the tables of docs/k210.md.

    python benchmarks/k210_training.py [FOLDER]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from page import between_marks, table

import chipfit
from chipfit.k210 import ConvertReport, convert_model
from chipfit.kmodel import load as load_kmodel
from chipfit.kmodel.compile.report import sqnr
from chipfit.quantize import Samples, no_progress
from chipfit.training.data import read_data
from chipfit.training.loop import Data
from chipfit.training.settings import TrainSettings
from chipfit.training.train import source_of, train_or_resume

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "k210.md"
DATA = Path(os.environ.get("CHIPFIT_DATA", ROOT.parent / "shared" / "data"))
CALIBRATED = 100

VEHICLES = TrainSettings(
    target="k210", weights=str(DATA / "weights" / "mobilenet_2_5_224_tf_no_top.h5"), epochs=3, rate=1e-3
)  # fmt: skip
LANE = replace(
    VEHICLES,
    height=120,
    width=160,
    labels=str(DATA / "lane" / "labels.csv"),
    epochs=18,
    patience=8,
    dropout=0.3,
    augment="none,shift=0.05,zoom=0.05,rotation=3,brightness=0.4,contrast=0.4,saturation=0.5",
)


@dataclass(frozen=True)
class Judged:
    """``wanted``: classes or numbers; ``exact``, ``got``: of the float network and of the kmodel, (n, outputs)."""

    data: Data
    wanted: np.ndarray
    exact: np.ndarray
    got: np.ndarray
    report: ConvertReport


def trained(name: str, settings: TrainSettings, out: Path) -> tuple[Path, Data]:
    """The model of a run, which is trained, gone on with or taken as it is; and its pictures."""
    train_or_resume(DATA / name, out, settings, name=name)
    source = source_of(out)
    return out / f"{name}.tflite", read_data(source.data, source.validation, source.settings, True, no_progress)


def judged(path: Path, data: Data) -> Judged:
    model, pictures, how = chipfit.load(path), data.pictures, data.preprocessing
    learned = np.sort(np.random.default_rng(0).permutation(data.split.train)[:CALIBRATED])
    samples = Samples((how.apply(pictures.pixels[learned])[:, None],), (how.range(pictures.shape[2]),), how)
    made = convert_model(model, samples, preprocessing=how)
    pixels = pictures.pixels[data.split.validation]
    ran = load_kmodel(made.data).run(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))[:, None])
    exact = np.stack([model.run(how.apply(x[None]))[0].ravel() for x in pixels])
    labels = pictures.labels[data.split.validation]
    wanted = labels if data.values is None else data.values[labels]
    return Judged(data, wanted, exact, np.stack([s.outputs[0].ravel() for s in ran.samples]), made.report)


def of_classes(one: Judged) -> list[str]:
    exact, got = (100 * (y.argmax(axis=1) == one.wanted).mean() for y in (one.exact, one.got))
    alike = 100 * (one.exact.argmax(axis=1) == one.got.argmax(axis=1)).mean()
    head = ("pictures", "float, %", "kmodel, %", "difference, points", "same class, %")
    cells = [f"{len(one.wanted):,}", f"{exact:.2f}", f"{got:.2f}", f"{got - exact:+.2f}", f"{alike:.2f}"]
    return table(head, [cells], left=0)


def of_numbers(one: Judged) -> list[str]:
    """Errors are mean absolute ones."""
    body: list[list[str]] = []
    for i, name in enumerate(one.data.names):
        exact, got = (float(np.abs(y[:, i] - one.wanted[:, i]).mean()) for y in (one.exact, one.got))
        of_mean = float(np.abs(one.wanted[:, i] - one.wanted[:, i].mean()).mean())
        noise = sqnr(one.exact[:, i] - one.exact[:, i].mean(), one.got[:, i] - one.exact[:, i].mean())
        cells = (f"{of_mean:.4f}", f"{exact:.4f}", f"{got:.4f}", f"{100 * (got / exact - 1):+.2f}")
        body.append([f"`{name}`", *cells, "" if noise is None else f"{noise:.1f}"])
    head = ("error", "of the mean", "float", "kmodel", "difference, %", "signal to noise, dB")
    return table(head, body, left=1)


def places(report: ConvertReport) -> str:
    """Which layers run where."""
    layers = report.layers
    lines = [f"{sum(one.status == 'kpu' for one in layers)} of {len(layers)} layers are fully accelerated."]
    lines += [f"{one.status}: {', '.join(one.ops)}: {'; '.join(one.why)}" for one in layers if one.status != "kpu"]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("k210-runs"), help="where the runs are kept")
    folder: Path = parser.parse_args().folder
    runs: list[tuple[str, TrainSettings, Callable[[Judged], list[str]]]] = [
        ("vehicles", VEHICLES, of_classes),
        ("lane", LANE, of_numbers),
    ]
    parts: list[str] = []
    for name, settings, figures in runs:
        began = time.perf_counter()
        path, data = trained(name, settings, folder / name)
        middle = time.perf_counter()
        one = judged(path, data)
        lines = figures(one)
        title = f"{name}, {data.pictures.shape[1]}x{data.pictures.shape[0]}, {len(one.wanted):,} pictures"
        print("\n".join([title, *lines, "", places(one.report)]))
        print(f"trained in {middle - began:.0f} s, measured in {time.perf_counter() - middle:.0f} s\n", flush=True)
        parts += [f"{title[0].upper()}{title[1:]}:", "", *lines, ""]
    PAGE.write_text(between_marks(PAGE.read_text(), "\n".join(parts).rstrip()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
