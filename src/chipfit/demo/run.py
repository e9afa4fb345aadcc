"""The demo: compile the digits network, run its pictures on the emulated chip, and hold every byte against the
reference."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from chipfit.demo import load_images, model_path
from chipfit.errors import ChipfitError
from chipfit.firmware import Firmware
from chipfit.graph import Array
from chipfit.model import Model, load
from chipfit.report.data import RunReport, TensorInfo
from chipfit.report.info import DemoReport

BOARD = "arduino-nano-33-ble"


def run_demo(board: str = BOARD, progress: Callable[[str], None] | None = None) -> DemoReport:
    """The int8 network on a board and the float network on this computer, over the 100 pictures of the demo.

    ``progress`` is told what happens now. Raises ChipfitError V001 if one byte of output is not the reference's.
    """
    tell = progress or (lambda text: None)
    images, labels = load_images()
    with tempfile.TemporaryDirectory(prefix="chipfit-demo-") as folder:
        model = load(model_path("int8"))
        tell(f"compiling for {board}")
        firmware = model.compile(board, Path(folder) / "chip")
        samples = quantized(images, model.inputs[0])
        tell(f"running {len(images)} pictures on {board}")
        report = firmware.run(samples)
        tell("comparing with the integer reference")
        compared = _compare(model, samples, report)
        tell("running the float model on this computer")
        real = load(model_path("float32")).compile("host", Path(folder) / "float").run(images)
    return _report(firmware, report, compared, _correct(report.outputs[0], labels), _correct(real.outputs[0], labels))


def quantized(x: Array, info: TensorInfo) -> Array:
    """Real numbers as the elements that an input takes."""
    assert info.scale is not None
    assert info.zero_point is not None
    limits = np.iinfo(info.dtype)
    stored = np.round(x / np.float32(info.scale)) + info.zero_point
    return np.clip(stored, limits.min, limits.max).astype(info.dtype)


def _compare(model: Model, samples: Array, report: RunReport) -> int:
    """The number of bytes compared. Raises V001 at the first that differs."""
    expected = model.run_samples([(x,) for x in samples[:, np.newaxis]])
    for e, a in zip(expected, report.outputs, strict=True):
        if e.tobytes() != a.tobytes():
            sample = int(np.argwhere(e != a)[0][0])
            raise ChipfitError(
                "V001",
                f"picture {sample}: {report.board} gave {a[sample].tolist()}, the reference {e[sample].tolist()}",
                "this is a bug of chipfit: please report it with the output of `chipfit doctor`",
            )
    return sum(e.nbytes for e in expected)


def _correct(outputs: Array, labels: Array) -> int:
    """Pictures that the network reads right."""
    return int((outputs.reshape(len(labels), -1).argmax(axis=1) == labels).sum())


def _report(firmware: Firmware, report: RunReport, compared: int, correct: int, float_correct: int) -> DemoReport:
    return DemoReport(
        board=report.board,
        core=report.core,
        samples=report.samples,
        correct=correct,
        float_correct=float_correct,
        identical=True,
        compared_bytes=compared,
        instructions=report.instructions,
        macs=report.macs,
        stack_bytes=report.stack_bytes,
        flash=firmware.report.flash,
        ram=firmware.report.ram,
        proof=report.proof,
        how=report.how,
    )
