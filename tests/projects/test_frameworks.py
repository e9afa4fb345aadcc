"""ESP-IDF, Pico SDK, STM32, Zephyr, Mbed CE: their programs run on emulated cores and give what the reference gives."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from chipfit.errors import ChipfitError
from chipfit.model import Model
from chipfit.project import write_project
from chipfit.projects import load_framework, project_files
from chipfit.projects.context import Context
from chipfit.targets import board_names, load_board
from projects.building import STAND_INS, build, run
from projects.conftest import Compile
from projects.small import pictures

FRAMEWORKS = ("esp-idf", "mbed", "pico-sdk", "stm32", "zephyr")
PAIRS = [(f, b) for f in FRAMEWORKS for b in board_names() if load_framework(f).knows(load_board(b))]
# one for each core
RUN = [
    ("esp-idf", "esp32-c3"),
    ("mbed", "nucleo-f103rb"),
    ("pico-sdk", "raspberry-pi-pico"),
    ("pico-sdk", "raspberry-pi-pico-2"),
    ("zephyr", "nucleo-l4r5zi"),
]
# where the main file is, and where it finds the parts
MAINS = {
    "esp-idf": ("main/main.c", "components/chipfit_net"),
    "mbed": ("main.cpp", "model"),
    "pico-sdk": ("main.c", "model"),
    "zephyr": ("samples/stored_inputs/src/main.c", "lib"),
}
IDS = [f"{framework}, {board}" for framework, board in PAIRS]
PROOF = "chipfit net: 2 test inputs, 0 differ\n"


def written(folder: Path, framework: str, board: str) -> Path:
    write_project(pictures(), board, framework, folder, count=2, name="net")
    return folder


def assert_right(elf: Path, board: str, *, timed: bool) -> None:
    """The program says that each test input gave what it should, and after how many microseconds."""
    result = run(elf, load_board(board))
    time = ", 1000 us" if timed else ""
    found = re.sub("class [0-8]", "class C", result.console)
    assert (result.exit_code, found) == (0, "".join(f"input {i}: class C{time}: ok\n" for i in range(2)) + PROOF)


def kconfig_defaults(project: Path) -> str:
    """The options of an ESP-IDF component with their defaults, as sdkconfig.h has them."""
    text = next(project.glob("components/*/Kconfig")).read_text(encoding="utf-8")
    found = re.findall(r"^ +config (\w+)\n(?:^ {8}.*\n)*?^ +default (\w+)$", text, re.MULTILINE)
    assert len(found) == text.count("    config ")
    lines = [f"#define CONFIG_{name} {1 if value == 'y' else value}" for name, value in found if value != "n"]
    used = set(re.findall(r"CONFIG_(\w+)", (project / "main/main.c").read_text(encoding="utf-8")))
    assert used <= {name for name, _ in found}
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("framework", "board"), RUN)
def test_the_program_runs(framework: str, board: str, tmp_path: Path) -> None:
    project = written(tmp_path / "project", framework, board)
    main, parts = MAINS[framework]
    own = STAND_INS / framework
    sources = [*project.rglob("*.c"), *project.rglob("*.cpp"), *own.glob("start.c")]
    (tmp_path / "sdkconfig.h").write_text(kconfig_defaults(project) if framework == "esp-idf" else "")
    assert project / main in sources
    elf = build(sources, [tmp_path, own, STAND_INS / "all", project / parts], load_board(board), tmp_path / "b" / "elf")
    assert_right(elf, board, timed=True)


@pytest.mark.parametrize(
    ("board", "gcc"), [("stm32f746-disco", False), ("stm32f746-disco", True), ("nucleo-f103rb", False)]
)
def test_stm32_runs_with_its_own_start_up(board: str, gcc: bool, tmp_path: Path) -> None:
    project = written(tmp_path / "project", "stm32", board)
    sources = [p for p in project.rglob("*.c") if "cubeide" not in p.parts and p.name != "cf_math.c"]
    script = (project / "board/link.ld").read_text(encoding="utf-8")
    includes = [project / "board", project / "model"]
    elf = build(sources, includes, load_board(board), tmp_path / "b" / "elf", script=script, gcc=gcc)
    assert_right(elf, board, timed=False)


def test_the_start_up_of_stm32_sets_variables(tmp_path: Path) -> None:
    project, board = written(tmp_path / "project", "stm32", "nucleo-f103rb"), load_board("nucleo-f103rb")
    main = tmp_path / "main.c"
    main.write_text(
        """#include "cf_port.h"
        static volatile int zero[3], five = 5;
        int main(void) { cf_port_exit(zero[0] == 0 && zero[2] == 0 && five == 5 ? 7 : 1); }"""
    )
    script = (project / "board/link.ld").read_text(encoding="utf-8")
    sources = [main, project / "board/startup.c", project / "port/semihost.c"]
    assert run(build(sources, [], board, tmp_path / "b" / "elf", script=script), board).exit_code == 7


def test_the_files_for_cubeide(tmp_path: Path) -> None:
    project = written(tmp_path / "project", "stm32", "stm32f746-disco")
    sources = [*(project / "model").rglob("*.c"), *(project / "cubeide").glob("*.c"), project / "board/cycle_clock.c"]
    sources += [STAND_INS / "cubeide/start.c"]
    includes = [project / "cubeide", project / "board", project / "model", STAND_INS / "cubeide"]
    elf = build(sources, includes, load_board("stm32f746-disco"), tmp_path / "b" / "elf")
    assert_right(elf, "stm32f746-disco", timed=False)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory, compile_once: Compile) -> tuple[Context, dict[str, str]]:
    """What the templates of a project were given, and the C of its model."""
    kept: list[tuple[Context, dict[str, str]]] = []

    def keep(framework: object, given: Context, model: dict[str, str]) -> tuple[dict[str, str], Context]:
        kept.append((given, model))
        return {"main.c": ""}, given

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chipfit.project.project_files", keep)
        patch.setattr(Model, "compile", compile_once)
        written(tmp_path_factory.mktemp("context") / "project", "stm32", "nucleo-f103rb")
    return kept[0]


@pytest.mark.parametrize(("framework", "board"), PAIRS, ids=IDS)
def test_every_board_that_a_framework_knows(
    framework: str, board: str, context: tuple[Context, dict[str, str]], tmp_path: Path
) -> None:
    """All names in the templates are there, and its CMake files name each source once and nothing that is not there."""
    kind, target = load_framework(framework), load_board(board)
    given = replace(context[0], board=target, ids=kind.ids_of(target), title=kind.title)
    files, _ = project_files(kind, given, context[1])
    readme = files["README.md"]
    assert f"# net on {target.title}\n" in readme
    named = re.findall(r"^\| (`[^|]+`) \|", readme, re.MULTILINE)
    for name in re.findall("`([^`]+)`", " ".join(named)):
        assert name.startswith("CHIPFIT_") or name in ("chipfit.json", "mbed-os") or any(name in n for n in files), name
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if framework == "mbed":
        shutil.copytree(STAND_INS / "mbed/mbed-os", tmp_path / "mbed-os")
    compiled = [
        path for name in files if name.endswith("CMakeLists.txt") for path in cmake(tmp_path / name, given.upper)
    ]
    own = [tmp_path / n for n in files if n.endswith((".c", ".cpp")) and "cubeide" not in n and "cf_math" not in n]
    assert sorted(compiled) == sorted(own)


@pytest.mark.parametrize("tolerance", [0.0, 1e-5])
def test_zephyr_brings_math_for_models_in_float(tolerance: float, context: tuple[Context, dict[str, str]]) -> None:
    given = replace(context[0], ids={"board": "x"}, tolerance=tolerance)
    files, _ = project_files(load_framework("zephyr"), given, context[1])
    assert ("\tselect REQUIRES_FULL_LIBC\n\timply FPU\n" in files["Kconfig"]) == (tolerance > 0)


def cmake(file: Path, upper: str) -> list[Path]:
    """The sources that a CMake file names, with stand-ins for all that it calls."""
    settings = [
        f"-DFILE={file}",
        f"-DCOMPONENT_LIB={file.parent.name}",
        f"-DPICO_SDK_PATH={STAND_INS / 'pico-sdk'}",
        f"-DCONFIG_CHIPFIT_{upper}=y",
        f"-DCONFIG_CHIPFIT_{upper}_OPTIMIZED=y",
    ]
    done = subprocess.run(
        ["cmake", *settings, "-P", str(STAND_INS / "commands.cmake")],
        cwd=file.parent,
        env=os.environ | {"IDF_PATH": str(STAND_INS / "esp-idf"), "ZEPHYR_BASE": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Path(line.removeprefix("compiled: ")) for line in done.stderr.splitlines() if line.startswith("compiled: ")]


def test_a_board_file_that_lacks_a_name() -> None:
    board = load_board("nucleo-f103rb")
    board = replace(board, frameworks={"stm32": {"device": "STM32F103RB", "clock_mhz": "8"}})
    with pytest.raises(ChipfitError) as caught:
        load_framework("stm32").ids_of(board)
    assert caught.value.message == "the file of the board nucleo-f103rb: frameworks.stm32.uart is missing"
    assert caught.value.hint == "-f stm32 needs device, clock_mhz, uart there"
