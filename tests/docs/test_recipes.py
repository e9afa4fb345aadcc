"""CONTRIBUTING.md: its three recipes, followed to the letter in a copy of the project."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from docs.update import ROOT, environment

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
COPIED = ("src/chipfit", "tests", "docs", "README.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml")
RECIPES = ("Add an operator", "Add a pass", "Add a board")
_BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code of a recipe. ``path``: the file that the text before it names last."""

    language: str
    text: str
    path: str | None


def recipe(title: str) -> list[Block]:
    section = re.split(r"^## ", TEXT.partition(f"## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    blocks: list[Block] = []
    path: str | None = None
    end = 0
    for match in _BLOCK.finditer(section):
        named = re.findall(r"`([\w./-]+/[\w.-]+\.\w+)`:\s*$", section[end : match.start()])
        path = named[-1] if named else path
        blocks.append(Block(match[1], match[2], path))
        end = match.end()
    return blocks


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project that a recipe may change."""
    folder = tmp_path / "project"
    for name in COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return folder


def follow(block: Block, project: Path) -> None:
    if block.language == "sh":
        for line in block.text.splitlines():
            run(line, project)
        return
    assert block.path is not None, f"no file is named before:\n{block.text}"
    file = project / block.path
    if block.language == "diff":
        file.write_text(patched(file.read_text(encoding="utf-8"), block), encoding="utf-8")
    else:
        file.write_text(block.text, encoding="utf-8")


def patched(text: str, block: Block) -> str:
    """The text with the lines that the block adds; the line before them must be there exactly once."""
    context, *added = block.text.splitlines()
    assert context.startswith(" ")
    assert all(line.startswith("+") for line in added)
    lines = text.splitlines()
    assert lines.count(context[1:]) == 1, f"{block.path} has no line like this, or several: {context[1:]!r}"
    at = lines.index(context[1:]) + 1
    return "\n".join([*lines[:at], *(line[1:] for line in added), *lines[at:]]) + "\n"


def run(line: str, project: Path) -> None:
    words = shlex.split(line)
    target = project / words[words.index(">") + 1] if ">" in words else None
    words = words[: words.index(">")] if ">" in words else words
    programs = {"python": [sys.executable], "chipfit": [sys.executable, "-m", "chipfit"]}
    done = subprocess.run(
        [*programs[words[0]], *words[1:]],
        cwd=project,
        env=environment(project / "src"),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    if target is not None:
        target.write_text(done.stdout, encoding="utf-8", newline="\n")


@pytest.mark.parametrize("title", RECIPES)
def test_recipe(title: str, project: Path) -> None:
    blocks = recipe(title)
    assert blocks[-1].language == "sh", "a recipe ends with the commands that show that it worked"
    for block in blocks:
        follow(block, project)


def test_a_recipe_that_is_out_of_date_is_noticed(project: Path) -> None:
    block = Block("diff", " no such line\n+more\n", "pyproject.toml")
    with pytest.raises(AssertionError, match="no line like this"):
        follow(block, project)
    with pytest.raises(AssertionError, match="No such option"):
        run("chipfit --no-such-option", project)
