"""The host's side of semihosting: the operations that runtime/port/semihost.c and picolibc-like libraries use.

Source: "Semihosting for AArch32 and AArch64" (Arm, 2.0), section 7; RISC-V takes the same numbers over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from chipfit.emulate.npu import WORDS, EmulatedNpu

SYS_OPEN, SYS_CLOSE, SYS_WRITEC, SYS_WRITE0, SYS_WRITE, SYS_READ = 1, 2, 3, 4, 5, 6
SYS_ISTTY, SYS_FLEN, SYS_EXIT, SYS_EXIT_EXTENDED = 9, 0x0C, 0x18, 0x20
NPU_INVOKE = 0x100
"""Of the numbers that the standard leaves to applications: runtime/port/npu_emulated.c."""
_APPLICATION_EXIT = 0x20026  # ADP_Stopped_ApplicationExit
_INPUT, _OUTPUT, _CONSOLE = 1, 2, 3  # handles
_FAILED = -1


class Memory(Protocol):
    """Reads and writes the core's memory as the program could; raises where it could not."""

    def read(self, address: int, size: int) -> bytes: ...

    def write(self, address: int, data: bytes) -> None: ...


@dataclass
class Semihost:
    """Files of one run: "chipfit.in" gives ``stdin``, "chipfit.out" fills ``output``, ":tt" is the console."""

    memory: Memory
    word: int  # bytes of a register
    stdin: bytes
    output: bytearray = field(default_factory=bytearray)
    console: bytearray = field(default_factory=bytearray)
    exit_code: int | None = None
    npu: EmulatedNpu | None = None
    _position: int = 0

    def serve(self, operation: int, argument: int) -> int:
        """Carry out one request and return its result; unknown ones fail with -1, as the standard asks."""
        operations: dict[int, Callable[[int], int]] = {
            SYS_OPEN: self._open,
            SYS_CLOSE: lambda _: 0,
            SYS_WRITEC: self._write_character,
            SYS_WRITE0: self._write_text,
            SYS_WRITE: self._write,
            SYS_READ: self._read,
            SYS_ISTTY: lambda at: int(self._words(at, 1)[0] == _CONSOLE),
            SYS_FLEN: self._length,
            SYS_EXIT: self._exit,
            SYS_EXIT_EXTENDED: self._exit_extended,
            NPU_INVOKE: self._invoke_npu,
        }
        serve = operations.get(operation)
        return _FAILED if serve is None else serve(argument)

    def _words(self, address: int, count: int) -> list[int]:
        raw = self.memory.read(address, count * self.word)
        return [int.from_bytes(raw[i : i + self.word], "little") for i in range(0, len(raw), self.word)]

    def _open(self, address: int) -> int:
        name_at, mode, length = self._words(address, 3)
        name = self.memory.read(name_at, length)
        writes = mode >= 4  # r, rb, r+, r+b are 0 to 3
        if name == b":tt":
            return _CONSOLE
        if name == b"chipfit.in" and not writes:
            self._position = 0
            return _INPUT
        if name == b"chipfit.out" and writes:
            return _OUTPUT
        return _FAILED

    def _write_character(self, address: int) -> int:
        self.console += self.memory.read(address, 1)
        return 0

    def _write_text(self, address: int) -> int:
        while (byte := self.memory.read(address, 1)) != b"\0":
            self.console += byte
            address += 1
        return 0

    def _write(self, address: int) -> int:
        handle, data, size = self._words(address, 3)
        target = {_OUTPUT: self.output, _CONSOLE: self.console}.get(handle)
        if target is None:
            return size  # the bytes that were not written
        target += self.memory.read(data, size)
        return 0

    def _read(self, address: int) -> int:
        handle, target, size = self._words(address, 3)
        if handle != _INPUT:
            return size
        data = self.stdin[self._position : self._position + size]
        self.memory.write(target, data)
        self._position += len(data)
        return size - len(data)  # the bytes that were not read

    def _length(self, address: int) -> int:
        return len(self.stdin) if self._words(address, 1)[0] == _INPUT else _FAILED

    def _invoke_npu(self, address: int) -> int:
        if self.npu is None:
            return _FAILED
        self.npu.invoke(self._words(address, WORDS))
        return 0

    def _exit(self, argument: int) -> int:
        """On 32 bits the reason itself, which has no room for a code; on 64 bits as SYS_EXIT_EXTENDED."""
        if self.word == 8:
            return self._exit_extended(argument)
        self.exit_code = 0 if argument == _APPLICATION_EXIT else 1
        return 0

    def _exit_extended(self, address: int) -> int:
        reason, code = self._words(address, 2)
        bits = 8 * self.word
        signed = code - (1 << bits) if code >> (bits - 1) else code
        self.exit_code = signed if reason == _APPLICATION_EXIT else 1
        return 0
