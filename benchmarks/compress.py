"""What compression is worth on real pictures: a sub-command for each method, each with a table in docs/.

Pictures lie in the folder that CHIPFIT_DATA names (default: ../shared/data beside the repository). Runs are kept in
FOLDER, so that an interrupted benchmark goes on, and a second call only measures.

    python benchmarks/compress.py qat|prune|cluster|decompose|distill [FOLDER]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from page import between_marks, table

import chipfit
from chipfit.compress import (
    Cluster,
    Decompose,
    Distill,
    Lesson,
    Prune,
    Request,
    Rule,
    Sparsify,
    compress_or_resume,
    open_subject,
)
from chipfit.compress.run import Method
from chipfit.exporters import to_tflite
from chipfit.graph import Graph
from chipfit.oracle import tflm_run
from chipfit.quantize import Samples, no_progress, parse_recipe, quantize_graph
from chipfit.quantize.calibrate import run_batches
from chipfit.quantize.parameters import quantize_array
from chipfit.targets import load_board
from chipfit.trainable.judge import calibration_of, int8_outputs, labelled_of
from chipfit.trainable.tune import TuneSettings, Tuning
from chipfit.training.backend import start_keras
from chipfit.training.data import read_data
from chipfit.training.loop import Data
from chipfit.training.run_folder import RunFolder
from chipfit.training.settings import TrainSettings
from chipfit.training.train import qat_settings, source_of, train_or_resume

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("CHIPFIT_DATA", ROOT.parent / "shared" / "data"))

# ---------------------------------------------------------------------------------------------- qat

GREY = TrainSettings(
    alpha=0.125, height=48, width=48, grey=True, epochs=14, rate=2e-3, batch=64, qat=True, qat_epochs=4
)  # fmt: skip
PLAIN = "-bias -match -reconstruct -equalize -pool"
RECIPES = {
    "int8, rounded, a scale for each layer's weights, ranges by entropy": f"int8 weights=tensor ranges=entropy {PLAIN}",
    "int8, rounded, a scale for each layer's weights, whole ranges": f"int8 weights=tensor ranges=minmax {PLAIN}",
    "int8, rounded": f"int8 {PLAIN}",
    "int8, as `chipfit quantize` makes it": "int8",
}  # fmt: skip
"""What is done without learning: from the naive to all that helps."""


def qat(folder: Path) -> None:
    """MobileNetV1 0.125 on grey 48x48 pictures of vehicles: float, rounded, quantized, and learned in integers."""
    name, out = "vehicles", folder / "qat"
    kept = train_or_resume(DATA / name, out, GREY, name=name)
    figures = kept["qat"]
    source = source_of(out)
    data = read_data(source.data, source.validation, source.settings, cache=True, progress=no_progress)
    graph = chipfit.load(out / f"{name}.tflite").graph
    samples = calibration_of(graph.inputs[0], data, source.settings.seed)
    test = labelled_of(graph.inputs[0], data, data.split.validation)

    def plain(recipe: str) -> float:
        made = quantize_graph(graph, samples, parse_recipe(recipe)).graph
        return test.accuracy(int8_outputs(made, test.samples)) or 0.0

    further = longer(graph, data, source.settings, folder / "qat-longer")
    rows = [
        ("float32", figures["float_accuracy"]),
        (f"float32, {len(figures['history'])} epochs more", further),
        *((f"{text} (`{recipe}`)", plain(recipe)) for text, recipe in RECIPES.items()),
        ("int8, learned: while it learned", figures["accuracy"]),
        ("int8, learned: the file, by its C", figures["int8_accuracy"]),
    ]
    lines = table(("network", "right"), [(text, f"{100 * (share or 0):.2f} %") for text, share in rows], left=1)
    said = (
        f"{len(test):,} pictures validate. For all of them chipfit and TensorFlow Lite Micro give the same bytes: "
        f"{'yes' if _agree(out / f'{name}_int8.tflite', test.samples) else 'NO'}. It learned for "
        f"{len(kept['history'])} epochs in float32, then for {len(figures['history'])} in integers."
    )
    text = "\n".join([*lines, "", said])
    page = ROOT / "docs" / "qat.md"
    page.write_text(between_marks(page.read_text(encoding="utf-8"), text), encoding="utf-8")
    print(text)


def _agree(file: Path, samples: Samples) -> bool:
    """Whether chipfit's reference and TensorFlow Lite Micro give the same bytes."""
    graph = chipfit.load(file).graph
    x = quantize_array(samples.arrays[0], graph.inputs[0].q)
    ours = np.concatenate([y for (y,) in run_batches(graph, Samples((x,), (None,)))])
    theirs = tflm_run(file.read_bytes(), [(one,) for one in x])
    return np.array_equal(ours, np.stack([y for (y,) in theirs]))


