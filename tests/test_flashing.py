"""flash and monitor: which commands run for a project, which serial port is taken, what a board's lines mean."""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from chipfit.cli import app
from chipfit.errors import ChipfitError
from chipfit.flashing import Port, choose_port, flash, monitor
from chipfit.flashing import ports as ports_module
from chipfit.flashing.commands import BY_PROBE, PROBES, RECIPES, read_project
from chipfit.flashing.monitor import DIFFERENT
from chipfit.flashing.ports import _ports_of  # pyright: ignore[reportPrivateUsage]
from chipfit.flashing.tools import TOOLS
from chipfit.projects import framework_names, load_framework
from chipfit.targets import board_names, load_board

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the tools of these tests are shell scripts")

ONE = Port("/dev/null", "Nano 33 BLE")
TWO = Port("/dev/zero", "")

TOOL = """#!/bin/sh
echo "$(basename "$0") $*" >> "{log}"
echo "talk of $(basename "$0")"
case "$*" in *--build*) mkdir -p build && touch build/app.uf2 build/app.elf build/app.bin ;; esac
exit ${{TOOL_EXIT:-0}}
"""


def call(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1"}).invoke(app, [str(w) for w in words])


class Bench:
    """Fake tools on PATH that write down how they were called, and projects to flash."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.log, self._bin = folder, folder / "log", folder / "bin"
        self._bin.mkdir()
        monkeypatch.setenv("PATH", f"{self._bin}{os.pathsep}/usr/bin{os.pathsep}/bin")
        monkeypatch.setattr(ports_module, "serial_ports", lambda: [ONE])

    def install(self, *programs: str) -> None:
        for program in programs:
            path = self._bin / program
            path.write_text(TOOL.format(log=self.log))
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def project(self, framework: str, board: str) -> Path:
        folder = self.folder / f"{framework} {board}"
        folder.mkdir()
        (folder / "chipfit.json").write_text(json.dumps({"framework": framework, "board": board}))
        if framework == "arduino":
            (folder / "examples" / "Sketch").mkdir(parents=True)
            (folder / "examples" / "Sketch" / "Sketch.ino").touch()
        return folder

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


CALLS = {
    ("arduino", "arduino-nano-33-ble"): [
        "arduino-cli compile --fqbn arduino:mbed_nano:nano33ble --library . --upload --port /dev/null examples/Sketch"
    ],
    ("platformio", "arduino-nano-33-ble"): ["pio run --target upload --upload-port /dev/null"],
    ("esp-idf", "esp32-c3"): ["idf.py -p /dev/null flash"],
    ("pico-sdk", "raspberry-pi-pico"): [
        "cmake -B build",
        "cmake --build build",
        "picotool load -f -x build/app.uf2",
    ],
    ("zephyr", "nucleo-h743zi"): [
        "west build -p auto -b nucleo_h743zi samples/stored_inputs",
        "west flash",
    ],
    ("stm32", "stm32f746-disco"): [
        "cmake -B build --toolchain toolchain.cmake",
        "cmake --build build",
        "openocd -f board/stm32f746g-disco.cfg -c program build/app.elf verify reset exit",
    ],
    ("cmake", "arduino-nano-33-ble"): [
        "cmake -B build --toolchain toolchain.cmake",
        "cmake --build build",
        "pyocd flash --target nrf52840 build/app.elf",
    ],
}


@pytest.mark.parametrize(("framework", "board"), CALLS)
def test_the_tools_of_a_framework_are_called(framework: str, board: str, bench: Bench) -> None:
    wanted = CALLS[framework, board]
    bench.install(*{line.split()[0] for line in wanted})
    said: list[str] = []
    report = flash(bench.project(framework, board), port="/dev/null", say=said.append)
    assert bench.calls == wanted
    assert [line.replace("'", "") for line in said] == wanted
    assert list(report.commands) == said
    assert report.is_done
    assert report.port == ("/dev/null" if any("/dev/null" in line for line in wanted) else None)


def test_another_probe_is_taken_where_the_first_is_missing(bench: Bench) -> None:
    bench.install("cmake", "st-flash")
    flash(bench.project("stm32", "nucleo-f103rb"))
    assert bench.calls[-1] == "st-flash --reset write build/app.bin 0x08000000"


def test_every_tool_says_how_to_get_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(bench.folder / "bin"))
    folder = bench.project("arduino", "arduino-nano-33-ble")
    result = call("flash", folder, "--port", "auto")
    assert result.exit_code == 3
    assert "arduino-cli" in result.stderr
    assert TOOLS["arduino-cli"].page in result.stderr
    called = {command[0] for recipe in RECIPES.values() for command in recipe.flash} | set(PROBES)
    assert called | {"cmake"} == set(TOOLS)
    assert all(tool.page.startswith("https://") and tool.get for tool in TOOLS.values())


def test_a_dry_run_runs_nothing(bench: Bench) -> None:
    bench.install("cmake", "picotool")
    result = call("flash", bench.project("pico-sdk", "raspberry-pi-pico-2"), "--dry-run")
    assert result.exit_code == 0, result.output
    assert bench.calls == []
    assert "  cmake -B build\n  cmake --build build\n  picotool load -f -x 'build/" in result.stdout


def test_a_dry_run_needs_no_tool_and_no_port(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(bench.folder / "bin"))
    report = flash(bench.project("platformio", "arduino-due"), dry_run=True)
    assert (report.commands, report.port) == (("pio run --target upload --upload-port PORT",), None)
    assert flash(bench.project("stm32", "nucleo-f103rb"), dry_run=True).commands[-1].startswith("openocd ")


def test_a_failing_tool_ends_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.install("west")
    monkeypatch.setenv("TOOL_EXIT", "7")
    result = call("flash", bench.project("zephyr", "nucleo-h743zi"))
    assert result.exit_code == 1
    assert "west ended with exit code 7" in result.stderr
    assert len(bench.calls) == 1


def test_the_project_inside_of_what_deploy_wrote(bench: Bench) -> None:
    bench.install("west")
    folder = bench.folder / "deployed"
    folder.mkdir()
    bench.project("zephyr", "nucleo-h743zi").rename(folder / "project")
    assert flash(folder).folder == str(folder / "project")


def test_a_folder_of_ones_own_needs_both_names(bench: Bench) -> None:
    bench.install("west")
    folder = bench.folder / "own"
    folder.mkdir()
    with pytest.raises(ChipfitError, match="P002"):
        flash(folder, framework="zephyr")
    assert flash(folder, framework="zephyr", board="nucleo-h743zi").is_done


def test_what_cannot_be_flashed(bench: Bench) -> None:
    bench.install("cmake", "arduino-cli", "west")
    with pytest.raises(ChipfitError, match="no tool is known"):
        flash(bench.project("cmake", "maix-bit"))
    with pytest.raises(ChipfitError, match="has no name in zephyr"):
        flash(bench.project("zephyr", "maix-bit"))
    with pytest.raises(ChipfitError, match="are not flashed"):
        flash(bench.project("kendryte", "maix-bit"))
    with pytest.raises(ChipfitError, match="F001"):
        flash(bench.folder / "nowhere")
    folder = bench.project("arduino", "arduino-due")
    (folder / "examples" / "Sketch" / "Sketch.ino").unlink()
    with pytest.raises(ChipfitError, match="no sketch"):
        flash(folder, port="auto")


def test_json(bench: Bench) -> None:
    bench.install("west")
    data = json.loads(call("flash", bench.project("zephyr", "nucleo-h743zi"), "--json").stdout)
    assert data["schema"] == "chipfit.flash"
    assert data["commands"][1] == "west flash"


def test_every_probe_of_a_board_is_known() -> None:
    for board in map(load_board, board_names()):
        for name, given in board.probes.items():
            words = " ".join(PROBES[name].words)
            assert words.format(program="", **given)


def test_a_project_whose_library_is_the_users_is_not_flashed(tmp_path: Path) -> None:
    """TensorFlow Lite Micro lies where the user says to CMake."""
    with pytest.raises(ChipfitError, match="projects for 'tflm' are not flashed by chipfit") as caught:
        read_project(tmp_path, "tflm", "nucleo-l4r5zi")
    assert caught.value.code == "U001"


@pytest.mark.parametrize("name", [name for name in framework_names() if name != "tflm"])
def test_a_project_is_built_as_its_readme_says(name: str) -> None:
    """Its next commands use the same tools, and name the same things of the board."""
    framework = load_framework(name)
    said = {line.split()[0] for line in framework.next if "chipfit flash" not in line} - {"git"}
    commands = RECIPES[name].flash if name in RECIPES else BY_PROBE[name]
    assert said == {command[0] for command in commands}
    if name in RECIPES:
        assert framework.boards == RECIPES[name].names


# ---------------------------------------------------------------------------------------------- serial ports


def test_a_port_is_never_guessed() -> None:
    with pytest.raises(ChipfitError, match=r"no serial port was named: /dev/null \(Nano 33 BLE\)") as caught:
        choose_port(None, ports=[ONE])
    assert "--port auto" in caught.value.hint
    with pytest.raises(ChipfitError, match="several serial ports"):
        choose_port("auto", ports=[ONE, TWO])
    with pytest.raises(ChipfitError, match="there is no serial port of a board"):
        choose_port("auto", ports=[])
    assert choose_port("auto", ports=[ONE]) == ONE
    assert choose_port("/dev/zero", ports=[ONE]) == TWO


def test_a_person_is_asked_for_the_only_one() -> None:
    assert choose_port(None, lambda port: port == ONE, [ONE]) == ONE
    with pytest.raises(ChipfitError, match="D001"):
        choose_port(None, lambda port: False, [ONE])
    with pytest.raises(ChipfitError, match="several"):
        choose_port(None, lambda port: True, [ONE, TWO])


def test_a_port_that_is_not_there() -> None:
    with pytest.raises(ChipfitError, match="no serial port '/dev/ttyNOWHERE'") as caught:
        choose_port("/dev/ttyNOWHERE", ports=[ONE])
    assert "Nano 33 BLE" in caught.value.hint


def test_ports_without_pyserial(tmp_path: Path) -> None:
    """As Linux shows them: the name of the product lies with the USB device, above its interface."""
    devices, classes, usb = tmp_path / "dev", tmp_path / "class", tmp_path / "usb"
    (usb / "1-1:1.0").mkdir(parents=True)
    (usb / "product").write_text("Pico\n")
    devices.mkdir()
    (devices / "ttyACM0").touch()
    (devices / "ttyS0").touch()
    (classes / "ttyACM0").mkdir(parents=True)
    (classes / "ttyACM0" / "device").symlink_to(usb / "1-1:1.0")
    assert _ports_of(devices, classes) == [Port(str(devices / "ttyACM0"), "Pico")]


# ---------------------------------------------------------------------------------------------- monitor


class Pretended:
    """A serial port without hardware."""

    def __init__(self) -> None:
        pty = pytest.importorskip("pty")
        self._theirs, self._ours = pty.openpty()
        self.port = Port(os.ttyname(self._ours), "pretended")

    def say(self, *texts: str) -> None:
        """Print once the port is open, which drops what came before."""
        threading.Thread(target=self._say, args=texts, daemon=True).start()

    def _say(self, *texts: str) -> None:
        termios = pytest.importorskip("termios")
        while termios.tcgetattr(self._ours)[3] & termios.ICANON:  # until somebody makes it raw
            time.sleep(0.01)
        for text in texts:
            time.sleep(0.15)
            os.write(self._theirs, text.encode())

    def close(self) -> None:
        os.close(self._theirs)
        os.close(self._ours)


@pytest.fixture
def board() -> Generator[Pretended]:
    pytest.importorskip("serial", reason="serial ports are read with pyserial")
    pretended = Pretended()
    yield pretended
    pretended.close()


def test_monitor_waits_for_a_text(board: Pretended) -> None:
    board.say("first\r\nhalf of ", "a line\nthe end\nnever shown\n")
    lines: list[str] = []
    report = monitor(board.port, lines.append, until="the end", seconds=10)
    assert lines == ["first", "half of a line", "the end"]
    assert (report.found, report.difference, report.passed) == (True, None, True)


def test_monitor_notices_that_outputs_differ(board: Pretended) -> None:
    board.say("input 3: differs from the reference\ndone\n")
    result = call("monitor", "--port", board.port.device, "--until", "done", "--seconds", 10)
    assert result.exit_code == 1
    assert "The board says that outputs differ: input 3: differs from the reference" in result.stdout


def test_monitor_ends_in_time(board: Pretended) -> None:
    result = call("monitor", "--port", board.port.device, "--seconds", 0.3, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["found"] is None
    assert call("monitor", "--port", board.port.device, "--seconds", 0.1, "--until", "never").exit_code == 1


def test_monitor_stops_on_ctrl_c(board: Pretended) -> None:
    board.say("one\n")

    def show(line: str) -> None:
        raise KeyboardInterrupt

    assert monitor(board.port, show).passed


def test_a_port_that_cannot_be_opened() -> None:
    pytest.importorskip("serial", reason="serial ports are read with pyserial")
    with pytest.raises(ChipfitError, match="D001"):
        monitor(Port("/dev/nowhere", ""), print)


def test_monitor_without_pyserial(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(ChipfitError, match="T001"):
        monitor(ONE, print)
    bench.install("arduino-cli")
    lines: list[str] = []
    report = monitor(ONE, lines.append)
    assert report.by == "arduino-cli"
    assert lines == ["talk of arduino-cli"]
    assert bench.calls == ["arduino-cli monitor --port /dev/null --config baudrate=115200 --quiet"]


@pytest.mark.parametrize("line", ["input 0: class 1 cat, 81234 us: ok", "chipfit net: 10 test inputs, 0 differ"])
def test_lines_that_say_nothing_bad(line: str) -> None:
    assert DIFFERENT.search(line) is None


def test_the_closing_line_of_a_project_counts() -> None:
    assert DIFFERENT.search("chipfit net: 4 test inputs, 20 differ")
