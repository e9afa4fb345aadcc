"""A GRU and an LSTM on MNIST: trained, quantized to int8, and run on a simulated microcontroller in three forms.

Run it by ``make example-mnist-gru``. ``CHIPFIT_DATA`` names the folder that has the folder ``mnist`` with the four IDX
files; what is trained and compiled goes to ``build/mnist_gru``.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from train import train
from vela import cpu_operators

import chipfit
from chipfit.quantize.idx import read_idx

BUILD = Path("build") / "mnist_gru"
BOARD = "nucleo-l4r5zi"
CALIBRATED = 200
COMPARED = 200
"""Pictures on which the bytes of the three forms are compared on the host; on the board it is one."""

HALF = 14


@dataclass(frozen=True)
class Mnist:
    """Rows of pictures, (n, 28, 28), 0 to 1, and their digits."""

    train: NDArray[np.float32]
    train_digits: NDArray[np.uint8]
    test: NDArray[np.float32]
    test_digits: NDArray[np.uint8]


def read_mnist() -> Mnist:
    folder = Path(os.environ.get("CHIPFIT_DATA", "../shared/data")) / "mnist"
    names = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        sys.exit(
            f"{folder} lacks {', '.join(missing)}: set CHIPFIT_DATA to the folder that has mnist/ with these files"
        )
    images, digits, test, test_digits = (read_idx(folder / name) for name in names)
    return Mnist(rows(images), digits, rows(test), test_digits)


def rows(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.divide(images, 255, dtype=np.float32)


def main() -> None:
    data = read_mnist()
    for kind in ("gru", "lstm"):
        file = BUILD / f"{kind}.keras"
        if not file.is_file():
            print(f"training {file}: two epochs of {len(data.train):,} pictures")
            train(kind, data.train, data.train_digits, file)
        show(kind, chipfit.load(file), data)


def show(kind: str, model: chipfit.Model, data: Mnist) -> None:
    """Quantize a model, and print what becomes of it."""
    made = chipfit.quantize_model(model, data.train[:CALIBRATED], "int8")
    evaluate(kind, model, made.model, data)
    forms = {"loop": made.model, "unroll": made.recurrent("unroll").model, "step": made.recurrent("step").model}
    pictures = stored(made.model, data.test[:COMPARED])
    answers = {form: answers_of(m, pictures) for form, m in forms.items()}
    same = all(np.array_equal(answers["loop"], y) for y in answers.values())
    halves = made.recurrent("loop", state="io", steps=HALF).model
    split = np.array_equal(in_halves(halves, pictures), answers["loop"])
    print(f"  bytes of loop, unroll and step on {COMPARED} pictures: {verdict(same)}")
    print(f"  two calls of {HALF} steps, state handed on, against one of {2 * HALF}: {verdict(split)}")
    for form, m in forms.items():
        report(form, m, calls_of(m, pictures[:1]))
    file = BUILD / f"{kind}_int8.tflite"
    file.write_bytes(made.recurrent("unroll").tflite())
    for device, on_cpu in cpu_operators(file).items():
        print(f"  {file} by Vela for {device}: {on_cpu} operators stay on the CPU")


def verdict(same: bool) -> str:
    return "identical" if same else "DIFFERENT"


def evaluate(kind: str, model: chipfit.Model, integer: chipfit.Model, data: Mnist) -> None:
    found = chipfit.evaluate_models([model, integer], {model.inputs[0].name: data.test, "labels": data.test_digits})
    real, small = (100 * m.top1.share for m in found.models if m.top1 is not None)
    print(f"{kind.upper()}: {len(data.test):,} test pictures: float {real:.2f} %, int8 {small:.2f} %")


def stored(model: chipfit.Model, real: NDArray[np.float32]) -> NDArray[np.int8]:
    """(n, 1, 28, 28): real numbers in the integers of a model's input."""
    info = model.inputs[0]
    whole = np.rint(real / np.float32(info.scale)) + info.zero_point
    return np.clip(whole, -128, 127).astype(np.int8)[:, None]


def calls_of(model: chipfit.Model, pictures: NDArray[np.int8]) -> list[tuple[NDArray[np.int8]]]:
    """The pictures cut into as many steps as the model takes in a call."""
    steps = model.inputs[0].shape[1]
    return [(p[:, at : at + steps],) for p in pictures for at in range(0, p.shape[1], steps)]


def answers_of(model: chipfit.Model, pictures: NDArray[np.int8]) -> NDArray[np.int8]:
    """What the model's C gives after the last call for each picture; state is fresh for each."""
    with tempfile.TemporaryDirectory() as folder:
        firmware = model.compile("host", Path(folder) / "c")
        return np.stack([firmware.run(calls_of(model, p[None])).outputs[0][-1] for p in pictures])


def run(model: chipfit.Model, calls: Sequence[tuple[NDArray[np.int8], ...]]) -> Sequence[NDArray[np.int8]]:
    """What the model's C gives, one array for each output."""
    with tempfile.TemporaryDirectory() as folder:
        return model.compile("host", Path(folder) / "c").run(calls).outputs


def in_halves(model: chipfit.Model, pictures: NDArray[np.int8]) -> NDArray[np.int8]:
    """What a model with its states as inputs and outputs gives after two calls for each picture."""
    starts = [np.full((len(pictures), *i.shape), i.zero_point, i.dtype) for i in model.inputs[1:]]
    first = run(model, list(zip(pictures[:, :, :HALF], *starts, strict=True)))
    # states are the last outputs, in the order in which they are the last inputs
    second = run(model, list(zip(pictures[:, :, HALF:], *first[1:], strict=True)))
    return second[0]


def report(form: str, model: chipfit.Model, calls: Sequence[tuple[NDArray[np.int8]]]) -> None:
    """Flash, RAM and instructions on the board. Those of a picture: of all its calls."""
    folder = BUILD / f"{model.name}_{form}"
    firmware = model.compile(BOARD, folder, force=True)
    ran = firmware.run(calls)
    flash, ram = firmware.report.flash, firmware.report.ram
    instructions = (ran.instructions or 0) * len(calls)
    print(
        f"  {form:<7}{BOARD}: flash {flash.total:>9,} B (weights {flash.weights:,}), "
        f"arena and state {ram.arena + ram.state:>6,} B, {instructions:>11,} instructions a picture"
    )


if __name__ == "__main__":
    main()
