"""`make bench-npu`: compile models for every Ethos-U, execute the streams, and write the tables of docs/ethos-u.md.

``python benchmarks/npu.py models`` compiles the models of the folder CHIPFIT_MODELS (default: ../shared/models) for
each accelerator and compares outputs of random inputs, byte for byte. ``python benchmarks/npu.py mnist`` does the same
with the GRU and the LSTM of examples/mnist_gru, and counts which digits the streams get right. Figures are kept in
npu.json, so that each part can be run alone.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from page import between_marks

import chipfit
from chipfit.model import Model
from chipfit.npu import Executor, check_for_npu, compile_for_npu, open_target
from chipfit.quantize.idx import read_idx

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "ethos-u.md"
FIGURES = ROOT / "benchmarks" / "npu.json"
BUILD = ROOT / "build" / "ethosu"
TRAINED = ROOT / "build" / "mnist_gru"
U55 = tuple(f"corstone-300-u55-{macs}" for macs in (32, 64, 128, 256))
U65 = tuple(f"corstone-300-u65-{macs}" for macs in (256, 512))
MODELS: dict[str, tuple[str, ...]] = {
    "mlperf_ad_toycar_int8": U55 + U65,
    "mlperf_kws_dscnn_int8": U55 + U65,
    "mlperf_streaming_wakeword_int8": U55 + U65,
    "mlperf_ic_resnet8_int8": U55 + U65,
    "mlperf_vww_mnv1_025_96_int8": U55 + U65,
    "tflm_person_detect_int8": U55 + U65,
    "tflm_micro_speech_int8": U55 + U65,
    "tflm_mnist_lstm_int8": U55 + U65,
    "tinyengine_mcunet_vww_int8": U55 + U65,
    "imagenet_mnv2_10_224_int8ptq": ("corstone-300-u55-256", "corstone-300-u65-512"),
}
RUNS = 16
HALF = 14
CALIBRATED = 200
ON_ALL = ("corstone-300-u55-128", "corstone-300-u65-256")
"""Boards on which the recurrent models answer all test pictures; on the others they are compared on random inputs."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("models", "mnist", "page"))
    parser.add_argument("--count", type=int, default=10_000, help="test pictures of MNIST")
    parser.add_argument("--only", help="a model, or gru or lstm")
    options = parser.parse_args()
    if options.part == "models":
        for name, boards in MODELS.items():
            if options.only in (None, name):
                models(name, boards)
    if options.part == "mnist":
        for kind in ("gru", "lstm"):
            if options.only in (None, kind):
                mnist(kind, options.count)
    write_page()


