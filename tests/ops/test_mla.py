"""Kernels for Armv7-M without DSP instructions, on the one core that takes them: all samples, two compilers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chipfit.emulate import build_elf, run_elf
from chipfit.ops import REGISTRY
from chipfit.targets import load_board
from ops import bundle
from ops.test_kernels import OPS, nodes_of

BOARD = load_board("arduino-due")
MLA_OPS = [name for name in OPS if any("mla" in k.needs for k in REGISTRY[name].kernels)]


def cases_of(name: str) -> list[bundle.Case]:
    cases = bundle.make_cases(nodes_of(name), BOARD.core.features, seed=5, draws=2)
    return [c for c in cases if any("mla" in step.choice.kernel.needs for step in c.program.steps)]


def wrong_on_core(cases: list[bundle.Case], folder: Path, include: Path | None = None, cc: str | None = None) -> int:
    """How many cases differ from the reference; ``include``: a folder that comes before the runtime's."""
    source, elf = folder / "bundle.c", folder / "bundle.elf"
    source.write_text(bundle.bundle_source(cases) + bundle.chip_main(cases))
    build_elf([source], [*([include] if include else []), *bundle.include_dirs()], BOARD, elf, cc=cc)
    result = run_elf(elf, BOARD, stdin=b"".join(c.stdin for c in cases))
    assert (result.exit_code, result.console.strip()) == (0, f"{len(cases)} cases")
    wrong, at = 0, 0
    for case in cases:
        size = sum(e.nbytes for e in case.expected)
        wrong += bundle.compare(case, bundle.split_outputs(case, result.output[at : at + size])) is not None
        at += size
    return wrong


@pytest.mark.parametrize("cc", [None, "arm-none-eabi-gcc"], ids=["zig", "gcc"])
@pytest.mark.parametrize("name", MLA_OPS)
def test_exact_on_core(name: str, cc: str | None, tmp_path: Path) -> None:
    if cc and not shutil.which(cc):
        pytest.skip(f"{cc} is not installed")
    cases = cases_of(name)
    assert len(cases) >= 20
    assert wrong_on_core(cases, tmp_path, cc=cc) == 0


@pytest.mark.parametrize(
    ("right", "broken"),
    [
        ("ldrd r10, r11, [r12, #8]", "ldrd r10, r11, [r12]"),
        ("mla r8, r10, lr, r8", "mla r8, r11, lr, r8"),
        ('CF_STORE_MLA("r5", "r9")', 'CF_STORE_MLA("r5", "r8")'),
    ],
    ids=["numbers", "product", "store"],
)
def test_broken_convolution_is_caught(right: str, broken: str, tmp_path: Path) -> None:
    original = next(f for folder in bundle.include_dirs() if (f := folder / "cf_tile_mla.h").exists())
    text = original.read_text(encoding="utf-8")
    assert text.count(right) == 1
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / original.name).write_text(text.replace(right, broken), encoding="utf-8")
    usual = [c for c in cases_of("conv2d") if c.node["y"].q.zp == -128 and c.node.op.attributes()["act"] == "relu"]
    assert wrong_on_core(usual, tmp_path, tmp_path / "include") > 0
