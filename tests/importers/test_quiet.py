"""Nothing is heard of libraries that load, and all is as before afterwards."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings

import pytest

from chipfit.importers._quiet import LOG_LEVEL, quiet


def test_what_is_heard(capfd: pytest.CaptureFixture[str]) -> None:
    """sys.stderr is; file descriptor 2, loggers and warnings are not."""
    code = (
        "import os, sys, logging, warnings; from chipfit.importers._quiet import quiet\n"
        "with quiet():\n"
        "    os.write(2, b'from C++\\n'); print('from Python', file=sys.stderr)\n"
        "    logging.getLogger('tensorflow').warning('logged'); warnings.warn('warned')\n"
        "    os.system('echo from a child >&2')\n"
        "os.write(2, b'afterwards\\n'); print('and so on', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split("\n") == ["from Python", "afterwards", "and so on", ""]


def _fail_quietly(logger: logging.Logger) -> None:
    with quiet():
        assert os.environ.keys() >= LOG_LEVEL.keys()
        assert logger.level == logging.INFO
        raise KeyError


def test_all_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after an error; what the user has set stays."""
    for key in LOG_LEVEL:
        monkeypatch.delenv(key, raising=False)
    logger = logging.getLogger("jax")
    before = (sys.stderr, logging.getLogger("absl").level, warnings.filters[:])
    logger.setLevel(logging.INFO)
    try:
        with pytest.raises(KeyError):
            _fail_quietly(logger)
    finally:
        logger.setLevel(logging.NOTSET)
    assert not os.environ.keys() & LOG_LEVEL.keys()
    assert (sys.stderr, logging.getLogger("absl").level, warnings.filters[:]) == before
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with quiet():
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_without_stderr() -> None:
    """A program without a console has none."""
    code = (
        "import os, sys; from chipfit.importers._quiet import quiet\n"
        "sys.stderr = None; os.close(2)\n"
        "with quiet():\n    print('ran')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "ran\n")
