"""A debugger's side of GDB's remote protocol: as much as running a program on QEMU needs.

Source: "Debugging with GDB", appendix E, "The GDB Remote Serial Protocol". Registers have the numbers of GDB's own
description of an M-profile core: 0 to 15.
"""

from __future__ import annotations

import socket

_CHUNK = 1 << 10  # bytes in one packet: QEMU takes packets of 4 KiB, two digits a byte


class ClosedError(Exception):
    """The other side has gone."""


class Gdb:
    """A connection to a stub whose program is stopped."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self._ask("qSupported:xmlRegisters=arm")
        # QEMU gives single registers only to those who have asked for their description.
        self._ask("qXfer:features:read:target.xml:0,ffb")

    def register(self, number: int) -> int:
        """A register of 32 bits."""
        return int.from_bytes(bytes.fromhex(self._ask(f"p{number:x}")), "little")

    def set_register(self, number: int, value: int) -> None:
        """Change a register of 32 bits."""
        self._succeed(f"P{number:x}={(value & 0xFFFF_FFFF).to_bytes(4, 'little').hex()}")

    def read(self, address: int, size: int) -> bytes | None:
        """Memory as the program sees it; None where it sees none."""
        data = bytearray()
        for start in range(0, size, _CHUNK):
            answer = self._ask(f"m{address + start:x},{min(_CHUNK, size - start):x}")
            if answer.startswith("E"):
                return None
            data += bytes.fromhex(answer)
        return bytes(data)

    def write(self, address: int, data: bytes) -> bool:
        """Change memory; False where the program sees none. Flash can be written, too; devices cannot."""
        for start in range(0, len(data), _CHUNK):
            part = data[start : start + _CHUNK]
            if self._ask(f"M{address + start:x},{len(part):x}:{part.hex()}") != "OK":
                return False
        return True

    def set_breakpoint(self, address: int) -> None:
        """Stop before the instruction at the address. QEMU changes no memory for it."""
        self._succeed(f"Z0,{address:x},2")

    def clear_breakpoint(self, address: int) -> None:
        """The opposite of :meth:`set_breakpoint`."""
        self._succeed(f"z0,{address:x},2")

    def monitor(self, command: str) -> str:
        """The answer of QEMU's monitor."""
        self._send("qRcmd," + command.encode().hex())
        text = ""
        while (answer := self._receive()).startswith("O") and answer != "OK":
            text += bytes.fromhex(answer[1:]).decode("utf-8", "replace")
        return text

    def step(self) -> None:
        """Execute one instruction, whether a breakpoint is on it or not."""
        self._ask("s")

    def resume(self) -> None:
        """Let the program run."""
        self._send("c")

    def stopped(self, seconds: float) -> str | None:
        """Why the program stopped (``T05…``: a breakpoint); None if it still runs after so many seconds."""
        self._socket.settimeout(seconds)
        try:
            return self._receive()
        except TimeoutError:
            return None
        finally:
            self._socket.settimeout(None)

    def interrupt(self) -> str:
        """Stop a program that runs; gives the reason, which may be a breakpoint that came first."""
        self._socket.sendall(b"\x03")
        return self._receive()

    def _succeed(self, request: str) -> None:
        answer = self._ask(request)
        if answer != "OK":
            raise ClosedError(f"{request} was answered {answer!r}")

    def _ask(self, request: str) -> str:
        self._send(request)
        return self._receive()

    def _send(self, text: str) -> None:
        data = text.encode()
        try:
            self._socket.sendall(b"$%b#%02x" % (data, sum(data) & 0xFF))
        except OSError as problem:
            raise ClosedError(str(problem)) from None

    def _receive(self) -> str:
        """The next packet. TCP loses nothing: acknowledgements are sent, but their absence is not minded."""
        while True:
            start = self._received.find(b"$")
            end = self._received.find(b"#", start) if start >= 0 else -1
            if 0 <= end <= len(self._received) - 3:
                packet = self._received[start + 1 : end].decode()
                self._received = self._received[end + 3 :]
                self._socket.sendall(b"+")
                return packet
            try:
                more = self._socket.recv(1 << 16)
            except ConnectionError as problem:
                raise ClosedError(str(problem)) from None
            if not more:
                raise ClosedError("the connection ended")
            self._received += more
