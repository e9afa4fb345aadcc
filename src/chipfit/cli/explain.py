"""``chipfit explain``."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from chipfit.cli._options import AsJson
from chipfit.errors import CODES, ChipfitError, ErrorCode


def explain(
    code: Annotated[str | None, typer.Argument(metavar="[CODE]", help="Such as M001. Without it: all codes.")] = None,
    as_json: AsJson = False,
) -> None:
    """Explain an error code."""
    from chipfit.cli._console import show, show_json
    from chipfit.report.info import ExplainReport
    from chipfit.report.text_catalog import code_text, codes_text

    chosen = _chosen(code)
    if as_json:
        show_json(ExplainReport.of(chosen).to_json())
    elif code is None:
        show(lambda width: codes_text(chosen, width))
    else:
        show(lambda width: code_text(*next(iter(chosen.items()))))


def _chosen(code: str | None) -> dict[str, ErrorCode]:
    if code is None:
        return dict(sorted(CODES.items()))
    key = code.strip("[]").upper()
    if key not in CODES:
        near = difflib.get_close_matches(key, CODES, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`chipfit explain` shows all of them"
        raise ChipfitError("U001", f"there is no error code {code!r}", hint)
    return {key: CODES[key]}


def add_to(app: typer.Typer) -> None:
    app.command()(explain)
