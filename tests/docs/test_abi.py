"""docs/abi.md: its programs compile without a warning and run, with the commands that stand there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit.demo import model_path
from chipfit.emulate.toolchain import zig_cc
from docs.update import ROOT

TEXT = (ROOT / "docs" / "abi.md").read_text(encoding="utf-8")
PROGRAMS = dict(re.findall(r"^`(\w+\.c)`:\n\n```c\n(.*?)```", TEXT, re.MULTILINE | re.DOTALL))
COMMANDS = {shlex.split(line)[shlex.split(line).index("-o") + 1]: line for line in re.findall(r"^cc .*", TEXT, re.M)}
STRICT = ["-Wall", "-Wextra", "-Wconversion", "-Werror"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs of the page and the two models."""
    folder = tmp_path_factory.mktemp("abi")
    chipfit.load(model_path("int8")).compile("arduino-nano-33-ble", folder / "digits")
    chipfit.load(model_path("float32")).compile("host", folder / "digits_float")
    for name, text in PROGRAMS.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def built_and_run(project: Path, name: str) -> str:
    program, *words = shlex.split(COMMANDS[name])
    assert program == "cc"
    words = [f"{w}.exe" if w == name else w for w in words if w != "-lm" or sys.platform != "win32"]
    subprocess.run([*zig_cc(), *STRICT, *words], cwd=project, check=True)
    done = subprocess.run([project / f"{name}.exe"], capture_output=True, encoding="utf-8", check=True)
    return done.stdout


def test_one_model(project: Path) -> None:
    model = chipfit.load(model_path("int8"))
    lines = built_and_run(project, "reader").splitlines()
    (y,) = model.run(np.full((1, 8, 8, 1), -128, np.int8))
    assert lines == [f"{i}: {(int(v) + 128) / 256:.3f}" for i, v in enumerate(y[0])]


def test_two_models_and_two_instances(project: Path) -> None:
    model, real = chipfit.load(model_path("int8")), chipfit.load(model_path("float32"))
    black, white = (int(model.run(np.full((1, 8, 8, 1), v, np.int8))[0][0, 0]) for v in (-128, 127))
    p = real.run(np.ones((1, 8, 8, 1), np.float32))[0][0, 0]
    assert built_and_run(project, "two") == f"black 0: {black}, white 0: {white}, white 0 on real numbers: {p:.3f}\n"


def test_every_macro_is_there(project: Path) -> None:
    header = (project / "digits" / "model.h").read_text(encoding="utf-8")
    chipfit.load(model_path("int8")).compile("stm32f746-disco", project / "blocks", place=["image=sram"])
    header += (project / "blocks" / "model.h").read_text(encoding="utf-8")  # with several blocks of memory
    named = re.findall(r"`(NAME_\w+)`", TEXT)
    assert len(named) > 12
    for name in named:
        wanted = name.replace("NAME", "DIGITS_INT8" if name.isupper() else "digits_int8", 1)
        assert re.search(rf"\b{wanted}\b", header), name


def test_every_file_is_there(project: Path) -> None:
    for name in re.findall(r"`([\w/*.]+\.(?:h|c|elf|json))`", TEXT.split("## One model")[0]):
        folder = project / ("digits_float" if name == "host.c" else "digits")
        assert name in ("string.h", "math.h") or list(folder.glob(name)), name
