"""The streaming wake word of MLPerf Tiny, which is published as a window model of 30 frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit import oracle
from chipfit.graph import Array
from chipfit.streaming import Streamed
from oracles import needs_tflm
from streaming.windows import bytes_of, frames_of, on_windows, stacked

NAME = "mlperf_streaming_wakeword_int8"
FRAMES = 200


@pytest.fixture(scope="module")
def streamed(models_dir: Path) -> Streamed:
    return chipfit.stream(chipfit.load(models_dir / f"{NAME}.tflite"))


@pytest.fixture(scope="module")
def expected(streamed: Streamed, models_dir: Path) -> list[bytes]:
    """Outputs of the window model after each of the frames."""
    window = chipfit.load(models_dir / f"{NAME}.tflite")
    return stacked(on_windows(window.graph, frames_of(streamed.model, FRAMES), 1))


def test_figures(streamed: Streamed) -> None:
    report = streamed.report
    assert (report.axis, report.window, report.step, report.warm_up) == (1, 30, 1, 29)
    assert (report.window_macs, report.macs) == (826_368, 46_040)
    assert [layer.state_bytes for layer in report.layers if layer.state_bytes] == [80, 512, 1_152, 1_792]
    assert report.state_bytes == 3_536


def test_reference(streamed: Streamed, expected: list[bytes]) -> None:
    outputs = streamed.model.run_samples(frames_of(streamed.model, FRAMES))
    assert bytes_of(outputs) == expected


@needs_tflm
def test_tflite_micro(streamed: Streamed, expected: list[bytes]) -> None:
    assert stacked(oracle.tflm_run(streamed.tflite(), frames_of(streamed.model, FRAMES))) == expected


def test_in_c_on_the_host(streamed: Streamed, expected: list[bytes], tmp_path: Path) -> None:
    outputs = streamed.model.compile("host", tmp_path / "out").run(frames_of(streamed.model, FRAMES)).outputs
    assert bytes_of(outputs) == expected


def test_as_an_interpreter(streamed: Streamed, expected: list[bytes]) -> None:
    """Frame by frame through the calls of tf.lite.Interpreter; a reset begins a new past."""
    interpreter = chipfit.Interpreter(model_content=streamed.tflite())
    interpreter.allocate_tensors()
    for _ in range(2):
        outputs: list[Array] = []
        for (frame,) in frames_of(streamed.model, 40):
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], frame)
            interpreter.invoke()
            outputs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
        assert np.stack(outputs).tobytes() == expected[0][: 40 * outputs[0].nbytes]
        interpreter.reset_all_variables()


def test_on_a_chip(streamed: Streamed, expected: list[bytes], tmp_path: Path) -> None:
    """A tenth of the window model's instructions and about its memory, state included."""
    firmware = streamed.model.compile("nucleo-l4r5zi", tmp_path / "out")
    run = firmware.run(frames_of(streamed.model, FRAMES))
    assert bytes_of(run.outputs) == expected
    assert run.instructions is not None
    assert run.instructions <= 80_000
    assert firmware.report.ram.arena + firmware.report.ram.state <= 6_000


def test_from_its_file(streamed: Streamed, expected: list[bytes], tmp_path: Path) -> None:
    """A user compiles the file that was written."""
    file = tmp_path / "stream.tflite"
    file.write_bytes(streamed.tflite())
    model = chipfit.load(file)
    outputs = model.run_samples(frames_of(model, FRAMES))
    assert bytes_of(outputs) == expected


@pytest.mark.parametrize("step", [2, 7, 16, 26])
def test_steps(step: int, models_dir: Path) -> None:
    window = chipfit.load(models_dir / f"{NAME}.tflite")
    model = chipfit.stream(window, step=step).model
    frames = frames_of(model, 30 // step + 4)
    outputs = model.run_samples(frames)
    assert bytes_of(outputs) == stacked(on_windows(window.graph, frames, 1))
