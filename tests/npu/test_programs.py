"""Programs whose C calls the NPU: they run on the emulated core, and the emulator's NPU executes their streams in the
core's memory."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit.build import compile_graph
from chipfit.codegen.project import runtime_folder
from chipfit.demo import model_path
from chipfit.emulate import HostLibrary, build_host_library
from chipfit.emulate.npu import EmulatedNpu
from chipfit.errors import ChipfitError
from chipfit.ethosu.commands import Operation
from chipfit.graph import DType, Graph, Node, TensorType, Value
from chipfit.ops import Scratch
from chipfit.ops.ethos_u import EthosU
from chipfit.targets import load_board
from npu.assembler import pool
from npu.nets import summing

needs_vela = pytest.mark.skipif(find_spec("ethosu") is None, reason="the ethos-u-vela package is not installed")

BOARD = "corstone-300-u55-128"
OUT = 512


def constant(name: str, data: bytes) -> Value:
    array = np.frombuffer(data, np.uint8)
    return Value(name, TensorType(array.shape, DType.UINT8, None), array)


def copying(count: int = 1, *, fast: int = 0) -> Graph:
    """A stream that copies 30 elements: straight to output 0, at the very end of the working memory, and by way of the
    second one to all other outputs."""
    shape = (2, 3, 5)
    direct = pool(shape).set(OFM_BASE0=OUT).op(Operation.POOL, 1)
    at = 0 if fast else 128
    there = pool(shape).set(OFM_REGION=2, OFM_BASE0=at).op(Operation.POOL, 1)
    back = pool(shape).set(IFM_REGION=2, IFM_BASE0=at, OFM_BASE0=64).op(Operation.POOL, 1)
    direct.words += there.words + back.words
    payload = direct.op(Operation.STOP).payload()
    kind = TensorType(shape, DType.INT8, None)
    x, ys = Value("x", kind), [Value(f"y{i}", kind) for i in range(count)]
    places = (OUT, *(64,) * (count - 1))
    op = EthosU(scratch=OUT + 30, fast=fast, input_offsets=(0,), output_offsets=places)
    node = Node(op, [constant("stream", payload), constant("weights", bytes(16)), x], ys)
    graph = Graph("copying", [x], ys, [node])
    graph.verify()
    return graph


def sample() -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int8]]]:
    return (np.arange(30, dtype=np.int8).reshape(2, 3, 5),)


@pytest.mark.parametrize("fast", [0, 160])
def test_a_stream_in_c(fast: int, tmp_path: Path) -> None:
    """With one working memory, and with two; constants and working memory where the NPU reaches them."""
    firmware = compile_graph(copying(2, fast=fast), BOARD, tmp_path / "fw")
    found = chipfit.Firmware.open(tmp_path / "fw").run([sample(), sample()]).outputs
    for y in found:
        np.testing.assert_array_equal(y, np.stack([sample()[0]] * 2))
    used = {m.name: m.used for m in firmware.report.memories}
    assert used["sram"] >= OUT + 30 + fast
    assert used["ddr"] >= 16
    manifest = json.loads((tmp_path / "fw" / "chipfit.json").read_text(encoding="utf-8"))
    assert manifest["target"]["npu"]["accelerator"] == "ethos-u55-128"


ALIGNMENT_CHECK = """
#include "cf_ethos_u.h"
#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif
static const uint8_t *memory;
static int bad;
void cf_npu_invoke(const void *stream, size_t stream_bytes, void *const bases[CF_NPU_REGIONS],
                   const size_t sizes[CF_NPU_REGIONS])
{
    const uint8_t *scratch = bases[1], *fast = bases[2];
    (void)stream;
    (void)stream_bytes;
    bad += ((uintptr_t)scratch | (uintptr_t)fast) % 16u != 0u;
    bad += scratch < memory || fast < scratch + sizes[1] || fast + sizes[2] > memory + %d;
}
EXPORT int32_t check(void)
{
    static const cf_ethos_u_params params = {16, 16, 30, 40, 0, 0, {0}, {0}};
    static uint8_t bytes[256];
    for (int i = 0; i < 64; i += 4) {
        memory = bytes + i;
        cf_ethos_u(bytes, bytes, memory, &params);
    }
    return bad;
}
"""


def test_working_memory_is_aligned(tmp_path: Path) -> None:
    """Wherever the plan puts it, within what the operator asks for."""
    node = copying().nodes[0]
    op = EthosU(scratch=30, fast=40, input_offsets=(0,), output_offsets=(0,))
    (room,) = [a.nbytes for a in op.call(Node(op, [*node.operands], node.outputs)).args if isinstance(a, Scratch)]
    source = tmp_path / "check.c"
    source.write_text(ALIGNMENT_CHECK.replace("%d", str(room)), encoding="utf-8")
    folders = [runtime_folder() / "kernels", runtime_folder() / "include"]
    assert HostLibrary(build_host_library([source], folders, tmp_path / "check")).call("check") == 0


def test_what_the_board_cannot_do(tmp_path: Path) -> None:
    for board, count, message in ((BOARD, 32, "33 inputs and outputs, more than 32"), ("corstone-300", 1, "has none")):
        with pytest.raises(ChipfitError, match=message) as caught:
            compile_graph(copying(count), board, tmp_path / "out")
        assert caught.value.code == "O002"
    with pytest.raises(ChipfitError, match=r"for ethos-u55-128, not for ethos-u55-64") as caught:
        chipfit.Model(copying()).compile("corstone-300-u55-64", tmp_path / "out")
    assert caught.value.code == "A002"
    firmware = compile_graph(copying(), "corstone-300-u55-64", tmp_path / "fw")
    with pytest.raises(ChipfitError) as caught:
        firmware.run([sample()])
    assert caught.value.code == "A002"


class Bytes:
    """Memory from address 0 on."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.data[address : address + size])

    def write(self, address: int, data: bytes) -> None:
        self.data[address : address + len(data)] = data


