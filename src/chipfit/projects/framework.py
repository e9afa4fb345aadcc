"""What a framework's folder says of itself, and which boards it knows."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.targets import Board, parse_toml

FOLDER = Path(__file__).parent
FILE = "framework.toml"

PARTS: dict[str, tuple[str, ...]] = {
    "preprocess": (),
    "classes": (),
    "test_inputs": ("preprocess",),
    "self_test": ("test_inputs", "classes"),
}
"""Parts of the C around a model, each with the parts that it calls."""


@dataclass(frozen=True)
class Framework:
    """``framework.toml``; what its keys mean is said in :mod:`chipfit.projects`. Texts with ``{{ }}`` are templates."""

    name: str
    title: str
    boards: str
    sources: str
    parts: tuple[str, ...]
    next: tuple[str, ...]
    ids: Mapping[str, str] = field(default_factory=dict[str, str])
    archs: tuple[str, ...] = ()
    one_memory: bool = False
    npu: bool = False
    interpreter: bool = False
    port: str = ""
    port_files: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return FOLDER / self.name

    def wanted_parts(self) -> list[str]:
        """Its parts, and those that they call."""
        wanted = set(self.parts)
        for part in self.parts:
            wanted |= {part, *PARTS[part], *(inner for called in PARTS[part] for inner in PARTS[called])}
        return [part for part in PARTS if part in wanted]

    def knows(self, board: Board) -> bool:
        """Whether projects for a board can be made."""
        if self.archs and board.core.arch not in self.archs:
            return False
        return self.boards in board.frameworks if self.boards else board.core.emulator is not None

    def ids_of(self, board: Board) -> Mapping[str, str]:
        """How the framework names a board. Raises ChipfitError U001 where it does not, B002 where a name is missing or
        has another form."""
        if self.knows(board):
            found = board.frameworks.get(self.boards, {})
            for key, form in self.ids.items():
                if re.fullmatch(form, found.get(key, "")) is None:
                    wrong = f"= '{found[key]}' is not of the form {form}" if key in found else "is missing"
                    text = f"the file of the board {board.name}: frameworks.{self.boards}.{key} {wrong}"
                    raise ChipfitError("B002", text, f"-f {self.name} needs {', '.join(self.ids)} there")
            return found
        known = [name for name in framework_names() if load_framework(name).knows(board)]
        listed = f"`-f` may be {', '.join(known)}" if known else "choose another board: `chipfit board list`"
        hint = listed
        if self.boards and not board.is_host:
            hint += f"; or add its name to [frameworks] of a board file of your own, as the table '{self.boards}'"
        raise ChipfitError("U001", f"there is no {self.name} project for the board {board.name}", hint)


def framework_names() -> tuple[str, ...]:
    """The frameworks that projects can be made for."""
    return tuple(sorted(path.parent.name for path in FOLDER.glob(f"*/{FILE}")))


def load_framework(name: str) -> Framework:
    """A framework by name. Raises ChipfitError U001 if there is none of that name."""
    names = framework_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(names)}"
        raise ChipfitError("U001", f"there is no framework '{name}'", hint)
    data = parse_toml((FOLDER / name / FILE).read_text(encoding="utf-8"))
    unknown = data.keys() - {f.name for f in fields(Framework)}
    if unknown or not set(data["parts"]) <= PARTS.keys():
        raise ValueError(f"{name}/{FILE}: unknown {sorted(unknown)}, parts {data['parts']}")
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return Framework(name=name, **given)
