"""The kernel tests catch bugs: a few of those that ``make mutate`` tries, and all of them can still be applied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chipfit.codegen.project import runtime_folder
from mutate import FAST, HELIUM, MUTATIONS, Mutation, outcome


@pytest.mark.parametrize("mutation", FAST, ids=lambda m: m.what)
def test_bug_is_caught(mutation: Mutation) -> None:
    assert outcome(mutation, mutation.op)


def test_without_a_bug_nothing_is_found() -> None:
    assert outcome(None, FAST[0].op) is None


@pytest.mark.parametrize("mutation", [*MUTATIONS, *HELIUM], ids=lambda m: m.what)
def test_bug_can_be_applied(mutation: Mutation, tmp_path: Path) -> None:
    """A kernel that was rewritten needs its bugs rewritten."""
    shutil.copytree(runtime_folder(), tmp_path / "runtime")
    mutation.apply(tmp_path / "runtime")
