"""The generated text of the demo model as a person reviews it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chipfit.codegen import lower, source_files
from codegen.programs import demo
from golden import check_golden

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("file", ["model.h", "model.c", "main.c", "host.c"])
def test_text_of_the_demo_model(file: str, request: pytest.FixtureRequest) -> None:
    """For a core without extensions: kernels of other cores may change without these files."""
    files = source_files(lower(demo().graph, frozenset()), "host" if file == "host.c" else "main")
    check_golden(request.config, GOLDEN / f"{file}.txt", files[file])


def test_same_model_gives_the_same_text() -> None:
    first, second = (source_files(lower(demo().graph, frozenset()), "main") for _ in range(2))
    assert first == second


def test_every_include_is_in_the_folder() -> None:
    files = source_files(lower(demo().graph, frozenset()), "none")
    for name, text in files.items():
        for line in text.splitlines():
            if line.startswith('#include "'):
                target = line.split('"')[1]
                beside = f"chipfit/{target}" if name.startswith("chipfit/") else target
                assert beside in files, (name, line)
