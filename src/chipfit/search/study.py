"""Which candidates are tried next: Optuna's TPE sampler (Bergstra et al., 2011), with what is known of the limits.

The study's storage keeps all that was asked and told. The sampler begins anew for every batch with a seed that depends
on how far the study is, so that a search which was killed goes on as if it had not been, on any number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.search.space import Point, Space

_STARTUP = 6
"""Trained candidates before which the sampler draws at random."""

_NAME = "chipfit"


@dataclass(frozen=True)
class Asked:
    """A candidate, and the number of its trial."""

    number: int
    point: Point


def require_optuna() -> Any:
    """Raises ChipfitError T001."""
    try:
        import optuna
    except ImportError:
        hint = "python -m pip install 'chipfit[search]'"
        raise ChipfitError("T001", "a search chooses its candidates by Optuna, which is missing", hint) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class Study:
    """``storage``: as SQLAlchemy writes it, such as ``sqlite:///FILE``."""

    def __init__(self, storage: str, space: Space, seed: int) -> None:
        self._optuna = require_optuna()
        self._space, self._seed = space, seed
        self._dimensions = {
            name: self._optuna.distributions.IntDistribution(0, len(choices) - 1)
            if space.is_ordered(name)
            else self._optuna.distributions.CategoricalDistribution(tuple(range(len(choices))))
            for name, choices in space.choices.items()
        }
        self._asked: dict[int, Any] = {}
        self._study: Any = self._optuna.create_study(
            storage=storage, study_name=_NAME, direction="maximize", load_if_exists=True
        )
        self.begin_batch()

    @property
    def is_new(self) -> bool:
        return not self._study.get_trials(deepcopy=False)

    def suggest(self, point: Point) -> None:
        """Ask for it before any other."""
        self._study.enqueue_trial(self._space.indices(point))

    def begin_batch(self) -> None:
        self._study.sampler = self._optuna.samplers.TPESampler(
            seed=self._seed + len(self._study.get_trials(deepcopy=False)), n_startup_trials=_STARTUP, multivariate=True
        )

    def ask(self) -> Asked:
        trial = self._study.ask(self._dimensions)
        self._asked[trial.number] = trial
        return Asked(trial.number, self._space.point(trial.params))

    def running(self) -> list[Asked]:
        """Asked for, and not told: a search was killed meanwhile."""
        return self._in_state("RUNNING")

    def finished(self) -> list[Asked]:
        """Told with their accuracy."""
        return self._in_state("COMPLETE")

    def _in_state(self, name: str) -> list[Asked]:
        state = self._optuna.trial.TrialState[name]
        found = self._study.get_trials(deepcopy=False, states=(state,))
        return [Asked(t.number, self._space.point(t.params)) for t in found if len(t.params) == len(self._dimensions)]

    def refuse(self, number: int, violation: float) -> None:
        """It is over the limits, by so much of them."""
        self._constrain(number, violation)
        self._study.tell(number, state=self._optuna.trial.TrialState.PRUNED)

    def give_up(self, number: int) -> None:
        """Nothing is learned of it."""
        self._study.tell(number, state=self._optuna.trial.TrialState.FAIL)

    def tell(self, number: int, accuracy: float, violation: float) -> None:
        """Of one that was trained. ``violation``: of what it needs then."""
        self._constrain(number, violation)
        self._study.tell(number, accuracy)

    def _constrain(self, number: int, violation: float) -> None:
        """Optuna finds a trial that was asked for by another process by its number in the storage."""
        storage = self._study._storage
        trial_id = storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
        trial = self._asked.get(number) or self._optuna.trial.Trial(self._study, trial_id)
        trial.set_constraint("limits", violation)