def models(name: str, boards: tuple[str, ...]) -> None:
    folder = Path(os.environ.get("CHIPFIT_MODELS", ROOT.parent / "shared" / "models"))
    model = chipfit.load(folder / f"{name}.tflite")
    for board in boards:
        keep("models", f"{name} {board}", row(model, board))
    # streams that compute in pieces through little memory
    sram = 1024 * (check_for_npu(model, U55[2], fix=True).placement.sram * 3 // 5 // 1024)
    if name.startswith("mlperf") and sram:
        keep("models", f"{name} {U55[2]} {sram // 1024} KiB", row(model, U55[2], optimize="size", sram_bytes=sram))


def row(model: Model, board: str, suffix: str = "", **options: Any) -> dict[str, Any]:
    """A model on a board: a difference of one byte ends the benchmark."""
    report = compile_for_npu(model, board, BUILD / f"{model.name}{suffix}-{board}", fix=True, samples=RUNS, **options)
    made = report.placement
    found = {
        "model": model.name,
        "accelerator": report.accelerator,
        "vela": report.vela,
        "fixes": [change.name for change in report.changes],
        "cpu": [report.before.cpu, made.cpu],
        "cycles": made.cycles,
        "milliseconds": made.milliseconds,
        "sram": made.sram,
        "flash": made.flash,
        "elements": report.proof.elements,
        "differing": report.proof.differing,
        "single": [sum(one.differing for one in report.roundings), max(one.largest for one in report.roundings)],
    }
    print(json.dumps(found), flush=True)
    return found


# ---------------------------------------------------------------------------------------------------- MNIST


def mnist(kind: str, count: int) -> None:
    """The recurrent network of the tutorial, unrolled; without state, and with states that are handed on."""
    images, digits = test_pictures()
    float_model = chipfit.load(TRAINED / f"{kind}.keras")
    made = chipfit.quantize_model(float_model, calibration(), "int8")
    whole = made.recurrent("unroll").model
    halves = made.recurrent("unroll", state="io", steps=HALF).model
    pictures = stored(whole, images[:count])
    for board in sorted(U55 + U65, key=lambda name: name not in ON_ALL):
        found = row(whole, board)
        with_state = row(halves, board, "_halves")
        stream = Executor(open_target(BUILD / f"{whole.name}-{board}").graph)
        parts = Executor(open_target(BUILD / f"{halves.name}_halves-{board}").graph)
        compared = pictures[:200]
        found["halves"] = int(np.count_nonzero(in_halves(halves, parts, compared) != stream.run([compared])[0]))
        found["cpu_with_state"] = with_state["cpu"]
        if board in ON_ALL:
            answers = stream.run([pictures])[0].reshape(len(pictures), -1)
            found["pictures"] = len(pictures)
            found["right"] = int(np.count_nonzero(answers.argmax(axis=1) == digits[:count]))
        keep("mnist", f"{kind} {board}", {**found, "model": f"mnist_{kind}"})


def test_pictures() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    images, digits = (read_idx(mnist_folder() / f"t10k-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
    return np.divide(images, 255, dtype=np.float32), digits


def calibration() -> NDArray[np.float32]:
    images = read_idx(mnist_folder() / "train-images-idx3-ubyte.gz")[:CALIBRATED]
    return np.divide(images, 255, dtype=np.float32)


def mnist_folder() -> Path:
    return Path(os.environ.get("CHIPFIT_DATA", ROOT.parent / "shared" / "data")) / "mnist"


def stored(model: Model, real: NDArray[np.float32]) -> NDArray[np.int8]:
    """(n, 1, 28, 28): real numbers in the integers of a model's input."""
    info = model.inputs[0]
    whole = np.rint(real / np.float32(info.scale)) + info.zero_point
    return np.clip(whole, -128, 127).astype(np.int8)[:, None]


def in_halves(model: Model, stream: Executor, pictures: NDArray[np.int8]) -> NDArray[Any]:
    """What a stream with its states as inputs and outputs gives after two calls for each picture."""
    states: list[NDArray[Any]] = [
        np.full((len(pictures), *i.shape), i.zero_point or 0, i.dtype) for i in model.inputs[1:]
    ]
    first = stream.run([pictures[:, :, :HALF], *states])
    return stream.run([pictures[:, :, HALF:], *first[1:]])[0]


# ---------------------------------------------------------------------------------------------------- the page


def keep(part: str, key: str, found: dict[str, Any]) -> None:
    figures = read_figures()
    figures.setdefault(part, {})[key] = found
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def read_figures() -> dict[str, dict[str, dict[str, Any]]]:
    return json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}


def write_page() -> None:
    figures = read_figures()
    text = "\n".join([*models_table(figures), "", *mnist_table(figures)])
    PAGE.write_text(between_marks(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")


def models_table(figures: dict[str, dict[str, dict[str, Any]]]) -> Iterator[str]:
    yield "| model | accelerator | CPU operators | cycles | ms | SRAM, KiB | file, KiB | differing | rounded once |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for key, one in [*figures.get("models", {}).items(), *figures.get("mnist", {}).items()]:
        before, after = one["cpu"]
        left = f"{before}, {after} with `--fix`" if one["fixes"] else str(after)
        sizes = f"{one['sram'] / 1024:.1f} | {one['flash'] / 1024:.1f}"
        little = " (in pieces)" if key.endswith("KiB") else ""
        single = f"{one['single'][0]:,}, by {one['single'][1]:g}" if one["single"][0] else "0"
        yield (
            f"| {one['model']} | {one['accelerator']}{little} | {left} | {one['cycles']:,} | {one['milliseconds']:.3f} "
            f"| {sizes} | {one['differing']} of {one['elements']:,} | {single} |"
        )


def mnist_table(figures: dict[str, dict[str, dict[str, Any]]]) -> Iterator[str]:
    yield "| model | accelerator | CPU operators | with state | right in the simulator | two calls of 14 steps |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |"
    for one in figures.get("mnist", {}).values():
        right = (
            f"{one['right']:,} of {one['pictures']:,} ({one['right'] / one['pictures']:.2%})" if "right" in one else ""
        )
        halves = "as one of 28" if one["halves"] == 0 else f"{one['halves']} elements differ"
        cpu = f"{one['cpu'][1]} | {one['cpu_with_state'][1]}"
        yield f"| {one['model']} | {one['accelerator']} | {cpu} | {right} | {halves} |"


if __name__ == "__main__":
    main()
