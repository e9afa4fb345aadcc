"""Killed at any moment, deploy leaves nothing that would be read half-written, and the next call succeeds."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chipfit.demo import model_path
from chipfit.deployment import Request, deploy
from chipfit.firmware import Firmware
from chipfit.model import load
from chipfit.targets import load_board

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, which Windows does not do")

BOARD = "arduino-nano-33-ble"
KILLED = 2

# One process imports chipfit, and runs the command to its end, so that objects are known: what is left is writing and
# linking. A fork of it does so again in folder 0, which tells how long that takes; others are killed in 1, 2 and so on.
RUNNER = """
import os, random, signal, sys, time
from chipfit.cli import app
from chipfit.emulate import toolchain
from deployment.compiled import remembering

toolchain._compile = remembering(toolchain._compile)

def begun(number):
    child = os.fork()
    if not child:
        os.setsid()
        os.chdir(str(number))
        app([*words, "deploy"])
    return child

count, moments, words = int(sys.argv[1]), random.Random(int(sys.argv[2])), sys.argv[3:]
os.dup2(2, 1)
app([*words, "first"], standalone_mode=False)
started = time.monotonic()
assert os.waitpid(begun(0), 0)[1] == 0
whole = time.monotonic() - started
for number in range(1, count + 1):
    child = begun(number)
    time.sleep(whole * moments.random())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        os.killpg(child, signal.SIGKILL)  # a linker that it had started
    except ProcessLookupError:
        pass
"""


def kill(folder: Path, seed: int, *words: str) -> list[Path]:
    """A folder in which the command came to its end, and those in which it was killed."""
    folders = [folder / str(number) for number in range(KILLED + 1)]
    for one in (*folders, folder / "temporary"):
        one.mkdir()
    subprocess.run(
        [sys.executable, "-c", RUNNER, str(KILLED), str(seed), *words, "-o"],
        cwd=folder,
        check=True,
        env={**os.environ, "TMPDIR": str(folder / "temporary"), "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return folders


def read_all(folder: Path) -> int:
    """Read whatever chipfit would read there, and count it. Raises for what is not whole."""
    count = 0
    # what is still being made has a name that begins with a dot
    files = [p for p in folder.rglob("*") if not any(n.startswith(".") for n in p.relative_to(folder).parts)]
    for path in files:
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                assert all(arrays[name].size for name in arrays.files)
        elif path.suffix == ".tflite":
            load(path)
        elif path.name == "firmware":
            assert Firmware.open(path).run(load(model_path("int8")).samples(1)).proof
        else:
            continue
        count += 1
    return count


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """Other moments each time: they are never quite the same anyway."""
    seed = random.randrange(1 << 16)
    print("seed", seed)  # shown where the test fails
    model, board = model_path("int8"), load_board(BOARD)
    words = [str(model), "-b", BOARD]
    whole, *killed = kill(tmp_path, seed, "deploy", *words, "--verify", "2")
    wanted = read_all(whole)
    assert wanted > 2
    for folder in killed:
        read_all(folder)
        assert deploy(Request(model, board, BOARD, folder / "deploy", verified=2)).problem is None
        assert read_all(folder) == wanted


def test_killed_while_the_first_report_is_written(tmp_path: Path) -> None:
    (tmp_path / ".part-deploy.json").write_text("{")
    deploy(Request(model_path("int8"), load_board(BOARD), BOARD, tmp_path, verified=1))
    assert read_all(tmp_path) > 2
