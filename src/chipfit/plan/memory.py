"""Where buffers lie in one arena: offsets, peak and lower bound. Knows sizes and lifetimes, nothing of graphs.

Two buffers that are alive together must not overlap, or may only at a distance that an overlay rule allows. Offsets
come from placing the buffers one after the other, each at the lowest place that is free; what differs is the
sequence. Many are tried, until one reaches the lower bound. No single rule is good enough: largest first needs
64,512 bytes for MobileNet 0.25 at 96x96, where 55,296 suffice. All of it is deterministic: the search is limited by
counted work, not by a clock.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

ROUNDS = 40
"""How often the step that makes the peak is placed anew."""

Spans = tuple[tuple[int, int], ...]
"""Open intervals ``(lo, hi)``, ascending and apart (one may begin where another ends: that point is in neither)."""

Overlays = Mapping[tuple[int, int], Spans]
"""``{(i, j): forbidden}``: buffers i and j, though alive together, may overlap at any distance
``offset[j] - offset[i]`` that lies in none of the forbidden intervals."""


@dataclass(frozen=True)
class Buffer:
    """``size`` bytes that are needed from step ``first`` to step ``last``, both included."""

    name: str
    size: int
    first: int
    last: int

    def __post_init__(self) -> None:
        if self.size < 0 or self.first > self.last:
            raise ValueError(f"no such buffer: {self}")

    def lives_at(self, step: int) -> bool:
        return self.first <= step <= self.last


@dataclass(frozen=True)
class Placement:
    """An offset for each buffer, in the order they were given.

    ``peak`` is the bytes of the arena; ``lower_bound`` what no placement can be below; ``how`` the sequence that won.
    """

    offsets: tuple[int, ...]
    peak: int
    lower_bound: int
    how: str


def align(size: int, alignment: int) -> int:
    """``size`` rounded up to a multiple of ``alignment``."""
    return -(-size // alignment) * alignment


def place(
    buffers: Sequence[Buffer],
    *,
    alignment: int = 4,
    overlays: Overlays | None = None,
    effort: int = 1_000_000,
    bound: int = 0,
) -> Placement:
    """The best placement found. Every offset is a multiple of ``alignment``, and every size is rounded up to one.

    ``bound``: a lower bound that the caller knows, if better than the one from sizes and lives, or a peak that is good
    enough: the search stops there. ``effort`` limits the search: the number of pairs of buffers that may be looked at
    (about half a microsecond each). With the default, up to six buffers without overlays are placed optimally.
    """
    rules = _Rules(buffers, alignment, overlays or {})
    bound = max(bound, busiest_step(buffers, alignment=alignment, overlays=overlays)[1])
    best = _Attempt([], [], sum(rules.sizes) + 1, "")  # the first attempt is below: its peak is at most the sum
    for how, sequence in _sequences(rules):
        best = rules.attempt(sequence, how, best.peak) or best
        if best.peak <= bound or rules.work > effort:
            break
    if best.peak > bound:
        best = _repair(rules, best, bound, rules.work + effort)
    if best.peak > bound:
        best = _local_search(rules, best, bound, max(effort, rules.work + effort // 2))
    return Placement(tuple(best.offsets), best.peak, bound, best.how)


def busiest_step(buffers: Sequence[Buffer], *, alignment: int = 4, overlays: Overlays | None = None) -> tuple[int, int]:
    """The step at which most bytes are needed, and how many: the lower bound of every placement.

    A pair with an overlay rule counts with the largest overlap that the rule allows: a union is never smaller than
    the sum of its parts less all that pairs have in common.
    """
    sizes = [align(b.size, alignment) for b in buffers]
    shared = {
        (i, j): _largest_overlap(sizes[i], sizes[j], _on_grid(forbidden, alignment))
        for (i, j), forbidden in (overlays or {}).items()
    }
    best_step, best = 0, 0
    for step in sorted({b.first for b in buffers}):
        live = [i for i, b in enumerate(buffers) if b.lives_at(step)]
        total = sum(sizes[i] for i in live)
        if shared:
            here = set(live)
            total -= sum(n for (i, j), n in shared.items() if i in here and j in here)
        total = max([total, *(sizes[i] for i in live)])
        if total > best:
            best_step, best = step, total
    return best_step, best


def _largest_overlap(size_i: int, size_j: int, forbidden: Spans) -> int:
    """Most bytes in common over all distances ``offset_j - offset_i`` that are not forbidden."""
    # the overlap as a function of the distance is a trapezoid: the ends of its plateau and of the intervals suffice
    distances = [0, size_i - size_j, *(d for span in forbidden for d in span)]
    free = [d for d in distances if not any(lo < d < hi for lo, hi in forbidden)]
    return max(0, *(min(size_i, d + size_j) - max(0, d) for d in free), 0)


def _on_grid(forbidden: Iterable[tuple[int, int]], alignment: int) -> Spans:
    """What is forbidden to distances that are multiples of ``alignment``."""
    spans: list[tuple[int, int]] = []
    for lo, hi in sorted(forbidden):
        lo, hi = lo // alignment * alignment, align(hi, alignment)
        if spans and lo < spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], hi)
        else:
            spans.append((lo, hi))
    return tuple(spans)


# ---------------------------------------------------------------------------------------------- one sequence


@dataclass
class _Attempt:
    sequence: list[int]
    offsets: list[int]
    peak: int
    how: str


class _Rules:
    """Sizes, and for each buffer the others it must mind: ``(other, lo, hi)`` forbids distances in between."""

    def __init__(self, buffers: Sequence[Buffer], alignment: int, overlays: Overlays) -> None:
        self.buffers = buffers
        self.sizes = [align(b.size, alignment) for b in buffers]
        self.placed = [i for i, size in enumerate(self.sizes) if size]  # an empty buffer lies anywhere: at 0
        self.others: list[list[tuple[int, int, int]]] = [[] for _ in buffers]
        self.has_overlays = bool(overlays)
        self.work = 0
        alive: list[int] = []
        for j in sorted(self.placed, key=lambda i: (buffers[i].first, i)):
            alive = [i for i in alive if buffers[i].last >= buffers[j].first]
            for i in alive:
                for lo, hi in self._forbidden(i, j, alignment, overlays):
                    self.others[j].append((i, lo, hi))
                    self.others[i].append((j, -hi, -lo))
            alive.append(j)

    def _forbidden(self, i: int, j: int, alignment: int, overlays: Overlays) -> Spans:
        """Distances ``offset_j - offset_i`` within any of these are not allowed."""
        apart = -self.sizes[j], self.sizes[i]
        if (i, j) in overlays:
            spans = overlays[i, j]
        elif (j, i) in overlays:
            spans = tuple((-hi, -lo) for lo, hi in overlays[j, i])
        else:
            return (apart,)
        cut = ((max(lo, apart[0]), min(hi, apart[1])) for lo, hi in _on_grid(spans, alignment))
        return tuple((lo, hi) for lo, hi in cut if lo < hi)

    def attempt(self, sequence: list[int], how: str, below: int) -> _Attempt | None:
        """Place in this sequence, each at the lowest free offset. None as soon as the peak is not ``below``."""
        offsets = [-1] * len(self.sizes)
        peak = 0
        for j in sequence:
            others = self.others[j]
            self.work += len(others) + 1
            taken = [(at + lo, at + hi) for i, lo, hi in others if (at := offsets[i]) >= 0]
            taken.sort()
            x = 0
            for lo, hi in taken:  # no max(): most of the time of a plan is spent here
                if x <= lo:
                    break  # the rest begins even later
                if x < hi:
                    x = hi
            offsets[j] = x
            end = x + self.sizes[j]
            if end > peak:
                if end >= below:
                    return None
                peak = end
        return _Attempt(sequence, [max(0, x) for x in offsets], peak, how)


# ---------------------------------------------------------------------------------------------- many sequences


def _sequences(rules: _Rules) -> Iterator[tuple[str, list[int]]]:
    """Sequences worth trying, the most likely ones first."""
    buffers, sizes, placed = rules.buffers, rules.sizes, rules.placed
    by_size = sorted(placed, key=lambda i: (-sizes[i], buffers[i].first, i))
    in_time = sorted(placed, key=lambda i: (buffers[i].first, -sizes[i], i))
    yield "by size", by_size
    yield (
        "by size and life",
        sorted(placed, key=lambda i: (-sizes[i] * (buffers[i].last - buffers[i].first + 1), buffers[i].first, i)),
    )
    yield "in time", in_time
    yield "backward in time", in_time[::-1]
    for seed in by_size:
        at = in_time.index(seed)
        later, earlier = in_time[at + 1 :], in_time[:at][::-1]
        name = buffers[seed].name
        yield f"outward from '{name}', later first", [seed, *later, *earlier]
        yield f"outward from '{name}', earlier first", [seed, *earlier, *later]
    if len(placed) <= 6 and not rules.has_overlays:
        # in the sequence of an optimal placement's own offsets no buffer comes to lie higher than there
        for sequence in itertools.permutations(placed):
            yield "all sequences", list(sequence)


def _repair(rules: _Rules, best: _Attempt, bound: int, until: int) -> _Attempt:
    """Place first, and well, what is alive at the step that makes the peak; then at the one that makes it now ..."""
    current, rng = best, random.Random(2)
    for _ in range(ROUNDS):
        if best.peak == bound or rules.work > until:
            break
        step = _crowded(rules, current)
        here = [i for i in current.sequence if rules.buffers[i].lives_at(step)]
        rng.shuffle(here)
        start = rules.attempt(here, "", sum(rules.sizes) + 1)
        if start is None:
            break
        alone = _local_search(rules, start, bound, rules.work + (until - rules.work) // 4)
        rest = [i for i in current.sequence if not rules.buffers[i].lives_at(step)]
        rest = min(rest, sorted(rest, key=lambda i: abs(rules.buffers[i].first - step)), key=lambda _: rng.random())
        current = rules.attempt([*alone.sequence, *rest], "step by step", sum(rules.sizes) + 1) or current
        best = current if current.peak < best.peak else best
    return best


def _crowded(rules: _Rules, attempt: _Attempt) -> int:
    """The step at which most bytes are alive of those at which something lies on top."""
    top = [i for i, x in enumerate(attempt.offsets) if rules.sizes[i] and x + rules.sizes[i] == attempt.peak]
    load = {
        t: sum(rules.sizes[i] for i in rules.placed if rules.buffers[i].lives_at(t))
        for t in {rules.buffers[i].first for i in top}
    }
    return max(load, key=lambda t: (load[t], -t))


def _local_search(rules: _Rules, best: _Attempt, bound: int, until: int) -> _Attempt:
    """Move or swap buffers in the best sequence and keep what is not worse. The moves are seeded."""
    rng = random.Random(1)
    current, stale = best, 0
    count = len(best.sequence)
    patience = 20 * count
    while best.peak > bound and rules.work < until and count > 1:
        sequence = list(current.sequence)
        if rng.random() < 0.5:  # one of those at the top goes earlier
            top = [k for k, i in enumerate(sequence) if current.offsets[i] + rules.sizes[i] == current.peak]
            k = rng.choice(top)
            sequence.insert(rng.randrange(k + 1), sequence.pop(k))
        elif rng.random() < 0.5:
            sequence.insert(rng.randrange(count), sequence.pop(rng.randrange(count)))
        else:
            a, b = rng.randrange(count), rng.randrange(count)
            sequence[a], sequence[b] = sequence[b], sequence[a]
        attempt = rules.attempt(sequence, "local search", current.peak + 1)
        stale += 1
        if attempt is not None:
            if attempt.peak < current.peak:
                stale = 0
            current = attempt
            if current.peak < best.peak:
                best = current
        if stale > patience:  # leave the dead end: the best again, with some buffers elsewhere
            sequence = list(best.sequence)
            for _ in range(1 + count // 4):
                sequence.insert(rng.randrange(count), sequence.pop(rng.randrange(count)))
            current, stale = rules.attempt(sequence, "local search", 2 * best.peak) or best, 0
    return best
