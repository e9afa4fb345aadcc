"""README.md: its commands print what it shows, its lists are current, its Python runs, its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from chipfit import oracle
from docs.update import README, ROOT, environment, run_sessions, sessions, with_lists

TEXT = README.read_text(encoding="utf-8")
SESSIONS = sessions(TEXT)
REWRITE = "run: python tests/docs/update.py"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md")])


def shape(text: str) -> list[str]:
    """Lines without what may change with a kernel: figures, kernels, checksums, and which layer needs most memory."""
    text = re.sub(r"most is needed .*", "most is needed", text)
    text = re.sub(r"crc32 [0-9a-f]{8}", "crc32", text)
    text = re.sub(r"\bcf_\w+", "cf_", text)
    text = re.sub(r"-?\d[\d,.]*", "#", text)
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return run_sessions([command for command, _ in SESSIONS], tmp_path_factory.mktemp("readme"))


@pytest.mark.parametrize("index", range(len(SESSIONS)), ids=[command for command, _ in SESSIONS])
def test_commands_print_what_is_shown(index: int, printed: list[str]) -> None:
    command, shown = SESSIONS[index]
    if "verify" in command and not oracle.have_tflm():
        pytest.skip(oracle.TFLM_MISSING)
    assert shape(printed[index]) == shape(shown), REWRITE


def test_the_demo_is_as_good_as_shown(printed: list[str]) -> None:
    """Accuracy and the checksum over all outputs depend on the model only: these are compared as they are."""
    facts = [line for line in SESSIONS[0][1].splitlines() if "read right" in line or "crc32" in line or "bytes" in line]
    assert len(facts) == 4
    assert all(line in printed[0].splitlines() for line in facts), REWRITE


def test_lists_are_current() -> None:
    assert with_lists(TEXT) == TEXT, REWRITE


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    wanted = re.findall(r"^make (\w+)$", TEXT, re.MULTILINE)
    assert wanted == ["demo", "test"]
    assert all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in wanted)


def test_python_examples_run(tmp_path: Path) -> None:
    examples = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(examples) == 2
    run_sessions([], tmp_path)
    for example in examples:
        done = subprocess.run(
            [sys.executable, "-c", example],
            cwd=tmp_path,
            env=environment(ROOT / "src"),
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said = re.findall(r"^print.*# (True|False)", example, re.MULTILINE)
        assert re.findall(r"^(True|False)$", done.stdout, re.MULTILINE) == said


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = [t.split("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text) if not t.startswith(("http", "#"))]
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing
