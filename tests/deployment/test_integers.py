"""What is opened of a run: the integers that it has learned in, or those that are chosen for it."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from chipfit.deployment import integers
from chipfit.deployment.integers import open_run
from chipfit.errors import ChipfitError
from comparison.runs import quickly, write_photos, write_run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", 10)


def test_integers_that_were_learned_are_taken_as_they_are(photos: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", photos)
    opened = open_run(run, tmp_path / "nothing")
    assert opened.has_learned
    assert opened.file == run / "net_int8.tflite"
    assert not (tmp_path / "nothing").exists()
    assert set(opened.validation) == {"x", "labels"}
    assert len(opened.pictures.files) == len(opened.validation["labels"]) == 4
    split = json.loads((run / "split.json").read_text())
    assert sorted(opened.pictures.files) == sorted(split["validation"])
    named = np.array([0 if name.startswith("bright/") else 1 for name in opened.pictures.files])
    assert np.array_equal(named, opened.validation["labels"])


def test_others_are_chosen_once(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, out = write_run(tmp_path / "run", photos, learned=False), tmp_path / "out"
    out.mkdir()
    made = quickly(monkeypatch, integers)
    done: list[tuple[str, str]] = []

    @contextmanager
    def doing(words: Sequence[str], state: str) -> Generator[None]:
        done.append((words[1], state))
        yield

    first = open_run(run, out, doing=doing)
    again = open_run(run, out, doing=doing)
    assert (first.has_learned, first.file) == (False, out / "net.tflite")
    assert again.file.read_bytes() == first.file.read_bytes()
    assert again.model.is_integer
    assert (len(made), done) == (1, [("quantize", "ran"), ("quantize", "kept")])
    open_run(run, out, recipe="int8 input=uint8", doing=doing)
    assert done[-1] == ("quantize", "ran")


@pytest.mark.parametrize(
    ("kept", "command"),
    [
        ({"schema": "chipfit.train"}, "chipfit train --resume -o "),
        ({"schema": "chipfit.compress", "command": "chipfit compress prune net -o half"}, "-o half --resume`"),
    ],
)
def test_a_run_that_is_not_finished_says_how_it_goes_on(
    kept: dict[str, str], command: str, photos: Path, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", photos, more={**kept, "status": "interrupted"})
    with pytest.raises(ChipfitError, match="N003") as caught:
        open_run(run, tmp_path)
    assert command in str(caught.value.hint)
