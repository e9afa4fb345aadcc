"""Programs for an AVR: what zig lacks there and chipfit brings, and what simavr measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit.build import compile_graph
from chipfit.demo import model_path
from chipfit.emulate import Elf, MachineResult, avr, build_elf, run_elf
from chipfit.errors import ChipfitError
from chipfit.interpret import evaluate
from chipfit.targets import load_board
from codegen.models import two_equal_layers
from emulate.avr_compilers import COMPILERS, INCLUDE, need_simavr, require
from emulate.samples import PROGRAMS

UNO = load_board("arduino-uno")


def run(
    name: str, folder: Path, cc: str | None = None, *defines: str, stdin: bytes = b"", marks: tuple[str, ...] = ()
) -> MachineResult:
    require(cc)
    elf = folder / f"{name}.elf"
    source = PROGRAMS / f"{name}.c"
    build_elf([source], [INCLUDE], UNO, elf, cc=cc, stack_bytes=256, defines=defines)
    return run_elf(elf, UNO, stdin=stdin, marks=marks, max_instructions=10_000_000)


def numbers() -> np.ndarray:
    """Random numbers of all magnitudes, and those at which a carry or a sign may go wrong."""
    rng = np.random.default_rng(0)
    edges = np.array([-(2**31), -(2**31) + 1, -(2**30), -65536, -256, -1, 1, 255, 256, 2**15, 2**30, 2**31 - 1])
    wide = rng.integers(-(2**31), 2**31, 1500) >> rng.integers(0, 31, 1500)
    table = np.zeros(len(wide) + len(edges) ** 2, [("a", "<i4"), ("b", "<i4"), ("n", "<i2"), ("d", "<i2")])
    table["a"] = np.concatenate([wide, np.repeat(edges, len(edges))])
    table["b"] = np.concatenate([rng.permutation(wide), np.tile(edges, len(edges))])
    table["n"] = rng.integers(0, 32, len(table))
    table["d"] = table["b"].astype(np.int64) % 65521 - 32000
    table["b"][table["b"] == 0] = 7
    table["d"][table["d"] == 0] = -7
    overflows = (table["a"] == -(2**31)) & (table["b"] == -1)
    return table[~overflows & ~((table["a"] == -(2**31)) & (table["b"] == -(2**31)))]


def expected(a: int, b: int, n: int, d: int) -> tuple[int, ...]:
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    away = (abs(a) + ((1 << n) >> 1)) >> n
    ua, ub, a16 = a % 2**32, b % 2**32, (a + 2**15) % 2**16 - 2**15
    quotient16 = abs(a16) // abs(d) * (1 if (a16 < 0) == (d < 0) else -1)
    shifted = away if a >= 0 else -away
    return (
        (a * b + 2**31) % 2**32 - 2**31,
        quotient,
        a - b * quotient,
        (a * b + 2**30) >> 31,
        shifted,
        ua // ub,
        ua % ub,
        (quotient16 + 2**15) % 2**16 - 2**15,
        a16 - d * quotient16,
        (a % 2**16) // (d % 2**16),
        (a % 2**16) % (d % 2**16),
    )


@need_simavr
@pytest.mark.parametrize("cc", COMPILERS)
def test_arithmetic(cc: str | None, tmp_path: Path) -> None:
    table = numbers()
    kinds = [("p", "<i4"), ("q", "<i4"), ("r", "<i4"), ("h", "<i4"), ("s", "<i4"), ("uq", "<u4"), ("ur", "<u4")]
    kinds += [("q16", "<i2"), ("r16", "<i2"), ("uq16", "<u2"), ("ur16", "<u2")]
    got = np.frombuffer(run("avr_arithmetic", tmp_path, cc, stdin=table.tobytes()).output, kinds)
    wrong = [
        (row.tolist(), given.tolist(), want)
        for row, given in zip(table, got, strict=True)
        if given.tolist() != (want := expected(*row.tolist()))
    ]
    assert not wrong, wrong[:3]


@need_simavr
@pytest.mark.parametrize("cc", COMPILERS)
def test_memory(cc: str | None, tmp_path: Path) -> None:
    given = bytes(range(1, 65))
    data = bytearray(given)
    data[3:23] = data[:20]
    data[30:50] = data[33:53]
    data[40:60] = data[:20]
    data[60:64] = b"\x5a" * 4
    assert run("avr_memory", tmp_path, cc, stdin=given).output == bytes(data) + b"=<>"


@need_simavr
@pytest.mark.parametrize("cc", COMPILERS)
def test_cycles_are_those_of_the_manual(cc: str | None, tmp_path: Path) -> None:
    result = run("avr_cycles", tmp_path, cc, marks=("main", "ten", "pushes", "cf_port_exit"))
    by_name = dict(zip((mark.name for mark in result.marks), result.cycles or (), strict=True))
    visits = {mark.name: mark.visits for mark in result.marks}
    assert (visits["ten"], visits["pushes"]) == (3, 2)
    # what follows in main counts for `ten`, the last mark: it is the same whichever way `ten` was called
    assert by_name["pushes"] == 2 * (2 + 2 + 4)
    assert by_name["ten"] >= 3 * 11 + 2 * (2 + 2 + 4)
    assert result.instructions > sum(mark.instructions for mark in result.marks) > 0


@need_simavr
@pytest.mark.parametrize(
    ("define", "code", "message"),
    [
        ("DEEP", "E002", "stack overflow in .*deeper.*stack of 256 B"),
        ("LOOP", "E004", "more than 10,000,000 instructions .* in main"),
        ("OUTSIDE", "E001", "access outside of RAM in main"),
    ],
)
def test_what_goes_wrong(define: str, code: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match=message) as caught:
        run("avr_memory", tmp_path, None, define)
    assert caught.value.code == code


@need_simavr
def test_a_model(tmp_path: Path) -> None:
    """The demo model, a convolutional network of 12 layers, in 2 KiB of RAM: byte for byte, and exact figures."""
    model = chipfit.load(model_path("int8"))
    firmware = model.compile("arduino-uno", tmp_path / "out", optimize="ram")
    ram, flash = firmware.report.ram, firmware.report.flash
    assert (ram.stack, ram.constants, ram.statics) == (256, 0, 0)
    assert 0 < (ram.total or 0) < 1300
    assert 0 < (flash.total or 0) < 20_000
    samples = [(x,) for x in np.random.default_rng(0).integers(-128, 128, (2, 1, 8, 8, 1)).astype(np.int8)]
    report = firmware.run(samples)
    for want, got in zip(model.run_samples(samples), report.outputs, strict=True):
        assert want.tobytes() == got.tobytes()
    assert report.cycles_how == "measured (simavr)"
    assert report.milliseconds == pytest.approx((report.cycles or 0) / 16e3)
    assert (report.cycles or 0) > (report.instructions or 0) > 2 * report.macs
    assert 60 < (report.stack_bytes or 0) < 150


@need_simavr
@pytest.mark.parametrize("cc", COMPILERS)
def test_shared_bodies_and_equal_weights(cc: str | None, tmp_path: Path) -> None:
    require(cc)
    graph = two_equal_layers("twice", "x", "layer", "y")
    firmware = compile_graph(graph, "arduino-uno", tmp_path / "out", cc=cc, optimize="size")
    samples = [(x,) for x in np.random.default_rng(1).integers(-128, 128, (3, 1, 8)).astype(np.int8)]
    want = [evaluate(graph, sample)[0] for sample in samples]
    assert firmware.run(samples).outputs[0].tobytes() == b"".join(y.tobytes() for y in want)


def test_without_simavr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling needs none, and its figures are exact; running says how to get it."""
    monkeypatch.setattr(avr, "simavr_prefix", lambda: None)
    firmware = compile_graph(two_equal_layers("twice", "x", "layer", "y"), "arduino-uno", tmp_path / "out")
    assert firmware.report.flash.total
    with pytest.raises(ChipfitError, match="simavr, the emulator of AVR chips, is not installed") as caught:
        firmware.run([(np.zeros((1, 8), np.int8),)])
    assert (caught.value.code, caught.value.hint) == ("T001", avr.install_hint())


def test_what_does_not_fit_says_by_how_much(tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match=r"does not fit arduino-uno: RAM 2\.3 KiB of 2\.0 KiB \(\d+ B too many"):
        chipfit.load(model_path("int8")).compile("arduino-uno", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@need_simavr
def test_the_serial_port(tmp_path: Path) -> None:
    """Of a program that is not chipfit's own harness."""
    source = tmp_path / "uart.c"
    source.write_text(
        """#include <stdint.h>
#define UCSR0A (*(volatile uint8_t *)0xC0)
#define UCSR0B (*(volatile uint8_t *)0xC1)
#define UDR0 (*(volatile uint8_t *)0xC6)
int main(void)
{
    static const char text[] = "hello\\n";
    UCSR0B = 0x08;
    for (uint8_t i = 0; text[i] != 0; i++) {
        while ((UCSR0A & 0x20) == 0) {
        }
        UDR0 = (uint8_t)text[i];
    }
    for (;;) {
    }
}
""",
        encoding="utf-8",
    )
    elf = build_elf([source], [], UNO, tmp_path / "uart.elf", stack_bytes=64)
    assert isinstance(elf, Elf)
    assert avr.run_uart(elf.path, UNO, seconds=0.05) == "hello\n"
