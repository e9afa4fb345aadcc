"""Epochs: which one is kept, when the rate falls and the end comes, what is frozen, and going on after a stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.training.augment import NONE
from chipfit.training.backbones import HEAD, Network, build
from chipfit.training.learner import KerasLearner, Phase
from chipfit.training.loop import Data, Epoch, Loop, Plan, Progress, Watch, steps_of
from chipfit.training.numbers import Standard
from chipfit.training.pictures import read_pictures
from chipfit.training.run_folder import BEST, LAST, RunFolder
from chipfit.training.split import split_pictures

NETWORK = Network("ds_cnn", 0.125, 32, 32, 1, dropout=0.5)
PLAN = Plan("classes", frozen=1, epochs=3, batch=6, rate=1e-3, patience=0, augmentation=NONE, seed=3)


def course(plan: Plan, *results: tuple[float, float]) -> Progress:
    """After epochs with these accuracies and losses in validation."""
    progress = Progress(plan.rate)
    for number, (accuracy, loss) in enumerate(results, 1):
        progress = progress.after(
            Epoch(number, plan.phase(number), 1.0, 0.5, loss, accuracy, progress.rate, 1.0), plan
        )  # fmt: skip
    return progress


def test_accuracy_decides_and_then_the_loss() -> None:
    plan = replace(PLAN, frozen=0, epochs=9)
    assert course(plan, (0.8, 0.5), (0.9, 0.6), (0.9, 0.5), (0.9, 0.5), (0.8, 0.1)).best == 3


def test_the_rate_falls_and_the_end_comes() -> None:
    plan = replace(PLAN, frozen=0, epochs=20, patience=4)
    worse = (0.5, 0.5)
    rates = [round(course(plan, (0.9, 0.1), *[worse] * n).rate / plan.rate, 6) for n in range(5)]
    assert rates == [1, 1, 0.3, 0.3, 0.09]
    assert [course(plan, (0.9, 0.1), *[worse] * n).is_over(plan) for n in range(5)] == [False] * 4 + [True]
    patient = replace(plan, patience=0)
    long = course(patient, (0.9, 0.1), *[worse] * 18)
    assert (long.rate, long.is_over(patient)) == (plan.rate, False)
    assert course(patient, (0.9, 0.1), *[worse] * 19).is_over(patient)


def test_both_phases_begin_with_the_rate() -> None:
    """What was waited for in the first one is forgotten."""
    plan = replace(PLAN, frozen=3, epochs=20, patience=4)
    progress = course(plan, (0.9, 0.1), (0.5, 0.5), (0.5, 0.5))
    assert (progress.rate, progress.waited) == (plan.rate, 0)
    assert Progress.from_json(progress.to_json()) == progress


# ---------------------------------------------------------------------------------------------- with Keras


@pytest.fixture(scope="module")
def data(photos: Path) -> Data:
    how = NETWORK.preprocessing
    pictures = read_pictures(photos, (32, 32, 1), preprocessing=how, cache=False)
    targets, weights = np.eye(2, dtype=np.float32), np.ones(2, np.float32)
    return Data(pictures, split_pictures(pictures), how, ("a", "b"), targets, weights)


class Stop(Watch):
    """Interrupts in the middle of an epoch."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.kept: list[int] = []

    def batch(self, number: int, phase: Phase, done: int, total: int, loss: float, accuracy: float | None) -> None:
        if (number, done) == (self.number, 2):
            raise KeyboardInterrupt

    def epoch(self, epoch: Epoch, is_best: bool) -> None:
        self.kept.append(epoch.number)


def loop_of(keras: Any, data: Data, folder: Path, watch: Watch, plan: Plan = PLAN) -> Loop:
    keras.utils.set_random_seed(plan.seed)
    folder.mkdir(exist_ok=True)
    learner = KerasLearner(keras, build(NETWORK, "net"), plan.kind, steps_of(data, plan.batch), data.standard)
    return Loop(learner, data, plan, RunFolder(folder), watch)


def model_of(loop: Loop) -> Any:
    assert isinstance(loop.learner, KerasLearner)
    return loop.learner.model


def weights_of(loop: Loop) -> list[Array]:
    return [np.asarray(a) for a in model_of(loop).get_weights()]


def without_times(progress: Progress) -> list[Epoch]:
    return [replace(epoch, seconds=0.0) for epoch in progress.history]


