"""Kernels on compressed weights: their constants are made again in scratch, whole or for some channels at a time.

A layer's calls become: make the weights of the first output channels, run the kernel for these, and so on. The kernel
is the one that runs on plain weights; scratch holds the very bytes that it would read from flash. So the results are
the same, and each weight is made once in a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from chipfit.codegen.packing import pack
from chipfit.graph import DType, Node
from chipfit.ops import Arg, Call, Const, Kernel, Port, Scratch
from chipfit.ops._coded import all_bytes

LIMITS = (None, 8192, 3072, 1024)
"""Bytes of weights that are made at a time, about: all; or what scratch may take."""

_CODE = 64
"""Bytes of code for the calls that make a layer's weights, about."""

LEAST_SAVED = 1024
"""Bytes that a program must save with compressed weights: less would go into the code that makes them."""


@dataclass(frozen=True)
class Packing:
    """How a layer's weights are stored. Bytes of flash: ``plain`` of the constants that hold its weights, ``packed`` of
    what stands for them; ``parts``: how many times some of them are made, into ``scratch`` bytes."""

    form: str
    plain: int
    packed: int
    parts: int
    scratch: int


def compressed(node: Node, kernel: Kernel, calls: Sequence[Call]) -> Iterator[tuple[tuple[Call, ...], Packing]]:
    """The kernel's calls on compressed weights, in each size of what is made at a time, the largest first.

    Only where that saves flash: nothing for a kernel without marked weights.
    """
    sizes: set[int] = set()
    for limit in LIMITS if _coded(_marked(node, calls)) else ():
        if (made := in_parts(node, kernel, calls, limit)) is None or made[1].parts in sizes:
            continue
        sizes.add(made[1].parts)
        if made[1].packed + _CODE < made[1].plain:
            yield made


def in_parts(
    node: Node, kernel: Kernel, calls: Sequence[Call], limit: int | None
) -> tuple[tuple[Call, ...], Packing] | None:
    """The kernel's calls with about ``limit`` bytes of weights made at a time, None: all of them; whatever it saves.

    None where the kernel cannot make some of its output channels, or no form can hold its weights.
    """
    whole = _marked(node, calls)
    plain = sum(const.data.nbytes for const in _coded(whole))
    split = whole if limit is None else _split(node, kernel, plain, limit)
    packed = pack(_coded(split))
    if packed is None:
        return None
    made: list[Call] = [packed.begin]
    for call in _in_turns(split):
        made += [replace(packed.make, turns=call.turns), _on_scratch(call)] if _coded([call]) else [call]
    scratch = sum(arg.nbytes for arg in packed.make.args if isinstance(arg, Scratch))
    return tuple(made), Packing(packed.form, plain, packed.data.nbytes, len(_coded(split)), scratch)


def _marked(node: Node, calls: Sequence[Call]) -> list[Call]:
    """The calls, with int8 weights that the kernel reads as they are in the model marked as such."""
    w = node.get("w") if "w" in node.op.inputs else None
    if w is None or not w.is_const or w.dtype is not DType.INT8:
        return list(calls)
    stored = Const("w", w.array, "weights", all_bytes(w.array))
    return [replace(call, args=[stored if arg == Port("w") else arg for arg in call.args]) for call in calls]


def _coded(calls: Sequence[Call]) -> list[Const]:
    return [arg for call in calls for arg in call.args if isinstance(arg, Const) and arg.coded is not None]


def _split(node: Node, kernel: Kernel, plain: int, limit: int) -> list[Call]:
    """Calls for some output channels each; none where the kernel makes all of them at once.

    All calls make the same number of channels, if any number near the limit allows that: then they share their code.
    """
    out = node["y"].shape[-1]
    if kernel.part is None or plain <= limit:
        return []
    most = max(1, limit * 9 // 8 * out // plain // kernel.parts_of)  # with some room for what is around the weights
    even = [n for n in range(most, 0, -1) if out % (n * kernel.parts_of) == 0]
    count = kernel.parts_of * (even[0] if even and 2 * even[0] >= most else most)
    calls = [kernel.part(node, first, min(first + count, out)) for first in range(0, out, count)]
    return [call for call in calls if call is not None]


# ---------------------------------------------------------------------------------------------- loops


def _in_turns(calls: Sequence[Call]) -> list[Call]:
    """Calls one after the other that differ in nothing but where their arguments begin, as one that is repeated."""
    made: list[Call] = []
    for _, alike in groupby(calls, key=_key):
        same = list(alike)
        made += [_repeated(same)] if len(same) > 1 and _is_even(same) else same
    return made


def _key(call: Call) -> tuple[object, ...]:
    args = [
        (type(arg), arg.data.dtype, arg.data.shape, arg.coded is not None)
        if isinstance(arg, Const)
        else replace(arg, offset=0)
        if isinstance(arg, Port)
        else arg
        for arg in call.args
    ]
    # what is made of a constant may have any size, but it is read to its own end
    shapes = [a[:2] if isinstance(a, tuple) and a[3] else a for a in args]
    return (*shapes, *call.params.items(), call.struct)


def _is_even(calls: Sequence[Call]) -> bool:
    """Whether all offsets go up by the same."""
    return all(len({*np.diff(offsets).tolist()}) <= 1 for offsets in zip(*map(_offsets, calls), strict=True))


def _offsets(call: Call) -> list[int]:
    return [arg.offset if isinstance(arg, Port) else 0 for arg in call.args]


def _repeated(calls: Sequence[Call]) -> Call:
    first, second = calls[0], calls[1]
    args: list[Arg] = []
    for i, (arg, step) in enumerate(zip(first.args, np.subtract(_offsets(second), _offsets(first)), strict=True)):
        if isinstance(arg, Port):
            args.append(replace(arg, step=int(step)))
        elif isinstance(arg, Const) and arg.coded is None:
            data = [other.data for call in calls if isinstance(other := call.args[i], Const)]
            args.append(replace(arg, data=np.concatenate(data), step=arg.data.nbytes))
        else:
            args.append(arg)
    return replace(first, args=args, turns=len(calls))


def _on_scratch(call: Call) -> Call:
    """The kernel's call on weights that were made in scratch. Its own scratch is the same for all calls."""
    args: list[Arg] = []
    for i, arg in enumerate(call.args):
        if isinstance(arg, Const) and arg.coded is not None:
            args.append(Scratch(-(-arg.data.nbytes // 4) * 4, "weights"))
        else:
            args.append(replace(arg, name=f"own {i}") if isinstance(arg, Scratch) else arg)
    return replace(call, args=args)
