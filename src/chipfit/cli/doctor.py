"""``chipfit doctor``."""

from __future__ import annotations

import typer

from chipfit.cli._options import AsJson


def doctor(as_json: AsJson = False) -> None:
    """Check that all tools are there and work.

    Exit code 3 if something required is missing.
    """
    from chipfit.cli._console import show, show_json, talk
    from chipfit.doctor import examine
    from chipfit.report.text_catalog import doctor_text

    with talk("looking") as say:
        report = examine(say.say)
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: doctor_text(report))
    if not report.ok:
        raise typer.Exit(3)


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)
