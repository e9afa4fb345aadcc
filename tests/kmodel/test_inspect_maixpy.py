"""``chipfit project -f maixpy``: the script runs under CPython with stand-ins for the board's modules."""

from __future__ import annotations

import ast
import math
import sys
import types
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from chipfit.cli import app
from chipfit.errors import ChipfitError
from chipfit.kmodel import Kmodel, load, read_kfpkg
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.codec import DataType
from chipfit.kmodel.format.read import write_kmodel
from chipfit.kmodel.format.sidecar import Sidecar, TensorFacts
from chipfit.kmodel.format.v4 import KmodelV4
from chipfit.maixpy import write_maixpy_project
from kmodel.files import main, tiny_v3, tiny_v4

Shape = tuple[int, int, int]
STRANGE = ("cat", "dog's", 'a "b" \\', "m\u00fcll")
"""Names of classes that need care in a script."""


class CameraEndError(Exception):
    """Ends the loop over the camera's frames."""


class Picture:
    """An image of MaixPy: planes for the KPU are there for frames of the camera, and after pix_to_ai."""

    def __init__(self, log: list[Any], width: int, height: int, channels: int = 3, planes: bool = False) -> None:
        self.log, self.size, self.channels, self.planes = log, (width, height), channels, planes

    def width(self) -> int:
        return self.size[0]

    def height(self) -> int:
        return self.size[1]

    def resize(self, width: int, height: int) -> Picture:
        assert width <= self.size[0]
        assert height <= self.size[1]
        self.log.append(("resize", width, height))
        return Picture(self.log, width, height, self.channels)

    def to_grayscale(self, copy: int) -> Picture:
        assert copy == 1
        self.log.append(("grey",))
        return Picture(self.log, *self.size, 1)

    def pix_to_ai(self) -> None:
        self.log.append(("planes",))
        self.planes = True

    def draw_string(self, x: int, y: int, text: str, color: Any = None, scale: int = 1) -> None:
        assert isinstance(text, str)


class Board:
    """The board's modules: they write down what is called, check shapes as the firmware does, and give the outputs
    that the simulator gives."""

    def __init__(self, model: Kmodel, shape: Shape, frames: int) -> None:
        self.log: list[Any] = []
        self.shape, self.frames = shape, frames
        self.window = self.frame = (0, 0)
        self.outputs = [y.ravel().tolist() for y in model.run(model.samples(1)).outputs]
        self.is_v4 = model.version == 4
        self.known: dict[int, Shape] = {}

    def modules(self) -> dict[str, Any]:
        kpu = {
            "load": lambda at: self.log.append(("load", at)) or "task",
            "set_outputs": self.set_outputs,
            "forward": self.forward,
            "get_output": lambda task, index: self.outputs[index],
            "deinit": lambda task: self.log.append(("deinit",)) or True,
        }
        sensor = {
            "RGB565": 1,
            "QVGA": (320, 240),
            "VGA": (640, 480),
            "reset": self.note("reset"),
            "set_pixformat": self.note("pixformat"),
            "set_framesize": self.set_framesize,
            "run": self.note("run"),
            "set_windowing": self.set_windowing,
            "set_hmirror": self.note("mirror"),
            "snapshot": self.snapshot,
            "skip_frames": lambda time: None,
        }
        image = {"Image": lambda path: self.log.append(("open", path)) or Picture(self.log, 320, 240)}
        lcd = {"init": self.note("lcd"), "display": lambda picture: self.log.append(("display", picture.size))}
        clock = {"ticks_ms": lambda: 5, "ticks_diff": lambda a, b: a - b}
        found = {"KPU": kpu, "sensor": sensor, "image": image, "lcd": lcd, "time": clock}
        return {name: types.SimpleNamespace(**members) for name, members in found.items()}

    def note(self, name: str) -> Any:
        return lambda *args: self.log.append((name, *args))

    def set_framesize(self, size: tuple[int, int]) -> None:
        self.frame = size

    def set_windowing(self, size: tuple[int, int]) -> None:
        assert size[0] <= self.frame[0]
        assert size[1] <= self.frame[1]
        self.window = size
        self.log.append(("window", *size))

    def snapshot(self) -> Picture:
        if not self.frames:
            raise CameraEndError
        self.frames -= 1
        return Picture(self.log, *self.window, planes=True)

    def set_outputs(self, task: str, index: int, width: int, height: int, channels: int) -> bool:
        assert self.is_v4
        self.known[index] = (width, height, channels)
        return width * height * channels == len(self.outputs[index])

    def forward(self, task: str, given: Any) -> Sequence[float]:
        assert not self.is_v4 or sorted(self.known) == list(range(len(self.outputs)))
        if isinstance(given, Picture):
            assert (given.channels, *given.size[::-1]) == self.shape
            assert given.planes
        else:
            assert len(given) == math.prod(self.shape)
        self.log.append(("forward",))
        return tuple(self.outputs[0])


