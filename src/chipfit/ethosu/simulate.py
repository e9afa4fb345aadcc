"""A command stream, executed: the functional model of Ethos-U55 and U65, operation by operation, in order.

It knows no time, no caches and no parallel work: waits and block dependencies mean nothing here. What it computes
equals TensorFlow Lite's reference kernels; against silicon it was never held. What a stream asks for that is not
modelled is ChipfitError A001 with its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.ethosu.commands import Command, Operation, commands
from chipfit.ethosu.elementwise import elementwise
from chipfit.ethosu.layers import convolution, pool
from chipfit.ethosu.memory import Bytes, Memory
from chipfit.ethosu.output import store
from chipfit.ethosu.payload import Payload
from chipfit.ethosu.registers import Registers, Rounding
from chipfit.ethosu.weights import Weights

_IDLE = frozenset({Operation.IRQ, Operation.DMA_WAIT, Operation.KERNEL_WAIT, Operation.PMU_MASK})
"""Operations that change no byte of an execution in order."""

Watch = Callable[[Command, Registers, Memory], None]
"""Told of each operation after it was done."""


@dataclass
class Statistics:
    """``operations``: how often each was done."""

    operations: Counter[str] = field(default_factory=Counter[str])


class Simulator:
    """A payload and its constants, ready to run. Weights are decoded once, at the first run."""

    def __init__(self, payload: Payload, regions: dict[int, Bytes], *, dense: Rounding | None = None) -> None:
        """``regions``: bytes of each memory region, (bytes,) or, to execute the stream for several inputs at once,
        (runs, bytes); those that are constants have one row, and should not be writeable.

        ``dense``: another rounding of layers with one output pixel and one tap, such as ``NATURAL``, with which newer
        reference kernels of LiteRT compute FULLY_CONNECTED; None: what the stream says, as the hardware does.
        """
        accelerator = payload.accelerator
        self.payload = payload
        self.memory = Memory(regions, accelerator.shram_kib // accelerator.cores * 1024)
        self._lut_start = accelerator.lut_start
        self._weights = Weights(accelerator, self.memory)
        self._dense = dense
        self._commands = list(commands(payload.words))

    def run(self, watch: Watch | None = None) -> Statistics:
        """Execute the stream up to its end, on what lies in the regions."""
        registers, statistics = Registers(), Statistics()
        for command in self._commands:
            if command.operation is None:
                registers.set(command)
                continue
            statistics.operations[command.operation.name] += 1
            if command.operation == Operation.STOP:
                return statistics
            if command.operation not in _IDLE:
                self._located(command, registers)
            if watch:
                watch(command, registers, self.memory)
        raise ChipfitError("A001", "the command stream ends without STOP", "the file is damaged")

    def _located(self, command: Command, registers: Registers) -> None:
        try:
            self._execute(command, registers)
        except ChipfitError as error:
            message = f"{command} at word {command.at}: {error.message}"
            raise ChipfitError(error.code, message, error.hint) from None

    def _execute(self, command: Command, r: Registers) -> None:
        if command.operation == Operation.DMA_START:
            self._copy(r)
            return
        if command.operation == Operation.POOL:
            values = pool(r, self.memory, command.parameter)
        elif command.operation == Operation.ELEMENTWISE:
            values = elementwise(r, self.memory, command.parameter)
        else:
            is_depthwise = command.operation == Operation.DEPTHWISE
            values = convolution(r, self.memory, self._weights, depthwise=is_depthwise, dense=self._dense)
        store(r, self.memory, self._lut_start, values)

    def _copy(self, r: Registers) -> None:
        """Bytes from a region into another one, or into the internal memory."""
        source, target = r.parameter("DMA0_SRC_REGION"), r.parameter("DMA0_DST_REGION")
        if (target | source) >> 9 & 3:
            raise ChipfitError("A001", "a copy in two or three dimensions is not modelled")
        count, to = r.address("DMA0_LEN"), r.address("DMA0_DST")
        data = self.memory.bytes_at(source & 7, r.address("DMA0_SRC"), count, "what is copied")
        if target & 0x100:
            place = self.memory.internal_at(to, count, "a copy")
        else:
            place = self.memory.bytes_at(target & 7, to, count, "a copy")
        if not place.flags.writeable:
            raise ChipfitError("A001", f"a copy goes into region {target & 7}, a constant")
        place[...] = np.array(data)