def longer(graph: Graph, data: Data, settings: TrainSettings, out: Path) -> float | None:
    """The accuracy if the float network learns on as the integers do: what of their gain is only that."""
    run = RunFolder(out)
    run.create()
    tuning = Tuning(graph, data, run, qat_settings(settings))
    best = tuning.run(resume=True).progress.best_epoch
    return None if best is None else best.val_accuracy


# ---------------------------------------------------------------------------------------------- channels and weights

COLOUR = TrainSettings(weights=str(DATA / "weights" / "mobilenet_2_5_224_tf_no_top.h5"))
PRUNED: dict[str, Method] = {
    "prune-fitted": Prune({"instructions": "0.5"}, stages=1, tuning=None),
    "prune": Prune({"instructions": "0.5"}),
}
WEIGHTS: dict[str, Method] = {
    "cluster": Cluster(16),
    "sparsify-2-4": Sparsify(None, "2:4"),
    "sparsify": Sparsify(0.75, tuning=TuneSettings(epochs=2)),
}


def prune(folder: Path) -> None:
    """MobileNetV1 0.25 on 64x64 pictures of vehicles, with half the instructions."""
    _smaller(folder, PRUNED)


def cluster(folder: Path) -> None:
    """The same network with few different weights, and with zeros."""
    _smaller(folder, WEIGHTS)


def _smaller(folder: Path, wanted: dict[str, Method]) -> None:
    """Runs that are not in ``folder`` yet, and a table of all that are."""
    source = folder / "vehicles"
    train_or_resume(DATA / "vehicles", source, COLOUR, name="vehicles")
    board = load_board("arduino-nano-33-ble")
    for name, method in wanted.items():
        compress_or_resume(Request(source, folder / name, board), method)
    rows: list[tuple[str, ...]] = []
    for name in (*PRUNED, *WEIGHTS):
        if (folder / name / "run.json").is_file():
            kept = RunFolder(folder / name).read_run()
            rows = rows or [_row("as it was", kept["before"], "")]
            rows.append(_row(_SAID[name], kept["after"], f"{kept['seconds'] / 60:.1f}"))
            if kept["after"].get("compressed"):
                smaller = {**kept["after"], "board": kept["after"]["compressed"]}
                rows.append(_row("its weights compressed in flash", smaller, ""))
    head = ("network", "float", "int8", "flash KiB", "RAM KiB", "instructions", "minutes")
    text = "\n".join(table(head, rows, left=1))
    page = ROOT / "docs" / "compress.md"
    page.write_text(between_marks(page.read_text(encoding="utf-8"), text), encoding="utf-8")
    print(text)


_SAID = {
    "prune-fitted": "`prune --epochs 0 --stages 1`",
    "prune": "`prune`",
    "cluster": "`cluster`",
    "sparsify-2-4": "`sparsify --pattern 2:4 --epochs 0`",
    "sparsify": "`sparsify --epochs 2`",
}


def _row(name: str, figures: dict[str, Any], minutes: str) -> tuple[str, ...]:
    board = figures["board"]
    shares = (f"{100 * figures[key]:.2f} %" for key in ("accuracy", "int8_accuracy"))
    memory = (f"{board[key] / 1024:.1f}" for key in ("flash", "ram"))
    return (name, *shares, *memory, f"{board['instructions']:,}", minutes)


# ---------------------------------------------------------------------------------------------- decomposition

WIDTHS = (24, 48, 72)
SMALL = TrainSettings(height=32, width=32, epochs=6)
PARTS: dict[str, Method] = {
    "no-data": Decompose("tucker", Rule("0.5"), weighted=False, tuning=None),
    "samples": Decompose("tucker", Rule("0.5"), tuning=None),
    "tucker": Decompose("tucker", Rule("0.5"), tuning=TuneSettings(epochs=3)),
    "auto": Decompose("auto", Rule("0.33"), tuning=TuneSettings(epochs=3)),
    "separable": Decompose("separable", Rule("0.33"), tuning=TuneSettings(epochs=3)),
}


def decompose(folder: Path) -> None:
    """A network of 3x3 convolutions on 32x32 pictures of vehicles, with half and a third of its work."""
    source = folder / "windows.tflite"
    if not source.is_file():
        source.write_bytes(to_tflite(chipfit.load(windows()).graph))
    board = load_board("arduino-nano-33-ble")
    rows: list[tuple[str, ...]] = []
    for name, method in PARTS.items():
        out = folder / f"windows-{name}"
        request = Request(source, out, board, DATA / "vehicles", preprocessing=SMALL.preprocessing)
        kept = compress_or_resume(request, method)
        rows = rows or [_parts_row("as it was", kept["before"], "")]
        rows.append(_parts_row(f"`{' '.join(method.words)}`", kept["after"], f"{kept['seconds'] / 60:.1f}"))
    head = ("network", "multiply-accumulates", "weights", "float", "int8", "flash KiB", "instructions", "minutes")
    text = "\n".join(table(head, rows, left=1))
    page = ROOT / "docs" / "decompose.md"
    page.write_text(between_marks(page.read_text(encoding="utf-8"), text), encoding="utf-8")
    print(text)