@pytest.mark.parametrize(("index", "what"), [(0, "command stream"), (2, "memory region"), (4, "memory region")])
def test_addresses_are_aligned(index: int, what: str) -> None:
    """As Arm's driver demands it."""
    payload = pool((2, 3, 5)).op(Operation.POOL, 1).op(Operation.STOP).payload()
    words = [16, len(payload), 2048, 16, 4096, 1024, 4096, 1024]
    memory = Bytes(bytes(16) + payload + bytes(8192))
    memory.data[4096:4126] = bytes(range(30))
    npu = EmulatedNpu(memory, "ethos-u55-128")
    npu.invoke(words)
    assert memory.data[4096 + OUT :][:30] == bytes(range(30))
    words[index] += 4
    memory.data[words[0] : words[0] + len(payload)] = payload
    with pytest.raises(ChipfitError, match=f"a {what} at .* is not aligned to 16 bytes") as caught:
        npu.invoke(words)
    assert caught.value.code == "A001"


@needs_vela
def test_a_model_goes_through_vela(tmp_path: Path) -> None:
    """Model.compile does as `chipfit compile` does."""
    model = chipfit.load(model_path("int8"))
    firmware = model.compile("imx93-u65-256", tmp_path / "fw")
    assert [layer.op for layer in firmware.report.layers] == ["ethos_u"]
    assert firmware.report.passes[-1].startswith("Vela 5.2")
    samples = model.samples(3)
    np.testing.assert_array_equal(firmware.run(samples).outputs[0], model.run_samples(samples)[0])


@needs_vela
def test_the_core_alone(tmp_path: Path) -> None:
    model = chipfit.load(model_path("int8"))
    firmware = model.compile(BOARD, tmp_path / "fw", npu=False)
    assert "ethos_u" not in {layer.op for layer in firmware.report.layers}
    with pytest.raises(ChipfitError) as caught:
        chipfit.load(model_path("float32")).compile(BOARD, tmp_path / "never")
    assert (caught.value.code, (tmp_path / "never").exists()) == ("A004", False)


@needs_vela
def test_states_go_on_from_run_to_run(tmp_path: Path) -> None:
    model = chipfit.Model(summing())
    firmware = model.compile(BOARD, tmp_path / "fw")
    samples = model.samples(4)
    np.testing.assert_array_equal(firmware.run(samples).outputs[0], model.run_samples(samples)[0])


@needs_vela
def test_what_does_not_fit(tmp_path: Path) -> None:
    board = load_board(BOARD)
    small = replace(board, memories=tuple(replace(m, size=16) if m.name == "sram" else m for m in board.memories))
    with pytest.raises(ChipfitError) as caught:
        chipfit.load(model_path("int8")).compile(small, tmp_path / "fw")
    assert caught.value.code == "M001"
