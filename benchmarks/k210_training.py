"""Networks that ``chipfit train --for k210`` makes, as kmodels: what the KPU computes of them, and what is lost.

Two runs, kept in a folder so that a second call only measures: classes of vehicles at 64x64, and the position of a car
in its lane, two numbers, at 160x120. Pictures and weights lie in the folder that CHIPFIT_DATA names (default:
../shared/data beside the repository). The kmodel is simulated on validation pictures, beside the float network.

    python benchmarks/k210_training.py [FOLDER] [--epochs N]
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import chipfit
from chipfit.k210 import ConvertReport, convert_model
from chipfit.kmodel import load as load_kmodel
from chipfit.quantize import Samples, no_progress
from chipfit.training.data import read_data
from chipfit.training.loop import Data
from chipfit.training.run_folder import RunFolder
from chipfit.training.settings import TrainSettings
from chipfit.training.train import resume, source_of, train

DATA = Path(os.environ.get("CHIPFIT_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
WEIGHTS = str(DATA / "weights" / "mobilenet_2_5_224_tf_no_top.h5")
CALIBRATED, JUDGED = 100, 300


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
    if not (out / "run.json").is_file():
        train(DATA / name, out, settings, name=name)
    elif RunFolder(out).read_run()["status"] != "finished":
        resume(out)
    source = source_of(out)
    return out / f"{name}.tflite", read_data(source.data, source.validation, source.settings, True, no_progress)


def judged(path: Path, data: Data) -> Judged:
    model, pictures, rng = chipfit.load(path), data.pictures, np.random.default_rng(0)
    learned = np.sort(rng.permutation(data.split.train)[:CALIBRATED])
    kept = np.sort(rng.permutation(data.split.validation)[:JUDGED])
    how = data.preprocessing
    samples = Samples((how.apply(pictures.pixels[learned])[:, None],), (how.range(pictures.shape[2]),), how)
    made = convert_model(model, samples, preprocessing=how)
    pixels = pictures.pixels[kept]
    ran = load_kmodel(made.data).run(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))[:, None])
    exact = np.stack([model.run(how.apply(x[None]))[0].ravel() for x in pixels])
    labels = pictures.labels[kept]
    wanted = labels if data.values is None else data.values[labels]
    return Judged(data, wanted, exact, np.stack([s.outputs[0].ravel() for s in ran.samples]), made.report)


def layers(report: ConvertReport) -> str:
    counts = Counter(layer.status for layer in report.layers)
    lines = [f"fully accelerated: {counts['kpu']}, with help: {counts['helped']}, on the CPU: {counts['cpu']}"]
    for layer in report.layers:
        if layer.status != "kpu":
            lines.append(f"  {layer.status}: {', '.join(layer.ops)}: {'; '.join(layer.why)}")
    return "\n".join(lines)


def of_classes(one: Judged) -> str:
    exact, got = (100 * (y.argmax(axis=1) == one.wanted).mean() for y in (one.exact, one.got))
    alike = 100 * (one.exact.argmax(axis=1) == one.got.argmax(axis=1)).mean()
    return (
        "| pictures | float, % | kmodel, % | difference, points | same class, % |\n"
        "| ---: | ---: | ---: | ---: | ---: |\n"
        f"| {len(one.wanted)} | {exact:.2f} | {got:.2f} | {got - exact:+.2f} | {alike:.2f} |"
    )


def of_numbers(one: Judged) -> str:
    lines = [
        "| number | deviation | error (mean absolute), float | kmodel | difference, % | RMS, float | kmodel "
        "| difference, % |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for i, name in enumerate(one.data.names):
        errors = [y[:, i] - one.wanted[:, i] for y in (one.exact, one.got)]
        mean = [np.abs(e).mean() for e in errors]
        rms = [np.sqrt(np.square(e).mean()) for e in errors]
        cells = [f"{x[0]:.4f} | {x[1]:.4f} | {100 * (x[1] / x[0] - 1):+.2f}" for x in (mean, rms)]
        lines.append(f"| {name} | {one.wanted[:, i].std():.4f} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("k210-runs"), help="where the runs are kept")
    parser.add_argument("--epochs", type=int, default=3, help="in which all layers learn; lane: four times as many")
    asked = parser.parse_args()
    settings = TrainSettings(target="k210", weights=WEIGHTS, epochs=asked.epochs, rate=1e-3)
    lane = replace(
        settings, epochs=4 * asked.epochs, height=120, width=160, labels=str(DATA / "lane" / "labels.csv")
    )  # fmt: skip
    for name, chosen, table in (("vehicles", settings, of_classes), ("lane", lane, of_numbers)):
        began = time.perf_counter()
        path, data = trained(name, chosen, asked.folder / name)
        middle = time.perf_counter()
        one = judged(path, data)
        print(f"## {name}, {data.pictures.shape[1]}x{data.pictures.shape[0]}\n\n{table(one)}\n\n{layers(one.report)}")
        print(f"signal to noise: {one.report.sqnr:.1f} dB on {one.report.measured} pictures to calibrate with")
        print(f"trained in {middle - began:.0f} s, measured in {time.perf_counter() - middle:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()
