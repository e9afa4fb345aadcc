"""`make memory`: compile and run models for little memory, and write the table of docs/memory.md.

Models lie in the folder CHIPFIT_MODELS (default: ../shared/models beside the repository). Arena and scratch are in
bytes, instructions are measured on the emulated Cortex-M4F of board nucleo-l4r5zi; every output is compared with the
integer reference.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from page import between_marks

import chipfit
from chipfit.model import Model

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "memory.md"
BOARD = "nucleo-l4r5zi"
LARGE_BOARD = "pimoroni-pico-plus-2"
"""For weights that the other one's flash does not hold: a Cortex-M33 with the same DSP instructions."""
MODELS: dict[str, str] = {
    "mlperf_kws_dscnn_int8": "22,820",
    "mlperf_vww_mnv1_025_96_int8": "100,708",
    "mlperf_ic_resnet8_int8": "54,996",
    "mlperf_ad_toycar_int8": "2,580",
    "mlperf_streaming_wakeword_int8": "16,596",
    "tflm_person_detect_int8": "",
    "tinyengine_mcunet_vww_int8": "",
    "imagenet_mnv2_10_224_int8ptq": "",
    "esphome_okay_nabu_v2_stream": "",
    "esphome_vad_v2_stream": "",
}
"""The models, and what TensorFlow Lite Micro with CMSIS-NN needs, where it was measured (docs/benchmarks.md)."""

BY_ROWS = (
    "mlperf_vww_mnv1_025_96_int8",
    "tinyengine_mcunet_vww_int8",
    "mlperf_ic_resnet8_int8",
    "mlperf_kws_dscnn_int8",
)


@dataclass(frozen=True)
class Figure:
    """``memory``: bytes of arena and state, None where the program does not fit the board; ``unshared``: what tensors
    would need if none shared memory."""

    memory: int | None
    unshared: int
    instructions: int | None
    correct: bool

    @property
    def text(self) -> str:
        if self.memory is None:
            return "does not fit"
        count = "" if self.instructions is None else f" · {self.instructions:,}"
        return f"{self.memory:,}{count}" + ("" if self.correct else " (wrong output)")


def main() -> int:
    folder = Path(os.environ.get("CHIPFIT_MODELS", ROOT.parent / "shared" / "models"))
    rows: list[str] = []
    correct = True
    for name, peer in MODELS.items():
        file = folder / f"{name}.tflite"
        if not file.is_file():
            print(f"{name}: no such file, left out", file=sys.stderr)
            continue
        model = chipfit.load(file).with_integer_io()
        figures = [figure(model, "balanced"), figure(model, "ram")]
        if name in BY_ROWS:
            figures.append(figure(model, "ram", input_rows=True))
        correct = correct and all(f.correct for f in figures)
        cells = [
            name,
            f"{max(f.unshared for f in figures):,}",
            *(f.text for f in figures),
            *([""] * (3 - len(figures))),
            peer,
        ]
        rows.append("| " + " | ".join(cells) + " |")
        print(rows[-1], file=sys.stderr)
    table = [
        "| model | nothing shared | `balanced` | `ram` | `ram`, `--input rows` | TFLM + CMSIS-NN |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *rows,
    ]
    text = between_marks(PAGE.read_text(encoding="utf-8"), "\n".join(table))
    PAGE.write_text(text, encoding="utf-8", newline="\n")
    return 0 if correct else 1


def figure(model: Model, aim: Any, board: str = BOARD, **options: Any) -> Figure:
    """Compile, run two samples, compare."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        try:
            firmware = model.compile(board, Path(name) / "program", optimize=aim, **options)
        except chipfit.ChipfitError as error:
            if error.code != "M001":
                raise
            if board != LARGE_BOARD:
                return figure(model, aim, LARGE_BOARD, **options)
            return Figure(None, 0, None, True)
        samples = model.samples(2)
        result = firmware.run(samples)
        same = all(np.array_equal(a, b) for a, b in zip(model.run_samples(samples), result.outputs, strict=True))
        ram = firmware.report.ram
    print(f"{model.name} {aim}: {time.perf_counter() - started:.1f} s", file=sys.stderr)
    return Figure(ram.arena + ram.state, ram.unshared, result.instructions, same)


if __name__ == "__main__":
    sys.exit(main())
