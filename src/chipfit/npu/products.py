"""The scales of products in Vela's streams, set to those of the reference.

The multiplier of a MUL is a quotient of scales. Vela divides in float32, as LiteRT does; TensorFlow Lite Micro, and the
reference with it, in double. The two differ by some parts in 2**24, which tells where a product lies next to a tie.
An Ethos-U takes any multiplier of 31 bits, so that the stream can have the reference's own.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chipfit.ethosu import Payload, Registers, parse_payload
from chipfit.ethosu.commands import Command, Operation, commands
from chipfit.ethosu.elementwise import Mode
from chipfit.fixedpoint import quantize_multiplier
from chipfit.graph import DType, Graph, Node
from chipfit.model import load
from chipfit.npu.execute import streams_of
from chipfit.ops.mul import Mul, multiplier

Scale = tuple[int, int]
"""Of the register OFM_SCALE: multiplier, and shift to the right."""


def with_exact_products(tflite: bytes, graph: Graph) -> tuple[bytes, int]:
    """The file that Vela made of ``graph`` with the reference's multipliers of products; and how many were set."""
    exact = exact_scales(graph)
    done = 0
    for node in streams_of(load(tflite, name=graph.name).graph) if exact else ():
        before = node.operands[0].array.tobytes()
        words = np.frombuffer(before, "<u4").copy()
        payload = parse_payload(before)
        for at, (m, shift) in _changes(payload, exact):
            word = payload.first + at
            words[word : word + 2] = words[word] & 0xFFFF | shift << 16, m
            done += 1
        tflite = tflite.replace(before, words.tobytes(), 1)
    return tflite, done


def exact_scales(graph: Graph) -> dict[Scale, Scale]:
    """Of the products of a graph, by Vela's; those that Vela cannot tell apart, and those that are exact, left out."""
    found: dict[Scale, set[Scale]] = {}
    for node in graph.nodes:
        if isinstance(node.op, Mul) and node["y"].dtype in (DType.INT8, DType.INT16):
            found.setdefault(_register(quantize_multiplier(_single(node))), set()).add(_register(multiplier(node)))
    return {vela: scales.pop() for vela, scales in found.items() if len(scales) == 1 and vela not in scales}


def _single(node: Node) -> float:
    """As Vela computes it: in float32."""
    a, b, y = (np.float32(node[port].q.s) for port in ("a", "b", "y"))
    return float(np.float32(a * b) / y)


def _register(multiplier_: tuple[int, int]) -> Scale:
    m, shift = multiplier_
    return m, 31 - shift


def _changes(payload: Payload, exact: dict[Scale, Scale]) -> Iterator[tuple[int, Scale]]:
    """Where OFM_SCALE is set for nothing but products of a known scale: the word, and the scale to set."""
    for command, are_products in _uses_of_scales(payload):
        scale = exact.get((command.data or 0, command.parameter & 63))
        if scale is not None and are_products and all(are_products):
            yield command.at, scale


def _uses_of_scales(payload: Payload) -> list[tuple[Command, list[bool]]]:
    """Each command that sets OFM_SCALE, and of the operations that compute with it, whether they are products."""
    registers = Registers()
    found: list[tuple[Command, list[bool]]] = []
    for command in commands(payload.words):
        is_elementwise = command.operation is Operation.ELEMENTWISE
        if command.register:
            registers.set(command)
        if command.register == "OFM_SCALE":
            found.append((command, []))
        elif found and (is_elementwise or (command.operation in _LAYERS and registers.global_scale)):
            found[-1][1].append(is_elementwise and command.parameter == Mode.MUL)
    return found


_LAYERS = (Operation.CONV, Operation.DEPTHWISE, Operation.POOL)
