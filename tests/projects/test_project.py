"""What a project holds: inputs, labels, names, files; what becomes of edits; what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.firmware import Firmware
from chipfit.model import Model
from chipfit.project import ProjectReport, write_project
from chipfit.projects import framework_names, load_framework
from chipfit.projects.context import pascal, slug
from chipfit.projects.room import PARTS_BYTES
from chipfit.quantize import Preprocessing
from chipfit.targets import Board, board_names, load_board
from golden import check_golden
from projects.small import pictures, row, table, two_inputs

BOARD = "arduino-nano-33-ble"
HOW = Preprocessing(scale=1 / 255, mean=(0.1,))


def write(folder: Path, model: Model | None = None, framework: str = "cmake", **options: Any) -> ProjectReport:
    return write_project(model or pictures(), options.pop("board", BOARD), framework, folder, **options)


def refused(folder: Path, model: Model | None = None, framework: str = "cmake", **options: Any) -> ChipfitError:
    before = sorted(folder.rglob("*"))
    with pytest.raises(ChipfitError) as caught:
        write(folder, model, framework, **options)
    assert sorted(folder.rglob("*")) == before
    return caught.value


def board_for(framework: str) -> str:
    """The board that other tests use, too, if there can be."""
    return next(name for name in [BOARD, *board_names()] if load_framework(framework).knows(load_board(name)))


@pytest.mark.parametrize("framework", framework_names())
def test_nothing_is_left_open(framework: str, tmp_path: Path) -> None:
    """No text of a template is left; all files are there that the report names; the README says how to build."""
    report = write(tmp_path / "p", framework=framework, board=board_for(framework), preprocessing=HOW, name="Größe 2")
    texts = {name: (tmp_path / "p" / name).read_text(encoding="utf-8") for name in report.files}
    assert {"README.md"} < texts.keys()
    assert "chipfit.json" not in texts
    for name, text in texts.items():
        assert "{{" not in text.replace("{{0}", "") and "{%" not in text and "{#" not in text, name  # noqa: PT018
        assert text.endswith("\n"), name
        assert not any(line.endswith((" ", "\t")) for line in text.splitlines()), name
    # cells of a table are in one line
    assert not [line for line in texts["README.md"].splitlines() if len(line) > 120 and not line.startswith("|")]
    assert "\n\n\n" not in texts["README.md"]
    assert report.commands
    assert all(command in texts["README.md"] for command in report.commands)
    assert not any("{" in command for command in report.commands)


# ---------------------------------------------------------------------------------------------- inputs


def stored_pixels(folder: Path) -> str:
    text = (folder / "model" / "test_inputs.c").read_text(encoding="utf-8")
    return text.partition("pixels[")[2].partition("};")[0].partition("= {")[2].replace("\n", "").replace(" ", "")


def test_pictures_of_a_folder(tmp_path: Path) -> None:
    """From all of its folders in turn; the labels are the folders', where there are as many as classes."""
    image = pytest.importorskip("PIL.Image")
    for name in [f"kind {i}" for i in range(9)]:
        (tmp_path / "data" / name).mkdir(parents=True)
        image.new("L", (4, 4), 16 * int(name[-1])).save(tmp_path / "data" / name / "one.png")
    report = write(tmp_path / "p", inputs=tmp_path / "data", count=3)
    assert report.labels == tuple(f"kind {i}" for i in range(9))
    assert (report.inputs, report.inputs_how) == (3, "pictures of 'data'")
    assert len(report.notes) == 2  # how pixels become inputs; labels by folder
    assert stored_pixels(tmp_path / "p") == ",".join(["0"] * 16 + ["16"] * 16 + ["32"] * 16)
    assert " * 2: kind 2/one.png\n" in (tmp_path / "p" / "model" / "test_inputs.c").read_text()
    report = write(tmp_path / "q", inputs=tmp_path / "data", labels=list("abcdefghi"), preprocessing=HOW, count=1)
    assert (report.labels, report.notes) == (tuple("abcdefghi"), ())


