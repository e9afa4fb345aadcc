"""What becomes of errors: exit codes, and what is printed where."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from typer.testing import Result

import chipfit
from chipfit.cli._app import EXIT_CODES
from chipfit.errors import CODES, ChipfitError

Call = Callable[..., Result]
SCRIPT = "from chipfit.cli import main; main()"


def raising(error: BaseException) -> Callable[..., NoReturn]:
    def fail(*_: Any, **__: Any) -> NoReturn:
        raise error

    return fail


def chipfit_process(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    env = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, words)],
        capture_output=True,
        text=True,
        env=env,
        check=False,
        timeout=60,
    )


def test_every_letter_has_an_exit_code() -> None:
    assert {code[0] for code in CODES} == set(EXIT_CODES)


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_error_is_told(code: str, cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    error = ChipfitError(code, "tensor '[x]\x1b' of\nmodel", "do this")
    monkeypatch.setattr(chipfit, "load", raising(error))
    result = cli("inspect", "x.tflite", "--json")
    assert result.exit_code == EXIT_CODES[code[0]]
    assert result.stdout == ""
    assert result.stderr == f"error[{code}]: tensor '[x]\\x1b' of\nmodel\n\nhint: do this\n"


def test_without_a_hint(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chipfit, "load", raising(ChipfitError("G001", "message")))
    assert cli("inspect", "x").stderr == "error[G001]: message\n"


@pytest.mark.parametrize(
    ("words", "code", "start"),
    [
        (["board", "show", "nix"], 2, "error[B001]"),
        (["op", "show", "nix"], 2, "error[U001]"),
        (["explain", "X999"], 2, "error[U001]"),
        (["inspect", "nix.tflite"], 1, "error[F001]"),
        (["run", "nix"], 1, "error[F001]"),
        (["run", "{model}"], 2, "error[U001]"),
        (["run", "{folder}", "-b", "host"], 2, "error[U001]"),
        (["run", "{empty}"], 2, "error[P002]"),
        (["run", "{folder}", "-i", "nix.npy"], 2, "error[I004]"),
        (["run", "{folder}", "-i", "{wrong}"], 2, "error[I001]"),
        (["run", "{folder}", "-i", "{wrong}", "--random", "1"], 2, "error[U001]"),
        (["run", "{folder}", "--max-instructions", "1000"], 1, "error[E004]"),
        (["run", "{folder}", "--save", "{empty}"], 2, "error[P003]"),
        (["compile", "{model}", "-b", "host", "-o", "{foreign}"], 2, "error[P001]"),
        (["compile", "{model}", "-b", "host", "-o", "{empty}/x", "--cc", "no-such-cc"], 3, "error[T001]"),
        (["inspect", "{model}", "--text", "--json"], 2, "error[U001]"),
        (["op", "list", "--markdown", "--json"], 2, "error[U001]"),
        (["compile", "{model}"], 2, "Usage: "),
        (["run", "{folder}", "--random", "0"], 2, "Usage: "),
        (["nix"], 2, "Usage: "),
    ],
)
def test_exit_codes(
    words: list[str], code: int, start: str, cli: Call, demo_model: Path, demo_folder: Path, tmp_path: Path
) -> None:
    places = {"model": demo_model, "folder": demo_folder}
    for name in ("empty", "foreign"):
        places[name] = tmp_path / name
        places[name].mkdir()
    (tmp_path / "foreign" / "mine.txt").write_text("mine", encoding="utf-8")
    places["wrong"] = tmp_path / "wrong.npy"
    np.save(places["wrong"], np.zeros((1, 9, 9, 1), np.int8))
    result = cli(*(word.format(**places) for word in words))
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith(start)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 99}', "\x00"])
def test_a_damaged_manifest(text: str, cli: Call, tmp_path: Path) -> None:
    (tmp_path / "chipfit.json").write_text(text, encoding="utf-8")
    result = cli("run", tmp_path)
    assert result.exit_code == 2
    assert result.stderr.startswith("error[P002]: ")


def test_force_keeps_what_is_there(cli: Call, demo_model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    assert cli("compile", demo_model, "-b", "host", "-o", tmp_path, "--force").exit_code == 0
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_interrupted(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chipfit, "load", raising(KeyboardInterrupt()))
    assert cli("inspect", "x").exit_code == 130


def test_cannot_write(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chipfit, "load", raising(PermissionError(13, "Permission denied", "out")))
    result = cli("inspect", "x")
    assert (result.exit_code, result.stderr) == (2, "error[P003]: out: Permission denied\n")


def test_verify_that_does_not_pass(cli: Call, demo_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = (np.zeros((2, 1, 10), np.int8),)
    monkeypatch.setattr("chipfit.verification._run_board", lambda *_: outputs)
    result = cli("verify", demo_model, "--random", 2, "--no-oracles")
    assert result.exit_code == 1
    assert "Not passed: outputs differ." in result.stdout
    assert "expected" in result.stdout


def test_a_bug_is_told_in_two_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from chipfit.cli import main

    monkeypatch.setattr(chipfit, "load", raising(ZeroDivisionError("oh")))
    monkeypatch.setattr(sys, "argv", ["chipfit", "inspect", "x"])
    monkeypatch.delenv("CHIPFIT_TRACEBACK", raising=False)
    with pytest.raises(SystemExit) as told:
        main()
    assert told.value.code == 70
    assert "Traceback" not in (text := capsys.readouterr().err)
    assert text.startswith("error: chipfit failed: ZeroDivisionError: oh\n\nhint: ")
    monkeypatch.setenv("CHIPFIT_TRACEBACK", "1")
    with pytest.raises(SystemExit):
        main()
    assert "Traceback" in capsys.readouterr().err


def test_process_help_is_quick_and_light() -> None:
    script = f"import sys; sys.argv = ['chipfit', '--help']\ntry:\n    {SCRIPT}\nfinally:\n    print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.startswith("Usage: chipfit [OPTIONS] COMMAND")
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"numpy", "unicorn", "ai_edge_litert", "chipfit.graph"}


def test_process_output_and_errors(demo_model: Path, tmp_path: Path) -> None:
    shown = chipfit_process("inspect", demo_model, PYTHONIOENCODING="ascii", COLUMNS="100")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "\x1b" not in shown.stdout
    failed = chipfit_process("inspect", tmp_path / "nix.tflite")
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr.startswith("error[F001]")
    version = chipfit_process("--version")
    assert re.fullmatch(r"chipfit \d+\.\d+\.\d+\S*\n", version.stdout)
