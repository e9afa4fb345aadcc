"""Thousands of damaged kmodels: each gives a ChipfitError with a hint, or a model that is inspected and run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.kmodel import FlashFile, inspect_file, load, write_kfpkg
from chipfit.kmodel.format.read import write_kmodel
from chipfit.kmodel.format.validate import count_work
from kmodel.files import Rng, real_kmodels, tiny_v3, tiny_v4
from kmodel.nodes import all_nodes

MUTANTS = 2000
MOST_SECONDS = 1.0
MOST_GROWTH = 256 << 10
"""KiB that the process may grow by."""
MOST_WORK = 2_000_000
"""Of a mutant that is run: others would only take time."""
MOST_FILE = 10_000
NASTY = (0, 1, 2, 3, 4, 7, 8, 63, 64, 255, 256, 1 << 15, 1 << 20, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF8, 0xFFFFFFFF)


def seeds() -> list[bytes]:
    """Own files, one with every opcode, and the small real ones where they are."""
    every = replace(tiny_v4(), nodes=tuple(all_nodes(np.random.default_rng(0))), main_bytes=1 << 17)
    own = [write_kmodel(model) for model in (tiny_v3(), tiny_v4(), every)]
    return own + [path.read_bytes() for path in real_kmodels(3, 4) if path.stat().st_size < MOST_FILE]


def _cut(data: bytearray, rng: Rng) -> None:
    del data[int(rng.integers(4, len(data))) :]


def _overwrite(data: bytearray, rng: Rng) -> None:
    at = 4 * int(rng.integers(len(data) // 4))
    data[at : at + 4] = int(rng.choice(NASTY)).to_bytes(4, "little")


def _header(data: bytearray, rng: Rng) -> None:
    at = 4 * int(rng.integers(min(len(data), 400) // 4))
    data[at : at + 4] = int(rng.choice(NASTY)).to_bytes(4, "little")


def _nudge(data: bytearray, rng: Rng) -> None:
    at = 4 * int(rng.integers(len(data) // 4))
    number = int.from_bytes(data[at : at + 4], "little") + int(rng.choice([-64, -4, -1, 1, 4, 64]))
    data[at : at + 4] = (number % (1 << 32)).to_bytes(4, "little")


def _flip(data: bytearray, rng: Rng) -> None:
    for _ in range(int(rng.integers(1, 9))):
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))


def _swap(data: bytearray, rng: Rng) -> None:
    a, b = (4 * int(rng.integers(len(data) // 4)) for _ in range(2))
    data[a : a + 4], data[b : b + 4] = data[b : b + 4], data[a : a + 4]


KINDS: tuple[Callable[[bytearray, Rng], None], ...] = (
    _cut,
    _overwrite,
    _overwrite,
    _header,
    _header,
    _nudge,
    _flip,
    _swap,
)


def mutants(count: int) -> Iterator[bytes]:
    rng = np.random.default_rng(7)
    files = seeds()
    for _ in range(count):
        data = bytearray(files[int(rng.integers(len(files)))])
        for _ in range(int(rng.choice([1, 1, 1, 2, 4]))):
            KINDS[int(rng.integers(len(KINDS)))](data, rng)
            if len(data) < 32:
                break
        yield bytes(data)


def outcome_of(data: bytes) -> str:
    try:
        model = load(data)
        model.inspect()
        if count_work(model.file) > MOST_WORK:
            return "large"
        model.run(model.samples(1))
    except ChipfitError as error:
        return error.code if error.hint else f"{error.code} without a hint"
    return "ran"


def test_mutants() -> None:
    resource = pytest.importorskip("resource", reason="Windows does not tell how much memory a process has used")
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for data in mutants(MUTANTS):
        started = time.process_time()
        outcomes[outcome_of(data)] += 1
        slowest = max(slowest, time.process_time() - started)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_GROWTH
    assert slowest < MOST_SECONDS
    assert sum(outcomes.values()) == MUTANTS
    assert not [outcome for outcome in outcomes if "without a hint" in outcome]
    # the mutants reach every stage: some still run, some fail late
    assert {"ran", "F002", "F003", "F004", "M001"} <= set(outcomes)
    assert outcomes["ran"] > MUTANTS // 10
    assert outcomes["F003"] > MUTANTS // 10


def test_packages(tmp_path: Path) -> None:
    """Damaged packages, too."""
    path = tmp_path / "model.kfpkg"
    package = write_kfpkg([FlashFile(0x300000, "model.kmodel", write_kmodel(tiny_v4()))])
    rng = np.random.default_rng(3)
    codes: Counter[str] = Counter()
    for _ in range(300):
        data = bytearray(package)
        KINDS[int(rng.integers(len(KINDS)))](data, rng)
        path.write_bytes(data)
        try:
            inspect_file(path).to_json()
            codes["read"] += 1
        except ChipfitError as error:
            codes[error.code if error.hint else f"{error.code} without a hint"] += 1
    assert set(codes) <= {"read", "F001", "F002", "F003", "F004", "F005"}
    assert {"read", "F003"} <= set(codes)