def test_arrays(tmp_path: Path) -> None:
    """Bytes are pixels where it is known how they become inputs; real numbers are quantized; labels are left out."""
    pixels = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    np.savez(tmp_path / "bytes.npz", x=pixels, labels=np.array([1, 2]))
    report = write(tmp_path / "p", inputs=tmp_path / "bytes.npz", preprocessing=HOW, count=5)
    assert (report.inputs, report.inputs_how) == (2, "samples of bytes.npz")
    assert stored_pixels(tmp_path / "p") == ",".join(map(str, range(32)))
    real = np.full((1, 4, 4, 1), 0.1, np.float32)
    np.save(tmp_path / "real.npy", real)
    write(tmp_path / "p", inputs=tmp_path / "real.npy", count=1)
    text = (tmp_path / "p" / "model" / "test_inputs.c").read_text()
    assert "int8_t input_0[16] = {\n    -5, -5," in text  # 0.1 in steps of 0.05, behind -7
    assert not (tmp_path / "p" / "model" / "preprocess.c").exists()
    np.savez(tmp_path / "two.npz", in0=np.ones((3, 2, 3), np.int8), in1=np.zeros((3, 2, 3), np.int8))
    assert write(tmp_path / "p", two_inputs(), inputs=tmp_path / "two.npz", count=2).inputs == 2


def test_inputs_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "wrong.npy", np.zeros((2, 5), np.uint8))
    np.save(tmp_path / "bytes.npy", np.zeros((2, 4, 4), np.uint8))
    np.savez(tmp_path / "one.npz", in0=np.ones((2, 3), np.int8))
    np.save(tmp_path / "none.npy", np.zeros((0, 4, 4, 1), np.int8))
    folder = tmp_path / "p"
    assert refused(folder, inputs=tmp_path / "empty").code == "Q001"
    assert refused(folder, table(), inputs=tmp_path / "empty").code == "Q002"
    assert refused(folder, inputs=tmp_path / "wrong.npy", preprocessing=HOW).code == "I001"
    assert "--scale" in refused(folder, inputs=tmp_path / "bytes.npy").hint
    assert refused(folder, two_inputs(), inputs=tmp_path / "one.npz").code == "I003"
    assert refused(folder, inputs=tmp_path / "none.npy").code == "Q001"
    assert refused(folder, inputs=tmp_path / "absent.npz").code == "I004"


@pytest.mark.parametrize("model", [row(6), row(1), table(), two_inputs()], ids=["row", "number", "table", "two inputs"])
def test_what_is_no_classifier(model: Model, tmp_path: Path) -> None:
    """A row as long as the input is no row of scores, nor is a single number."""
    write(tmp_path, model, count=1)
    assert not (tmp_path / "model" / "classes.c").exists()
    assert "class" not in (tmp_path / "model" / "self_test.c").read_text()


# ---------------------------------------------------------------------------------------------- what is refused


def test_frameworks_and_boards(tmp_path: Path) -> None:
    error = refused(tmp_path, framework="arduno")
    assert (error.code, error.hint) == ("U001", "did you mean arduino?")
    error = refused(tmp_path, framework="arduino", board="maix-bit")
    assert error.message == "there is no arduino project for the board maix-bit"
    assert error.hint.startswith("`-f` may be cmake")
    assert refused(tmp_path, board="host").code == "U001"
    assert refused(tmp_path, board="arduino-uno").code == "U001"


def test_what_a_board_file_must_name(tmp_path: Path) -> None:
    for framework, old, new, wrong in (
        ("arduino", 'fqbn = "arduino:avr:uno"', 'fqbn = "uno"', "frameworks.arduino.fqbn = 'uno' is not of the form"),
        ("arduino", 'fqbn = "arduino:avr:uno"', 'name = "uno"', "frameworks.arduino.fqbn is missing"),
        ("platformio", 'platform = "atmelavr", ', "", "frameworks.platformio.platform is missing"),
    ):
        text = (Path(str(load_board.__code__.co_filename)).parent / "boards" / "arduino-uno.toml").read_text()
        (tmp_path / "own.toml").write_text(text.replace(old, new))
        error = refused(tmp_path / "p", framework=framework, board=str(tmp_path / "own.toml"))
        assert (error.code, wrong in error.message) == ("B002", True), error.message


def test_labels_that_do_not_fit(tmp_path: Path) -> None:
    assert refused(tmp_path, labels=["a", "b"]).message == "2 classes are named, the model has 9"
    assert "no output with a score" in refused(tmp_path, table(), labels=["a"]).message


def test_what_does_not_fit_the_board(tmp_path: Path) -> None:
    small = tmp_path / "small.toml"
    text = (Path(str(load_board.__code__.co_filename)).parent / "boards" / "nucleo-f103rb.toml").read_text()
    small.write_text(text.replace('"128K"', '"1K"'))
    assert refused(tmp_path / "p", board=str(small)).code == "M001"


