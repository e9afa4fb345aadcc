"""What is asked of a deployment, and who is told of it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path

from chipfit.build import Aim, Weights
from chipfit.deployment.advice import Candidate, fits_weights
from chipfit.deployment.figures import GOALS, Limits
from chipfit.deployment.report import State
from chipfit.deployment.source import is_pictures
from chipfit.quantize import Preprocessing
from chipfit.targets import Board
from chipfit.training.loop import Watch
from chipfit.training.settings import TrainSettings

VERIFIED = 100
"""Pictures that run on the emulated chip unless asked otherwise."""


class Listener:
    """Told what happens; this one does not care. ``training``: of batches and epochs."""

    training: Watch = Watch()

    def step(self, command: str, state: State) -> None:
        """A step begins that the command would do, too; or it was done before."""

    def now(self, text: str) -> None:
        """What takes its time at the moment."""

    def progress(self, what: str, done: int, total: int) -> None:
        self.now(f"{what}: {done} of {total}")


@dataclass(frozen=True)
class Request:
    """What is to be deployed where. ``board_name``: as the user named it, a board or a file.

    ``settings``, ``validation``: of training, for a folder of pictures; ``data``, ``preprocessing``: for a model.
    ``goal``: of the compiler; None: the first of :data:`~chipfit.deployment.figures.GOALS` that fits. ``rows``: the
    picture comes row by row. ``weights``: how they are stored. ``verified``: how many pictures run on the emulated
    chip. ``force``: write into a folder that is not deploy's, and over a project that was edited.
    """

    source: Path
    board: Board
    board_name: str
    folder: Path
    framework: str | None = None
    settings: TrainSettings = field(default_factory=TrainSettings)
    validation: Path | None = None
    data: Path | None = None
    preprocessing: Preprocessing | None = None
    goal: Aim | None = None
    limits: Limits = field(default_factory=Limits)
    rows: bool = False
    weights: Weights = "plain"
    verified: int = VERIFIED
    force: bool = False

    @property
    def goals(self) -> tuple[Aim, ...]:
        return GOALS if self.goal is None else (self.goal,)

    @property
    def command(self) -> str:
        """The command line that says the same; how pixels become inputs aside."""
        words = ["chipfit", "deploy", str(self.source), "-b", self.board_name]
        words += ["-f", self.framework] if self.framework else []
        if is_pictures(self.source):
            # chipfit train DATA options -o FOLDER
            words += shlex.split(self.settings.command(self.source, self.validation, self.folder))[3:-2]
        words += ["--data", str(self.data)] if self.data else []
        words += ["--optimize", self.goal] if self.goal else []
        words += ["--input", "rows"] if self.rows else []
        words += ["--compress-weights"] if self.weights == "compressed" else []
        words += self.limits.options
        words += ["--verify", str(self.verified)] if self.verified != VERIFIED else []
        return shlex.join([*words, "-o", str(self.folder)])

    def with_candidate(self, candidate: Candidate, pictures: Path | None) -> Request:
        """The same for a candidate of the advice. ``pictures``: to train another network with."""
        one, board = candidate.needs, candidate.needs.board
        changed = replace(self, goal=None if self.goal is None else one.optimize, rows=one.rows)
        if board != self.board.name:
            folder = self.folder.with_name(f"{self.folder.name.removesuffix(f'-{self.board.name}')}-{board}")
            return replace(changed, board_name=board, folder=folder, limits=replace(self.limits, flash=None, ram=None))
        network = candidate.network
        if network is None or pictures is None:
            return changed
        settings = self.settings
        settings = replace(
            settings,
            backbone=network.backbone,
            alpha=network.alpha,
            height=network.height,
            width=network.width,
            grey=network.channels == 1,
            weights=settings.weights if fits_weights(settings.network(network.outputs), network) else None,
        )
        return replace(changed, source=pictures, settings=settings)