def run_script(folder: Path, board: Board, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> dict[str, Any]:
    source = (folder / "main.py").read_text()
    for name, module in board.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    names: dict[str, Any] = {"__name__": "script"}
    exec(compile(source, "main.py", "exec"), names)
    names |= changes
    try:
        names["main"]()
    except CameraEndError:
        assert board.log[-1] == ("deinit",)
    return names


def names_of(log: list[Any]) -> list[str]:
    return [entry[0] for entry in log]


def model_of(file: KmodelV4 | object, labels: tuple[str, ...] = ()) -> Kmodel:
    sidecar = None
    if labels:
        classes = TensorFacts("y", (1, 4, 1, 1), "float32")
        sidecar = Sidecar((TensorFacts("x", (1, 3, 8, 8), "uint8"),), (classes,), 4, 352, labels)
    return replace(load(write_kmodel(file)), sidecar=sidecar)  # pyright: ignore[reportArgumentType]


def test_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    model = model_of(tiny_v4(), STRANGE)
    report = write_maixpy_project(model, "maix-bit", tmp_path / "p")
    assert report.kind == "classes"
    board = Board(model, (3, 8, 8), frames=2)
    run_script(tmp_path / "p", board, monkeypatch)
    once = ["resize", "planes", "forward", "display"]
    start = ["load", "lcd", "reset", "pixformat", "window", "mirror", "run"]
    assert names_of(board.log) == [*start, *once, *once, "deinit"]
    assert board.log[0] == ("load", 0x300000)
    assert ("window", 240, 240) in board.log
    assert board.known == {0: (1, 1, 4)}
    best = int(np.argmax(board.outputs[0]))
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2
    assert f"{STRANGE[best]} " in printed[0]
    assert f"{100 * max(board.outputs[0]):.1f}%" in printed[0]


def test_stored_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(tiny_v4())
    write_maixpy_project(model, "maix-bit", tmp_path / "p")
    board = Board(model, (3, 8, 8), frames=0)
    run_script(tmp_path / "p", board, monkeypatch, PICTURE="/sd/a.jpg")
    assert names_of(board.log) == ["load", "open", "resize", "planes", "forward", "deinit"]


def without_softmax() -> KmodelV4:
    model = tiny_v4()
    return replace(model, nodes=model.nodes[:-1], outputs=(main(320, (4,)),))


def test_softmax_is_added_for_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(without_softmax(), ("a", "b", "c", "d"))
    write_maixpy_project(model, "maix-bit", tmp_path / "p")
    board = Board(model, (3, 8, 8), frames=1)
    names = run_script(tmp_path / "p", board, monkeypatch)
    found = names["answer"]([[1.0, 2.0, 3.0, 2.5]])
    assert [name for name, _ in found] == ["c", "d", "b"]
    assert found[0][1] == pytest.approx(math.exp(3) / sum(math.exp(v) for v in (1, 2, 3, 2.5)))
    assert (tmp_path / "p" / "labels.txt").read_text() == "a\nb\nc\nd\n"


def test_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    model = model_of(without_softmax())
    assert write_maixpy_project(model, "maix-bit", tmp_path / "p").kind == "numbers"
    board = Board(model, (3, 8, 8), frames=1)
    run_script(tmp_path / "p", board, monkeypatch)
    assert "  ".join(f"{value:.4f}" for value in board.outputs[0]) in capsys.readouterr().out


def test_maps_and_several_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = replace(tiny_v4(), outputs=(main(64, (64,)), main(336, (4,))))
    model = model_of(file)
    assert write_maixpy_project(model, "maix-bit", tmp_path / "p").kind == "map"
    board = Board(model, (3, 8, 8), frames=1)
    names = run_script(tmp_path / "p", board, monkeypatch)
    assert board.known == {0: (4, 4, 4), 1: (1, 1, 4)}
    value, x, y, channel = names["answer"](board.outputs)[0]
    values = np.reshape(board.outputs[0], (4, 4, 4))
    assert values[channel, y, x] == value == values.max()


def test_version_3_needs_no_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(tiny_v3())
    write_maixpy_project(model, "maix-bit", tmp_path / "p")
    board = Board(model, (3, 8, 8), frames=1)
    run_script(tmp_path / "p", board, monkeypatch)
    assert "set_outputs" not in (tmp_path / "p" / "main.py").read_text()
    assert ("forward",) in board.log


def float_model() -> KmodelV4:
    dense = v4.Softmax(main(0, (5,)), main(32, (5,)), 5, 1, 1.0)
    return KmodelV4((main(0, (5,)),), ((1, 1, 1, 5),), (main(32, (5,)),), b"", 64, (dense,))


def test_floats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(float_model())
    write_maixpy_project(model, "maix-bit", tmp_path / "p")
    board = Board(model, (1, 1, 5), frames=0)
    run_script(tmp_path / "p", board, monkeypatch)
    assert names_of(board.log) == ["load", "forward", "deinit"]


def grey_model(width: int, height: int) -> KmodelV4:
    """One plane, moved and made real."""
    shape = (1, 1, height, width)
    size = width * height
    place = main(0, shape, DataType.UINT8)
    out = main(size, shape)
    return KmodelV4((place,), (shape,), (out,), b"", 5 * size, (v4.Dequantize(place, out, 0, 1.0),))


@pytest.mark.parametrize(
    ("size", "window", "framesize"),
    [((64, 64), (192, 192), "QVGA"), ((160, 120), (320, 240), "QVGA"), ((224, 224), (224, 224), "QVGA"),
     ((320, 320), (320, 320), "VGA")],
)  # fmt: skip
def test_grey_and_windows(
    size: tuple[int, int], window: tuple[int, int], framesize: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The camera sees as much as fits a frame in whole multiples of what the model sees."""
    model = model_of(grey_model(*size))
    report = write_maixpy_project(model, "maix-bit", tmp_path / "p")
    board = Board(model, (1, size[1], size[0]), frames=1)
    run_script(tmp_path / "p", board, monkeypatch)
    assert ("window", *window) in board.log
    assert ("resize" in names_of(board.log)) == (window != size)
    assert names_of(board.log).index("grey") < names_of(board.log).index("planes")
    assert f"sensor.{framesize})" in (tmp_path / "p" / "main.py").read_text()
    assert any("scaled down" in note for note in report.notes) == (window != size)


# ------------------------------------------------------------------------------------------------ files


def test_files(tmp_path: Path) -> None:
    model = model_of(tiny_v4())
    folder = tmp_path / "p"
    report = write_maixpy_project(model, "maix-bit", folder, name="My model")
    assert report.files == ("README.md", "main.py", "my-model.kfpkg", "my-model.kmodel")
    assert (folder / "my-model.kmodel").read_bytes() == model.data
    (packed,) = read_kfpkg((folder / "my-model.kfpkg").read_bytes())
    assert (packed.address, packed.data, packed.sha256_prefix) == (0x300000, model.data, False)
    ast.parse((folder / "main.py").read_text(), feature_version=(3, 4))
    readme = (folder / "README.md").read_text()
    assert "kflash -p PORT" in readme
    assert "/sd/my-model.kmodel" in readme
    # once more is no problem, unless a person has changed something
    write_maixpy_project(model, "maix-bit", folder, name="My model")
    (folder / "main.py").write_text("changed")
    with pytest.raises(ChipfitError) as error:
        write_maixpy_project(model, "maix-bit", folder, name="My model")
    assert error.value.code == "P004"


def wrong_models() -> dict[str, tuple[Kmodel, dict[str, Any], str]]:
    pixels = main(0, (1, 4, 4, 4), DataType.UINT8)
    bytes_out = replace(tiny_v4(), outputs=(pixels,), nodes=tiny_v4().nodes[:1])
    two = replace(float_model(), inputs=(main(0, (5,)),) * 2, input_shapes=((1, 1, 1, 5),) * 2)
    large = model_of(replace(tiny_v4(), main_bytes=5 << 20))
    return {
        "another board": (model_of(tiny_v4()), {"board": "nucleo-l4r5zi"}, "U001"),
        "outputs of bytes": (model_of(bytes_out), {}, "O002"),
        "two inputs": (model_of(two), {}, "O002"),
        "larger than the camera": (model_of(grey_model(641, 8)), {}, "O002"),
        "labels": (model_of(tiny_v4()), {"labels": ("a", "b")}, "Q006"),
        "heap": (large, {}, "M001"),
        "flash": (model_of(tiny_v4()), {"address": 0xCFF000 + 0x1000}, "M001"),
        "address": (model_of(tiny_v4()), {"address": 0x300001}, "U001"),
    }


@pytest.mark.parametrize("name", list(wrong_models()))
def test_what_cannot_be(name: str, tmp_path: Path) -> None:
    model, options, code = wrong_models()[name]
    with pytest.raises(ChipfitError) as error:
        write_maixpy_project(model, folder=tmp_path / "p", **options)
    assert error.value.code == code
    assert error.value.hint
    assert not (tmp_path / "p").exists()


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.kmodel").write_bytes(write_kmodel(tiny_v4()))
    Path("labels.txt").write_text("a\nb\nc\nd\n")
    runner = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1"})
    words = ["project", "tiny.kmodel", "-b", "maix-bit", "-f", "maixpy", "--labels", "labels.txt"]
    result = runner.invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "a, b, c, d" in result.stdout
    assert Path("tiny-maix-bit-maixpy/main.py").is_file()
    assert runner.invoke(app, [*words[:-3], "cmake"]).exit_code == 2
    Path("other.tflite").write_bytes(b"\0\0\0\0TFL3")
    result = runner.invoke(app, ["project", "other.tflite", "-b", "maix-bit", "-f", "maixpy"])
    assert result.exit_code == 2
    assert "chipfit convert other.tflite --for k210" in result.stderr
