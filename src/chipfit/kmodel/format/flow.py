"""Does every node read what was written for it? Addresses are constants, so the order of nodes tells."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from chipfit.kmodel.format.access import Access, Span
from chipfit.kmodel.format.codec import Memory


class _Piece(NamedTuple):
    """Bytes that one node wrote last. ``cut_by``: the node that has overwritten other bytes of the same result."""

    start: int
    end: int
    writer: str
    cut_by: str | None = None


class Finding(NamedTuple):
    """``is_error``: a result is lost before it is read; else something that is only suspicious."""

    is_error: bool
    text: str


class _Written:
    """Who wrote which bytes of a memory last: pieces in order, none over another."""

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []

    def _meeting(self, span: Span) -> tuple[int, int]:
        """The pieces from the first to before the last index have bytes of the span."""
        first = bisect_right(self._pieces, span.start, key=lambda piece: piece.end)
        last = first
        while last < len(self._pieces) and self._pieces[last].start < span.end:
            last += 1
        return first, last

    def write(self, span: Span, writer: str) -> None:
        first, last = self._meeting(span)
        left: list[_Piece] = []
        right: list[_Piece] = []
        for piece in self._pieces[first:last]:
            if piece.start < span.start:
                left.append(_Piece(piece.start, span.start, piece.writer, writer))
            if piece.end > span.end:
                right.append(_Piece(span.end, piece.end, piece.writer, writer))
        self._pieces[first:last] = [*left, _Piece(span.start, span.end, writer), *right]

    def read(self, span: Span, reader: str) -> Iterable[Finding]:
        first, last = self._meeting(span)
        pieces = self._pieces[first:last]
        writers = {piece.writer for piece in pieces}
        for piece in pieces:
            if piece.cut_by in writers:
                yield Finding(
                    True,
                    f"{reader} reads {span.memory.name.lower()} memory {span.start:,}..{span.end:,}, the result of "
                    f"{piece.writer}, of which {piece.cut_by} has overwritten a part: results overlap",
                )
                return
        covered = sum(min(piece.end, span.end) - max(piece.start, span.start) for piece in pieces)
        if covered < span.size:
            yield Finding(
                False,
                f"{reader} reads {span.size - covered:,} bytes of {span.memory.name.lower()} memory within "
                f"{span.start:,}..{span.end:,} that nothing has written",
            )


def follow(
    names: Sequence[str], accesses: Sequence[Access], inputs: Iterable[Span], outputs: Iterable[Span]
) -> list[Finding]:
    """What a run in this order would read wrongly. ``names``: of the nodes."""
    written = {memory: _Written() for memory in Memory}
    findings: list[Finding] = []
    for span in inputs:
        written[span.memory].write(span, "the input")
    for name, access in zip(names, accesses, strict=True):
        for span in access.reads:
            if span.memory is not Memory.CONST:
                findings += written[span.memory].read(span, name)
        for span in access.writes:
            written[span.memory].write(span, name)
    for index, span in enumerate(outputs):
        findings += written[span.memory].read(span, f"output {index}")
    return findings