def test_test_inputs_that_do_not_fit(tmp_path: Path) -> None:
    """The flash that is counted is the program's, what is kept for the code around it, and 25 B for each input."""
    board = load_board(BOARD)
    used = write(tmp_path / "p", count=1).flash.total or 0

    def with_room(nbytes: int) -> Board:
        flash = replace(board.flash, size=used + PARTS_BYTES + nbytes)
        return replace(board, memories=(flash, *(m for m in board.memories if m.kind == "ram")))

    report = write(tmp_path / "p", board=with_room(100))
    assert (report.inputs, report.inputs_bytes, report.notes) == (4, 100, ())
    report = write(tmp_path / "p", board=with_room(99))
    assert (report.inputs, report.inputs_bytes) == (3, 75)
    assert report.notes == ("3 test inputs are stored, 25 B each: there is no room for more in flash",)
    error = refused(tmp_path / "q", board=with_room(99), count=4)
    assert (error.code, error.hint) == ("M001", "--count 3 fits")
    assert "(1 B too many)" in error.message
    assert error.message.endswith("test inputs 4 x 25 B")
    error = refused(tmp_path / "q", board=with_room(24))
    assert error.message.startswith(f"1 test input does not fit {BOARD}: flash ")
    assert "--count" not in error.hint


# ---------------------------------------------------------------------------------------------- edits


def test_a_second_run_keeps_what_is_the_users(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    write(folder, count=1)
    (folder / "build").mkdir()
    (folder / "build" / "own.txt").write_text("mine")
    assert write(folder, count=2, preprocessing=HOW).inputs == 2
    assert (folder / "build" / "own.txt").read_text() == "mine"
    (folder / "main.c").unlink()
    write(folder, count=1)
    assert (folder / "main.c").exists()
    assert not (folder / "model" / "preprocess.c").exists()  # of the run before, and not wanted now


def test_an_edited_project_is_not_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    write(folder)
    before = (folder / "main.c").read_text()
    (folder / "main.c").write_text("edited")
    error = refused(folder)
    assert error.code == "P004"
    assert error.message == f"{folder} holds a project that was edited: main.c"
    assert (folder / "main.c").read_text() == "edited"
    write(folder, force=True)
    assert (folder / "main.c").read_text() == before


def test_a_foreign_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert refused(tmp_path).code == "P001"
    write(tmp_path, force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    manifest = json.loads((tmp_path / "chipfit.json").read_text())
    assert (manifest["framework"], manifest["report"]["schema"]) == ("cmake", "chipfit.project")


# ---------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "folder", "library"),
    [
        ("digits_int8", "digits-int8", "DigitsInt8"),
        ("My Größe, 2", "my-groe-2", "MyGroe2"),
        ("3 cats", "3-cats", "Model3Cats"),
        ("日本", "model", "Model"),
        ("log", "log", "Log"),
        ("math", "math", "ModelMath"),
        ("Arduino", "arduino", "ModelArduino"),
        ("a" * 99, "a" * 99, "A" + "a" * 47),
    ],
)
def test_names(name: str, folder: str, library: str) -> None:
    assert (slug(name), pascal(name)) == (folder, library)


def test_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = write_project(table(), BOARD, "cmake", name="Größe 2")
    assert report.folder == f"groe-2-{BOARD}-cmake"
    assert (tmp_path / report.folder / "model" / "model.h").is_file()


def test_memory_that_linker_scripts_of_others_see(tmp_path: Path, compiled: list[Firmware]) -> None:
    """Two memories without a gap are one; what must be set up first is none."""
    write(tmp_path / "p", framework="platformio", board="stm32f746-disco")
    (firmware,) = compiled
    assert [(m["kind"], m["size"]) for m in firmware.manifest["target"]["memories"]] == [
        ("flash", 1 << 20),
        ("ram", 320 << 10),
    ]


@pytest.mark.parametrize("name", ["sketch.ino", "preprocess.c", "test_inputs.c"])
def test_texts(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """What a person reads and edits. Shared by all frameworks, and little of it depends on a model."""
    inputs = tmp_path / "inputs.npy"
    np.save(inputs, np.arange(32, dtype=np.uint8).reshape(2, 4, 4))
    write(
        tmp_path / "p", framework="arduino", inputs=inputs, preprocessing=HOW, labels=list("abcdefghi"), name="tiny net"
    )
    (file,) = (tmp_path / "p").rglob("*.ino" if name.endswith("ino") else name)
    check_golden(request.config, Path(__file__).parent / "golden" / name, file.read_text(encoding="utf-8"))


def test_the_page_names_all_frameworks() -> None:
    page = (Path(__file__).parents[2] / "docs" / "projects.md").read_text(encoding="utf-8")
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert rows[1:] == list(framework_names()) if rows[0] == "-f" else False
    for name in framework_names():
        own = load_framework(name).boards
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}`"))
        assert (f"those with a name for `{own}`" if own else "all emulated") in row
