"""Kernels on the core with Helium (QEMU): the vector kernels on all samples, the others as the compiler vectorises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chipfit.emulate import build_elf, qemu, run_elf
from chipfit.fixedpoint import requantize
from chipfit.graph import Array, Node
from chipfit.ops import REGISTRY, op_of
from chipfit.ops._channels import Channels
from chipfit.ops._conv_mve import by_vectors
from chipfit.ops._fold import Staircase
from chipfit.ops._mve import ANY, LINE, RIGHT, Requantization, requantization
from chipfit.targets import load_board
from ops import bundle
from ops.test_kernels import OPS, nodes_of

BOARD = load_board("corstone-300")
WITH_VECTORS = [name for name in OPS if any("mve" in kernel.needs for kernel in REGISTRY[name].kernels)]
needs_qemu = pytest.mark.skipif(qemu.find_qemu() is None, reason=f"QEMU is not installed: {qemu.install_hint()}")


SPECIALISED = 30
"""Cases that are compiled for their sizes, as in a model; of more all run with one body for each kernel, which compiles
sooner."""


def wrong(cases: list[bundle.Case], folder: Path, *defines: str) -> list[str]:
    """What the emulated core gets wrong of these."""
    source = folder / "bundle.c"
    source.write_text(bundle.bundle_source(cases) + bundle.chip_main(cases))
    build_elf([source], bundle.include_dirs(), BOARD, folder / "bundle.elf", defines=defines)
    result = run_elf(folder / "bundle.elf", BOARD, stdin=b"".join(case.stdin for case in cases))
    assert (result.exit_code, result.console.strip()) == (0, f"{len(cases)} cases")
    found: list[str] = []
    at = 0
    for case in cases:
        size = sum(e.nbytes for e in case.expected)
        text = bundle.compare(case, bundle.split_outputs(case, result.output[at : at + size]))
        found += [text] if text else []
        at += size
    return found


def vector_kernels(node: Node) -> list[str]:
    usable = bundle.usable_kernels(node, BOARD.core.features)
    return [kernel.title for kernel in usable if "mve" in kernel.needs]


def vector_cases(name: str) -> list[bundle.Case]:
    """The samples of an operator on its vector kernels."""
    nodes = [node for node in nodes_of(name) if vector_kernels(node)]
    cases = bundle.make_cases(nodes, BOARD.core.features, seed=5, draws=1)
    kernels = tuple(k.title for k in REGISTRY[name].kernels if "mve" in k.needs)
    return [case for case in cases if case.label.endswith(kernels)]


@needs_qemu
@pytest.mark.parametrize("name", WITH_VECTORS)
def test_vector_kernels(name: str, tmp_path: Path) -> None:
    cases = vector_cases(name)
    every = -(-len(cases) // SPECIALISED)
    bad = wrong(cases[::every], tmp_path)
    if every > 1:
        bad += wrong(cases, tmp_path, "CF_SHARED")
    assert not bad, "\n".join(bad[:5])


@needs_qemu
def test_one_case_for_every_kernel(tmp_path: Path) -> None:
    nodes = [node for name in OPS for node in nodes_of(name)]
    cases = bundle.make_cases(nodes, BOARD.core.features, seed=6, draws=1, per_kernel=1)
    assert {case.label.split()[-1] for case in cases} >= {"cf_softmax_s8", "cf_conv2d_f32", "cf_conv2d_s8"}
    bad = wrong(cases, tmp_path)
    assert not bad, "\n".join(bad[:5])


def samples(op: str) -> list[Node]:
    return [node for node in nodes_of(op) if vector_kernels(node)]


def test_samples_reach_every_form_of_requantization() -> None:
    forms: set[int] = set()
    for node in samples("conv2d"):
        (kernel,) = (k for k in op_of(node).kernels if "mve" in k.needs)
        assert kernel.call is not None
        call = kernel.call(node)
        assert not isinstance(call, list)
        forms.add(int(call.params["form"]))  # type: ignore[arg-type]
    assert forms == {LINE, RIGHT, ANY}


def test_the_last_four_channels_are_filled_up() -> None:
    stairs = tuple(Staircase(1 << 30, shift, -3, -128, 127, -9000, 9000) for shift in (-7, -6, 1))
    channels = Channels(np.zeros((3, 5), np.int64), np.array([10, 20, 30]), stairs)
    made = requantization(channels)
    assert made.form == ANY
    assert made.table.tolist() == [10, 20, 30, 0, 1 << 30, 1 << 30, 1 << 30, 0, -7, -6, 1, 0]


REQUANTIZE = """
#include "cf_mve.h"
#include "cf_port.h"

