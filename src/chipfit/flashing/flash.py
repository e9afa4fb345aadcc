"""Build a project and bring it onto its board with the tools of its framework."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.flashing.commands import (
    Project,
    Recipe,
    built_program,
    names_for,
    read_project,
    recipe_of,
)
from chipfit.flashing.ports import Port, choose_port
from chipfit.flashing.tools import as_typed, require
from chipfit.report.data import envelope

STDERR = 2

UNNAMED = "PORT"
"""What stands for the serial port in a dry run for which none was named."""


@dataclass(frozen=True)
class FlashReport:
    """``commands``: as they are typed in ``folder``. ``port``: None where the tools find the board by themselves.
    ``is_done``: they ran, all with success; else they were only printed."""

    folder: str
    framework: str
    board: str
    port: str | None
    commands: tuple[str, ...]
    is_done: bool

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.flash", self)


def flash(
    folder: str | Path,
    *,
    framework: str | None = None,
    board: str | None = None,
    port: str | None = None,
    dry_run: bool = False,
    confirm: Callable[[Port], bool] | None = None,
    say: Callable[[str], None] | None = None,
) -> FlashReport:
    """Flash the project in a folder. ``framework``, ``board``: where the folder does not say them.

    ``port``: the serial port, or ``auto`` for the only one; ``confirm`` is asked otherwise. ``dry_run``: only report,
    whether the tools are there or not.
    ``say`` is told each command before it runs; what the tools print goes to stderr.
    Raises ChipfitError P002 (no project), D001 (port), D002 (a tool failed), T001 (a tool is missing), U001, B001.
    """
    project = read_project(Path(folder), framework, board)
    recipe = recipe_of(project)
    names = names_for(project, recipe)
    chosen = None
    if not dry_run:
        for program in dict.fromkeys(command[0] for command in recipe.flash):
            require(program)
    if recipe.needs_port and not (dry_run and port is None):
        chosen = choose_port(port, confirm)
    names["port"] = chosen.device if chosen else UNNAMED
    commands: list[str] = []
    for template in recipe.flash:
        words = _words(project, recipe, template, names, dry_run)
        commands.append(as_typed(words))
        if not dry_run:
            if say:
                say(commands[-1])
            run_tool(words, project.folder)
    device = chosen.device if chosen else None
    return FlashReport(
        str(project.folder), project.framework, project.board.name, device, tuple(commands), is_done=not dry_run
    )


def _words(
    project: Project, recipe: Recipe, template: Sequence[str], names: dict[str, str], dry_run: bool
) -> list[str]:
    needs_program = any("{program}" in word or "{stem}" in word for word in template)
    program = (recipe.program if dry_run else built_program(project, recipe)) if needs_program else ""
    return [word.format(**names, program=program, stem=Path(program).stem) for word in template]


def run_tool(words: Sequence[str], folder: Path) -> None:
    """Run a tool in a folder; what it prints goes to stderr. Raises ChipfitError T001 if it is not there, D002 if it
    fails."""
    path = require(words[0])
    try:
        code = subprocess.run([path, *words[1:]], cwd=folder, stdout=STDERR, check=False).returncode
    except OSError as error:
        raise ChipfitError("D002", f"{words[0]} does not start: {error}") from None
    if code:
        hint = f"its output above says why; in '{folder}': {as_typed(words)}"
        raise ChipfitError("D002", f"{words[0]} ended with exit code {code}", hint)
