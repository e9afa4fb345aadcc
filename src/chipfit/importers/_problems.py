"""What cannot be imported: every offending operator or layer, all in one error, and what can be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chipfit.errors import ChipfitError

_MOST_ADVICE = 8
_MOST_LINES = 500


@dataclass(frozen=True)
class Problem:
    """Why one operator cannot be compiled. ``code``: O001 (unknown to chipfit) or O002 (not with these options)."""

    code: str
    text: str
    hint: str = ""


def raise_problems(problems: Sequence[Problem], kind: str = "operators") -> None:
    """One ChipfitError with all of them: O001 if any operator is unknown to chipfit, else O002. None: nothing.

    ``kind``: what the foreign model calls its operators, in the plural.
    """
    if not problems:
        return
    code = min(p.code for p in problems)
    hints = list(dict.fromkeys(p.hint for p in problems if p.hint))
    if len(hints) > _MOST_ADVICE:
        hints = [*hints[:_MOST_ADVICE], f"... and {len(hints) - _MOST_ADVICE} more pieces of advice"]
    hint = hints[0] if len(hints) == 1 else "\n".join(f"* {h}" for h in hints)
    if len(problems) == 1:
        raise ChipfitError(code, problems[0].text, hint)
    lines = [f"  {p.text}" for p in problems[:_MOST_LINES]]
    if len(problems) > _MOST_LINES:
        lines.append(f"  ... and {len(problems) - _MOST_LINES} more")
    text = "\n".join(lines)
    raise ChipfitError(code, f"{len(problems)} {kind} cannot be compiled:\n{text}", hint)