@pytest.fixture(scope="module")
def whole(keras: Any, data: Data, tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """A run that nothing stopped."""
    loop = loop_of(keras, data, tmp_path_factory.mktemp("whole") / "run", Watch())
    list(loop.run())
    return loop


@pytest.mark.parametrize("stopped", [2, 3])
def test_a_stopped_run_goes_on_as_if_it_had_not(
    keras: Any, data: Data, whole: Loop, stopped: int, tmp_path: Path
) -> None:
    """Weights, optimizer, dropout and order of pictures are those of the run that was not stopped, to the last bit."""
    watch = Stop(stopped)
    with pytest.raises(KeyboardInterrupt):
        list(loop_of(keras, data, tmp_path / "parts", watch).run())
    assert watch.kept == list(range(1, stopped))
    second = loop_of(keras, data, tmp_path / "parts", Watch())
    second.resume()
    assert len(second.progress.history) == stopped - 1
    list(second.run())
    assert without_times(second.progress) == without_times(whole.progress)
    for ours, theirs in zip(weights_of(second), weights_of(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_head_learns_alone_first(keras: Any, data: Data, tmp_path: Path) -> None:
    """Statistics of batch norms, too, stay as they are until all layers learn."""
    loop = loop_of(keras, data, tmp_path / "run", Watch())
    before = {layer.name: layer.get_weights() for layer in model_of(loop).layers}

    def changed() -> set[str]:
        now = {layer.name: layer.get_weights() for layer in model_of(loop).layers}
        return {n for n in now if any((a != b).any() for a, b in zip(now[n], before[n], strict=True))}

    epochs = loop.run()
    next(epochs)
    assert changed() == {"head"} < set(HEAD)
    next(epochs)
    assert {layer.name for layer in model_of(loop).layers if layer.weights} == changed()


def test_the_best_one_is_on_the_disk(keras: Any, data: Data, whole: Loop) -> None:
    """Without its optimizer; loaded, it gives the figures of its epoch."""
    saved = keras.saving.load_model(whole.folder.path / BEST)
    indices = data.split.validation
    outputs = saved.predict_on_batch(data.preprocessing.apply(data.pictures.pixels[indices]))
    right = (outputs.argmax(axis=1) == data.pictures.labels[indices]).mean()
    best = whole.progress.best_epoch
    assert best is not None
    assert right == best.val_accuracy == max(e.val_accuracy or 0 for e in whole.progress.history)
    assert sorted(p.name for p in whole.folder.path.iterdir()) == [BEST, LAST]


def test_numbers_are_learned_standardised_and_kept_in_their_units(keras: Any, data: Data, tmp_path: Path) -> None:
    """The last layer of the kept network has mean and deviation in it; what goes on learning has not."""
    standard = Standard(np.array([1000.0, -3.0]), np.array([20.0, 0.5]))
    learned = replace(data, standard=standard)
    loop = loop_of(keras, learned, tmp_path / "run", Watch(), replace(PLAN, kind="numbers", epochs=1))
    (progress,) = loop.run()
    assert (progress.history[0].accuracy, progress.history[0].val_accuracy, progress.best) == (None, None, 1)
    now = model_of(loop).get_layer("head").get_weights()
    kept = keras.saving.load_model(tmp_path / "run" / BEST).get_layer("head").get_weights()
    for ours, wanted in zip(kept, standard.folded(*now), strict=True):
        np.testing.assert_array_equal(ours, wanted)
    (state, _) = loop.folder.read_last() or ([], {})
    assert any(array.shape == now[0].shape and (array == now[0]).all() for array in state)
    assert abs(now[1]).max() < 1


def test_a_loss_without_end(keras: Any, data: Data, tmp_path: Path) -> None:
    endless = replace(data, weights=np.full(2, np.inf, np.float32))
    with pytest.raises(ChipfitError, match="the loss of epoch 1 is inf after 1 batches") as caught:
        list(loop_of(keras, endless, tmp_path / "run", Watch()).run())
    assert caught.value.code == "N004"
    assert "--rate" in caught.value.hint


def test_the_state_of_another_network(keras: Any, data: Data, tmp_path: Path) -> None:
    RunFolder(tmp_path).write_last([np.zeros(3, np.float32)], course(PLAN, (0.9, 0.1)).to_json())
    with pytest.raises(ChipfitError, match="does not fit") as caught:
        loop_of(keras, data, tmp_path, Watch()).resume()
    assert caught.value.code == "N003"
