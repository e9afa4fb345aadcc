"""``chipfit search``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chipfit.cli._options import AsJson, BoardName, Goal, MaxFlash, MaxMs, MaxRam, goal_of, limits_of

if TYPE_CHECKING:
    from chipfit.cli._training import Telling
    from chipfit.search import Listener, Trial


def search(
    space: Annotated[
        str, typer.Argument(metavar="SPACE", help="What to choose of: `small`, or a TOML file (docs/search.md).")
    ],
    board: BoardName,
    data: Annotated[
        Path, typer.Option("--data", "-d", metavar="FOLDER", help="Pictures: a sub-folder for each class.")
    ],
    val: Annotated[
        Path | None, typer.Option("--val", metavar="FOLDER", help="Pictures to judge by, in a folder of their own.")
    ] = None,
    max_flash: MaxFlash = None,
    max_ram: MaxRam = None,
    max_ms: MaxMs = None,
    trials: Annotated[int, typer.Option("--trials", min=1, metavar="N", help="Networks that are trained in all.")] = 12,
    optimize: Goal = "auto",
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray", metavar="ADDRESS", help="Work on a Ray cluster: host:port, `auto`, or `local` to start one here."
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option("--storage", metavar="URL", help="Of Optuna's study.  [default: study.db in the folder, SQLite]"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="S", help="Of the choice and of training.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="The search's folder.  [default: search-BOARD]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look for the most accurate network that keeps to a board and its limits.

    What each candidate needs is computed by compiling it, before any training; those that fit are trained and judged.
    Called again it goes on with what is there.
    """
    from chipfit.cli._console import show, show_json
    from chipfit.cli._training import telling
    from chipfit.report.search_chart import draw_search
    from chipfit.report.text_search import search_text
    from chipfit.search import Request, read_space
    from chipfit.search import search as run
    from chipfit.search.run import FRONT
    from chipfit.targets import load_board

    request = Request(
        space=read_space(space),
        data=data,
        board=board,
        folder=out or Path(f"search-{load_board(board).name}"),
        limits=limits_of(max_flash, max_ram, max_ms),
        validation=val,
        trials=trials,
        seed=seed,
        goal=goal_of(optimize),
        ray=ray,
        storage=storage,
    )
    try:
        with telling(1) as (watch, _):
            report = run(request, _listener(watch))
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on", err=True)
        raise
    draw_search(report, request.folder / FRONT)
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: search_text(report, width))
    if report.best is None:
        raise typer.Exit(1)


def _listener(watch: Telling) -> Listener:
    from chipfit.report.text_search import trial_line
    from chipfit.search import Listener

    class Searching(Listener):
        def now(self, text: str) -> None:
            watch.reading(text, 0, 1)

        def trial(self, trial: Trial, done: int, total: int) -> None:
            watch.line(trial_line(trial, done, total))

    return Searching()


def add_to(app: typer.Typer) -> None:
    app.command()(search)
