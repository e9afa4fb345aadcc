"""Commands as they are typed, run in this process."""

from __future__ import annotations

import shlex

from typer.testing import CliRunner, Result

from chipfit.cli import app

SMALLEST = "--epochs 1 --backbone ds_cnn --alpha 0.125 --size 32 --grey"
"""The smallest network, and a training of a second."""


def type_in(command: str) -> Result:
    program, *words = shlex.split(command)
    assert program == "chipfit"
    return CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1"}).invoke(app, words)