def windows() -> Any:
    """Trained by Keras."""
    keras = start_keras()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    source = x = keras.Input((SMALL.height, SMALL.width, 3))
    for i, width in enumerate(WIDTHS):
        x = layers.MaxPooling2D()(x) if i else x
        for _ in range(2):
            x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    model = keras.Model(source, layers.Dense(2, "softmax")(layers.GlobalAveragePooling2D()(x)))
    data = read_data(DATA / "vehicles", None, SMALL, cache=True, progress=no_progress)
    x, y = data.preprocessing.apply(data.pictures.pixels), data.targets[data.pictures.labels]
    train, test = data.split.train, data.split.validation
    steps = SMALL.epochs * -(-len(train) // 64)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)),
                  "categorical_crossentropy", metrics=["accuracy"])  # fmt: skip
    x[train[1::2]] = x[train[1::2]][:, :, ::-1]
    model.fit(x[train], y[train], batch_size=64, epochs=SMALL.epochs, verbose=2, validation_data=(x[test], y[test]))
    return model


def _parts_row(name: str, figures: dict[str, Any], minutes: str) -> tuple[str, ...]:
    board = figures["board"]
    shares = (f"{100 * figures[key]:.2f} %" for key in ("accuracy", "int8_accuracy"))
    sizes = (f"{figures['macs']:,}", f"{figures['parameters']:,}")
    return (name, *sizes, *shares, f"{board['flash'] / 1024:.1f}", f"{board['instructions']:,}", minutes)


# ---------------------------------------------------------------------------------------------- distillation

OBJECTS = replace(COLOUR, epochs=15, validation_share=0.3)
QUARTER = Prune({"instructions": "0.25"}, stages=1, tuning=None)
LESSON = Lesson(temperature=4.0, hard=0.3, features=("auto",), feature_weight=1.0)
LEARNING = TuneSettings(epochs=16, rate=1e-4)
SEEDS = (0, 1, 2)


def distill(folder: Path) -> None:
    """What is left of a network with a quarter of its instructions, with the whole one as its teacher and without."""
    board, teacher, student = load_board("arduino-nano-33-ble"), folder / "objects", folder / "objects-quarter"
    train_or_resume(DATA / "cifar10_test", teacher, OBJECTS, name="objects")
    known = compress_or_resume(Request(teacher, student, board), QUARTER)
    rows: list[tuple[str, ...]] = []
    for seed in SEEDS:
        settings = replace(LEARNING, seed=seed)
        request = Request(student, folder / f"taught-{seed}", board, seed=seed)
        taught = compress_or_resume(request, Distill(teacher, LESSON, settings=settings))["after"]["accuracy"]
        untaught = _without_teacher(student, folder / f"untaught-{seed}", settings)
        rows.append((str(seed), *(f"{100 * a:.2f} %" for a in (untaught, taught)), f"{100 * (taught - untaught):+.2f}"))
    before, after = known["before"], known["after"]
    share = after["board"]["instructions"] / before["board"]["instructions"]
    gain = sum(float(row[-1]) for row in rows) / len(rows)
    said = (
        f"The teacher tells {100 * before['accuracy']:.2f} % of {known['judged']} validation pictures right. The "
        f"student has {100 * share:.1f} % of its instructions and {100 * after['accuracy']:.2f} % at first. The mean "
        f"gain is {gain:+.2f} points."
    )
    text = "\n".join([*table(("seed", "labels alone", "with the teacher", "points"), rows, left=1), "", said])
    page = ROOT / "docs" / "distill.md"
    page.write_text(between_marks(page.read_text(encoding="utf-8"), text), encoding="utf-8")
    print(text)


def _without_teacher(student: Path, out: Path, settings: TuneSettings) -> float:
    """The accuracy of the best epoch, after as many epochs of the same pictures in the same order."""
    subject, run = open_subject(student), RunFolder(out)
    run.create()
    alone = Tuning(subject.model.graph, subject.require_data(), run, settings).run(resume=True).progress.best_epoch
    return (None if alone is None else alone.val_accuracy) or 0.0


METHODS: dict[str, Callable[[Path], None]] = {
    "qat": qat, "prune": prune, "cluster": cluster, "decompose": decompose, "distill": distill,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(tempfile.gettempdir()) / "chipfit-compress")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    METHODS[arguments.method](arguments.folder)


if __name__ == "__main__":
    main()
