"""A graph learns from pictures: epochs, the best one kept, each one a place to go on from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph
from chipfit.ops import op_of
from chipfit.trainable.keras_model import model_class
from chipfit.trainable.model import Aim, Arithmetic, Extra, Net, output_of, with_constants
from chipfit.trainable.weights import Weight
from chipfit.training.augment import parse_augmentation
from chipfit.training.backend import start_keras, use_threads
from chipfit.training.learner import Learner, Phase
from chipfit.training.loop import Data, Loop, Plan, Progress, Watch
from chipfit.training.run_folder import LAST, RunFolder

BEST = "best.npz"
"""What the best epoch's constants are, by their names."""

Hook = Callable[[int, Net], None]
"""Called before each epoch with its number, from 1 on: a schedule, such as masks that grow."""


@dataclass(frozen=True)
class TuneSettings:
    """``epochs``: at most; ``rate``: of Adam at the beginning, it falls along a quarter of a cosine wave; ``batch``:
    pictures at a time; ``augment``: see :func:`~chipfit.training.augment.parse_augmentation`; ``patience``: so many
    epochs without a better one end it, 0: none do; ``seed``: of all that is drawn."""

    epochs: int = 4
    rate: float = 2e-4
    batch: int = 32
    augment: str = "light"
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for option, value in {"--epochs": self.epochs, "--rate": self.rate, "--batch": self.batch}.items():
            if not value > 0:
                raise ChipfitError("U001", f"{option} {value:g} trains nothing", "it is more than 0")
        parse_augmentation(self.augment)

    def plan(self, data: Data) -> Plan:
        return Plan(
            "classes" if data.values is None else "numbers", 0, self.epochs, self.batch, self.rate, self.patience,
            parse_augmentation(self.augment), self.seed, falls=True,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Tuned:
    """``graph``: with the constants of the best epoch; ``arrays``: they and all else that was kept of it, by name;
    ``progress``: what happened."""

    graph: Graph
    arrays: Mapping[str, Array]
    progress: Progress


@dataclass
class Tuning:
    """One run, to be made and then :meth:`run`. ``files``: what the state and the best epoch are called in ``folder``.

    ``weights``: forms of constants by name (see :class:`~chipfit.trainable.model.Net`); ``arithmetic``: float32 if it
    is not said; ``extra``: learned from besides; ``hook``: called before each epoch. Keras with any backend.
    Raises ChipfitError T001 (no Keras), N005, Q004 (a graph that cannot learn), N003 (a state that does not fit).
    """

    graph: Graph
    data: Data
    folder: RunFolder
    settings: TuneSettings
    weights: Mapping[str, Weight] | None = None
    arithmetic: Arithmetic | None = None
    extra: Extra | None = None
    hook: Hook | None = None
    files: tuple[str, str] = (LAST, BEST)

    def __post_init__(self) -> None:
        self.net = Net(self.graph, dict(self.weights or {}), self.arithmetic or Arithmetic())
        raw, says = output_of(self.graph)
        count = int(np.prod(self.graph.outputs[0].shape))
        if count != len(self.data.names):
            message = f"'{self.graph.name}' has {count} outputs, and the data name {len(self.data.names)}"
            raise ChipfitError("N005", message, "the data must be of the same classes or columns as the model")
        self._raw = raw if self.data.values is None else self.graph.outputs[0]
        self._aim = Aim(says if self.data.values is None else "numbers", self.data.standard)

    @cached_property
    def learner(self) -> GraphLearner:
        keras = start_keras()
        macs = sum(op_of(node).macs(node) for node in self.graph.nodes)
        use_threads(keras, 3 * macs * self.settings.batch)
        keras.utils.set_random_seed(self.settings.seed)
        return GraphLearner(keras, self, self._raw.name, self._aim)

    def judge(self) -> float | None:
        """The accuracy on the pictures for validation as it is now; None: it tells no classes."""
        return self._loop(Watch()).validate()[1]

    def run(self, watch: Watch | None = None, *, resume: bool = False) -> Tuned:
        """All epochs. ``resume``: from the folder's last one on, if there is any."""
        loop = self._loop(watch or Watch())
        if resume:
            loop.resume()
        for _ in loop.run():
            pass
        return self.best(loop.progress)

    def _loop(self, watch: Watch) -> Loop:
        return Loop(self.learner, self.data, self.settings.plan(self.data), self.folder, watch, self.files[0])

    def best(self, progress: Progress) -> Tuned:
        """What the folder keeps. Raises ChipfitError N003 where that is damaged."""
        arrays = self.folder.read_arrays(self.files[1])
        return Tuned(with_constants(self.graph, arrays), arrays, progress)


class GraphLearner(Learner):
    """A graph in a loop. ``raw``: the name of the tensor that the loss looks at."""

    def __init__(self, keras: Any, tuning: Tuning, raw: str, aim: Aim) -> None:
        self.keras, self._tuning, self._aim, self.net = keras, tuning, aim, tuning.net
        names = {v.name: v for v in self.net.graph.values()}
        extra = tuning.extra
        missing = [name for name in (extra.reads if extra else ()) if name not in names]
        if missing:
            raise ChipfitError("U001", f"'{self.net.graph.name}' has no tensor named {', '.join(missing)}")
        output = self.net.graph.outputs[0].name
        wanted = {name: names[name] for name in dict.fromkeys((output, raw, *(extra.reads if extra else ())))}
        self.model = model_class(keras)(self.net, wanted, raw, aim, extra)
        self._output = output

    def begin(self, phase: Phase, rate: float) -> None:
        self.model.compile(self.keras.optimizers.Adam(rate))
        self.model.optimizer.build(self.model.trainable_variables)

    def set_rate(self, rate: float) -> None:
        self.model.optimizer.learning_rate = rate

    def epoch(self, number: int) -> None:
        if self._tuning.hook is not None:
            self._tuning.hook(number, self.net)
        self.net.arithmetic.epoch(number)

    def train(self, x: Array, y: Array, weights: Array) -> tuple[float, float]:
        self.net.arithmetic.refresh(True)
        extra = self._tuning.extra
        given = {} if extra is None else {name: np.asarray(a) for name, a in extra.targets(x).items()}
        logs = self.model.train_on_batch(x, {"y": y, "weights": weights, "extra": given}, return_dict=True)
        return float(logs["loss"]), float(logs["accuracy"])

    def predict(self, x: Array) -> Array:
        y = self.net.arithmetic.deployed(x)
        if y is None:
            y = np.asarray(self.model.predict_on_batch(x)[self._output])
        return self._aim.outputs(y.reshape(len(y), -1))

    def variables(self) -> list[Any]:
        return [*self.model.variables, *self.model.optimizer.variables]

    def save(self, folder: RunFolder) -> None:
        arrays = {value.name: form.array() for value, form in self.net.forms.items()}
        folder.write_arrays(self._tuning.files[1], {**arrays, **self.net.arithmetic.kept()})
