"""A function in a process of its own: what it imports, prints or crashes stays there."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chipfit.errors import ChipfitError

_RUN = """
import pickle, sys
sys.path[:] = {path!r}
from chipfit.apart import answer
answer({folder!r})
"""
"""The program of the other process: modules are found where they are found here."""

_SAID_BYTES = 64 << 10
"""What is kept of the end of what the other process prints."""


class ApartError(Exception):
    """The function neither returned nor raised a ChipfitError. ``said``: the last lines that were printed.

    ``reason``: in words, for "the process ...".
    """

    def __init__(self, reason: str, said: list[str]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.said = said


def call_apart(
    function: Callable[..., Any], *arguments: Any, seconds: float, environment: Mapping[str, str] | None = None
) -> Any:
    """What ``function(*arguments)`` returns in another process, or the ChipfitError that it raises.

    ``function`` is one of a module's top level; all that goes over can be pickled. ``environment``: variables that the
    other process has besides. Raises ApartError where it crashes, raises something else or takes longer than
    ``seconds``.
    """
    content, _ = heard_apart(function, *arguments, seconds=seconds, environment=environment)
    return content


def heard_apart(
    function: Callable[..., Any], *arguments: Any, seconds: float, environment: Mapping[str, str] | None = None
) -> tuple[Any, list[str]]:
    """As :func:`call_apart`, and the last lines that the other process printed."""
    with tempfile.TemporaryDirectory(prefix="chipfit-") as folder:
        question, reply, said = (Path(folder) / name for name in ("question", "reply", "said"))
        question.write_bytes(pickle.dumps((function, arguments)))
        program = _RUN.format(path=sys.path, folder=folder)
        with said.open("wb") as out:
            try:
                done = subprocess.run(
                    [sys.executable, "-c", program],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(environment or {})},
                    timeout=seconds,
                )
                reason = _reason(done.returncode)
            except subprocess.TimeoutExpired:
                reason = f"did not end within {seconds:g} seconds"
            except OSError as error:
                reason = f"cannot be started: {error}"
        if reason or not reply.is_file():
            raise ApartError(reason or "ended without a result", _last_lines(said))
        is_error, content = pickle.loads(reply.read_bytes())
        lines = _last_lines(said)
    if is_error:
        raise ChipfitError(*content)
    return content, lines


def answer(folder: str) -> None:
    """In the other process: call the function that lies in the folder, and lay down its result there."""
    function, arguments = pickle.loads((Path(folder) / "question").read_bytes())
    try:
        reply = (False, function(*arguments))
    except ChipfitError as error:
        reply = (True, (error.code, error.message, error.hint))
    (Path(folder) / "reply").write_bytes(pickle.dumps(reply))


def _reason(status: int) -> str:
    """Why a process with this exit status gave no result; empty for 0."""
    return f"crashed (signal {-status})" if status < 0 else f"failed (exit status {status})" if status else ""


def _last_lines(file: Path) -> list[str]:
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - _SAID_BYTES))
        text = stream.read().decode("utf-8", "replace")
    return [line.rstrip() for line in text.splitlines() if line.strip()]