int main(void)
{
    static int32_t sums[4 * 160];
    static int8_t y[4 * 160];
    int32_t head[5], table[12];
    while (cf_port_read(head, sizeof head) == 0) {
        const cf_mve_scale scale = {head[0], head[1], head[2], head[3], head[4]};
        cf_port_read(table, sizeof *table * (size_t)cf_mve_words(scale.form));
        cf_port_read(sums, sizeof sums);
        for (int32_t i = 0; i < 4 * 160; i += 4) {
            const int32x4_t four = vldrwq_s32(sums + i);
            cf_mve_store4(y + i, cf_mve_requantize(four, cf_mve_load(table, scale.form), &scale), 4, 1);
        }
        cf_port_write(y, sizeof y);
    }
    return 0;
}
"""


def run_program(text: str, stdin: bytes, folder: Path) -> bytes:
    (folder / "program.c").write_text(text)
    build_elf(
        [folder / "program.c"], bundle.include_dirs(), BOARD, folder / "program.elf", defines=[f"END={BOARD.ram.end}"]
    )
    result = run_elf(folder / "program.elf", BOARD, stdin=stdin)
    assert result.exit_code == 0, result.console
    return result.output


def four_channels(rng: np.random.Generator, shifts: tuple[int, int], low: int) -> tuple[Channels, Array]:
    """Random channels, and 160 sums of each: on both sides of steps, and others."""
    zero = -128 if low > -128 else int(rng.integers(-20, 20))
    stairs: list[Staircase] = []
    for _ in range(4):
        m, shift = int(rng.integers(1 << 30, 1 << 31)), int(rng.integers(*shifts))
        reach = min(1 << 20, int(400 / (m * 2.0 ** (shift - 31))) + 2)
        stairs.append(Staircase(m, shift, zero, max(low, -128), 127, -reach, reach))
    start = rng.integers(-50, 50, 4)
    columns: list[Array] = []
    for channel, first in zip(stairs, start, strict=True):
        steps = rng.choice(channel.steps()[1], 60)
        at = np.concatenate([steps, steps - 1, rng.integers(channel.acc_min, channel.acc_max + 1, 40)])
        columns.append(np.clip(at, channel.acc_min, channel.acc_max) - first)
    return Channels(np.zeros((4, 1), np.int64), start, tuple(stairs)), np.stack(columns, axis=1).astype(np.int32)


@needs_qemu
def test_requantization_is_exact_at_every_step(tmp_path: Path) -> None:
    """Sums just below and at the steps of the staircase, of channels of each form."""
    rng = np.random.default_rng(0)
    stdin, expected = b"", b""
    forms: set[int] = set()
    for shifts, low in [((-9, -3), -127)] * 12 + [((-9, 0), -128)] * 6 + [((-6, 4), -128)] * 6:
        channels, sums = four_channels(rng, shifts, low)
        made: Requantization = requantization(channels)
        stairs = channels.stairs
        forms.add(made.form)
        head = np.array([made.form, made.right, stairs[0].zero, stairs[0].low, 127], np.int32)
        stdin += head.tobytes() + made.table.tobytes() + sums.tobytes()
        m, shift = (np.array(a, np.int32) for a in zip(*((c.m, c.shift) for c in stairs), strict=True))
        y = requantize(sums.astype(np.int64) + channels.start, m, shift, stairs[0].zero, stairs[0].low, 127)
        expected += y.astype(np.int8).tobytes()
    assert forms == {LINE, RIGHT, ANY}
    assert run_program(REQUANTIZE, stdin, tmp_path) == expected


DOTS = """
#include "cf_mve_dots.h"
#include "cf_port.h"

int main(void)
{
    static int8_t beside[64];
    static int32_t w[64], sums[4];
    int32_t size;
    while (cf_port_read(&size, sizeof size) == 0) {
        int8_t *const last = (int8_t *)(uintptr_t)((uint32_t)END - (uint32_t)size);
        int32x4_t a, b;
        cf_port_read(last, (size_t)size);
        cf_port_read(beside, (size_t)size);
        cf_port_read(w, (size_t)((size + 15) / 16 * 64));
        cf_mve_dots(last, beside, w, size, 0, &a, &b);
        vstrwq_s32(sums, a);
        cf_port_write(sums, sizeof sums);
        vstrwq_s32(sums, b);
        cf_port_write(sums, sizeof sums);
        cf_mve_dots(beside, last, w, size, 0, &a, &b);
        vstrwq_s32(sums, b);
        cf_port_write(sums, sizeof sums);
    }
    return 0;
}
"""


@needs_qemu
def test_dots_read_nothing_beyond_their_rows(tmp_path: Path) -> None:
    """Rows that end with the board's RAM, of every size: all numbers of vectors, with a part of one and without."""
    rng = np.random.default_rng(0)
    stdin, expected = b"", b""
    for size in range(1, 64):
        x = rng.integers(-128, 128, (2, size))
        w = rng.integers(-127, 128, (4, size))
        stdin += np.int32(size).tobytes() + x.astype(np.int8).tobytes() + by_vectors(w).tobytes()
        sums = (x @ w.T).astype(np.int32)
        expected += sums[[0, 1, 0]].tobytes()
    assert run_program(DOTS, stdin, tmp_path) == expected
