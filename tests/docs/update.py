"""``python tests/docs/update.py`` writes the generated parts of README.md anew: lists and transcripts.

With ``--lists`` only the lists of operators and boards, which takes no time.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import chipfit
from chipfit.catalog import boards_report, ops_report
from chipfit.demo import model_path
from chipfit.report.info import BoardInfo

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
COLUMNS = "100"

_SESSION = re.compile(r"```console\n(\$ [^\n]*\n)(.*?)```", re.DOTALL)


def sessions(text: str) -> list[tuple[str, str]]:
    """Each ``console`` block of a page: the command behind the ``$``, and what it printed."""
    return [(match[1][2:].strip(), match[2]) for match in _SESSION.finditer(text)]


def run_sessions(commands: list[str], folder: Path) -> list[str]:
    """Run ``chipfit`` commands one after the other in a folder that looks like the repository; what each printed."""
    for source in (model_path("int8"), model_path("float32")):
        model = folder / source.relative_to(Path(chipfit.__file__).parents[2])
        model.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, model)
    return [_run(command, folder) for command in commands]


def _run(command: str, folder: Path) -> str:
    program, *words = shlex.split(command)
    if program != "chipfit":
        raise ValueError(f"README.md: {command!r} is not a command of chipfit")
    done = subprocess.run(
        [sys.executable, "-m", "chipfit", *words],
        cwd=folder,
        env=environment(Path(chipfit.__file__).parents[1]) | {"COLUMNS": COLUMNS, "NO_COLOR": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def environment(source: Path) -> dict[str, str]:
    """The environment of a process that imports chipfit from this folder."""
    return os.environ | {"PYTHONPATH": str(source), "PYTHONIOENCODING": "utf-8"}


def with_sessions(text: str, outputs: list[str]) -> str:
    """The page with these transcripts."""
    rest = iter(outputs)
    return _SESSION.sub(lambda match: f"```console\n{match[1]}{next(rest)}```", text)


def with_lists(text: str) -> str:
    """The page with lists of what there is now, each between its two markers."""
    for name, make in LISTS.items():
        begin, end = f"<!-- generated: {name} -->\n", "<!-- end -->"
        head, _, tail = text.partition(begin)
        text = f"{head}{begin}{make()}{end}{tail.partition(end)[2]}"
    return text


def operators_list() -> str:
    """Names of TensorFlow Lite, grouped by the types that they take."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for op in ops_report().ops:
        groups.setdefault(op.dtypes, []).extend(op.tflite)
    groups.setdefault(("any",), []).extend(("VAR_HANDLE", "CALL_ONCE"))
    rows = [(", ".join(types), ", ".join(sorted(names))) for types, names in groups.items()]
    rows.sort(key=lambda row: (-row[1].count(","), row))
    return _table(("types", "operators"), rows)


def at_once(board: BoardInfo, kind: str) -> int:
    """Bytes of the memories of a kind that are there after reset."""
    return sum(m.size for m in board.memories if m.kind == kind and m.setup is None)


def boards_list() -> str:
    rows = [
        (
            f"`{board.name}`",
            board.title,
            board.core_title,
            f"{board.clock_hz / 1e6:g} MHz",
            *(f"{at_once(board, kind) / 1024:,.0f} KiB" for kind in ("flash", "ram")),
        )
        for board in boards_report().boards
        if board.clock_hz
    ]
    return _table(("board", "what it is", "core", "clock", "flash", "RAM"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


LISTS: dict[str, Callable[[], str]] = {"operators": operators_list, "boards": boards_list}


def main(arguments: list[str]) -> None:
    text = with_lists(README.read_text(encoding="utf-8"))
    if "--lists" not in arguments:
        with tempfile.TemporaryDirectory(prefix="chipfit-docs-") as folder:
            text = with_sessions(text, run_sessions([command for command, _ in sessions(text)], Path(folder)))
    README.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
