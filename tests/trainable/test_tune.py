"""Graphs that learn: forms of weights, what is learned from besides, going on after a stop, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph
from chipfit.model import load
from chipfit.quantize import Preprocessing
from chipfit.trainable.model import Net, learnable, logits_of
from chipfit.trainable.tune import TuneSettings, Tuning
from chipfit.trainable.weights import Clustered, Frozen, Masked, Weight
from chipfit.training.learner import Phase
from chipfit.training.loop import Data, Watch
from chipfit.training.numbers import Standard
from chipfit.training.pictures import PictureSet
from chipfit.training.run_folder import RunFolder
from chipfit.training.split import Split

SIZE, COUNT = 8, 48
SETTINGS = TuneSettings(epochs=3, rate=0.01, batch=8, augment="none", seed=2)


@pytest.fixture(scope="module")
def data() -> Data:
    """Pictures that are bright above, or below."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 80, (COUNT, SIZE, SIZE, 1))
    labels = np.arange(COUNT) % 2
    pixels[labels == 0, : SIZE // 2] += 150
    pixels[labels == 1, SIZE // 2 :] += 150
    how = Preprocessing(scale=1 / 127.5, mean=(1.0,))
    names = tuple(map(str, range(COUNT)))
    pictures = PictureSet(Path(), pixels.astype(np.uint8), labels, ("a", "b"), names, names, None, how)
    split = Split(np.arange(32), np.arange(32, COUNT), "by the test")
    return Data(pictures, split, how, ("a", "b"), np.eye(2, dtype=np.float32), np.ones(2, np.float32))


@pytest.fixture(scope="module")
def graph(keras: Any) -> Graph:
    keras.utils.set_random_seed(1)
    layers = keras.layers
    inputs = keras.Input((SIZE, SIZE, 1))
    x = layers.ReLU()(layers.Conv2D(6, 3, 2, name="first")(inputs))
    return load(keras.Model(inputs, layers.Dense(2, "softmax", name="last")(layers.Flatten()(x)))).graph


def tuning(graph: Graph, data: Data, folder: Path, **changes: Any) -> Tuning:
    folder.mkdir(exist_ok=True)
    return Tuning(graph, data, RunFolder(folder), changes.pop("settings", SETTINGS), **changes)


def weight_names(graph: Graph) -> list[str]:
    return [v.name for v in learnable(graph) if len(v.shape) > 1]


def constants(graph: Graph) -> dict[str, Array]:
    return {v.name: v.array for v in learnable(graph)}


def test_it_learns_and_the_graph_stays_as_it_was(graph: Graph, data: Data, tmp_path: Path) -> None:
    before = constants(graph)
    first = tuning(graph, data, tmp_path).judge()
    tuned = tuning(graph, data, tmp_path).run()
    best = tuned.progress.best_epoch
    assert first is not None
    assert best is not None
    assert (best.val_accuracy or 0) > max(first, 0.9)
    assert all((constants(graph)[n] == a).all() for n, a in before.items())
    assert all((constants(tuned.graph)[n] != a).any() for n, a in before.items())
    # the rate falls along a quarter of a cosine wave
    rates = [e.rate / SETTINGS.rate for e in tuned.progress.history]
    np.testing.assert_allclose(rates, np.cos(np.arange(3) / 3 * np.pi / 2))


def test_forms_of_weights(graph: Graph, data: Data, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first, last = weight_names(graph)
    start = constants(graph)
    mask = rng.random(start[first].shape) < 0.5
    centroids = np.array([-0.4, 0.0, 0.1, 0.5], np.float32)
    indices = rng.integers(0, 4, start[last].shape)
    bias = next(n for n in start if n not in (first, last))
    forms: Mapping[str, Weight] = {
        first: Masked(mask), last: Clustered(indices, centroids, fixed=(1,)), bias: Frozen(),
    }  # fmt: skip
    learned = constants(tuning(graph, data, tmp_path, weights=forms).run().graph)
    assert (learned[first][~mask] == 0).all()
    assert (learned[first][mask] != start[first][mask]).all()
    values = [np.unique(learned[last][indices == i]) for i in range(4)]
    assert [len(v) for v in values] == [1, 1, 1, 1]
    assert (values[1][0], values[0][0] == centroids[0]) == (0.0, False)
    assert (learned[bias] == start[bias]).all()


def test_a_mask_that_a_hook_changes(graph: Graph, data: Data, tmp_path: Path) -> None:
    first = weight_names(graph)[0]
    shape = constants(graph)[first].shape
    form, told = Masked(np.ones(shape, bool)), list[int]()

    def hook(number: int, net: Net) -> None:
        told.append(number)
        if number == 2:
            form.restrict(np.zeros(shape, bool))

    run = tuning(graph, data, tmp_path, weights={first: form}, hook=hook)
    run.run()
    assert told == [1, 2, 3]
    assert not run.net.learned().nodes[0]["w"].array.any()


class Repel:
    """Pulls the logits to what it says."""

    hard = 0.0
    layers = ()

    def __init__(self, name: str) -> None:
        self.reads = (name,)
        self.shapes: set[tuple[int, ...]] = set()

    def targets(self, x: Array) -> dict[str, Array]:
        self.shapes.add(x.shape[1:])
        return {"wanted": np.tile(np.array([3.0, -3.0], np.float32), (len(x), 1))}

    def loss(self, k: Any, seen: Mapping[str, Any], targets: Mapping[str, Any]) -> Any:
        return k.mean(k.square(k.reshape(seen[self.reads[0]], (-1, 2)) - targets["wanted"]), axis=-1)


def test_what_is_learned_from_besides(graph: Graph, data: Data, tmp_path: Path) -> None:
    """Without the labels all pictures become one class."""
    extra = Repel(logits_of(graph))
    tuned = tuning(graph, data, tmp_path, extra=extra, settings=replace(SETTINGS, epochs=6, rate=0.02)).run()
    assert tuned.progress.history[-1].val_accuracy == 0.5
    assert tuned.progress.history[-1].loss < 0.2 * tuned.progress.history[0].loss
    assert extra.shapes == {(SIZE, SIZE, 1)}


class Stop(Watch):
    def batch(self, number: int, phase: Phase, done: int, total: int, loss: float, accuracy: float | None) -> None:
        if (number, done) == (3, 2):
            raise KeyboardInterrupt


def test_a_stopped_run_goes_on_as_if_it_had_not(graph: Graph, data: Data, tmp_path: Path) -> None:
    whole = tuning(graph, data, tmp_path / "whole").run()
    with pytest.raises(KeyboardInterrupt):
        tuning(graph, data, tmp_path / "parts").run(Stop())
    parts = tuning(graph, data, tmp_path / "parts").run(resume=True)
    for ours, theirs in zip(constants(parts.graph).values(), constants(whole.graph).values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_numbers_are_learned_in_their_units(keras: Any, data: Data, tmp_path: Path) -> None:
    """The graph gives units, its loss is that of standardised numbers."""
    values = np.array([[100.0], [140.0]])[data.pictures.labels]
    standard = Standard(np.array([120.0]), np.array([20.0]))
    pictures = replace(data.pictures, labels=np.arange(COUNT))
    numbers = replace(
        data, pictures=pictures, names=("grams",), targets=standard.apply(values), weights=np.ones(COUNT, np.float32),
        values=values, standard=standard,
    )  # fmt: skip
    inputs = keras.Input((SIZE, SIZE, 1))
    layers = keras.layers
    x = layers.Dense(1)(layers.Flatten()(layers.Conv2D(4, 3, 2, activation="relu")(inputs)))
    graph = load(keras.Model(inputs, layers.Rescaling(20.0, 120.0)(x))).graph
    tuned = tuning(graph, numbers, tmp_path, settings=replace(SETTINGS, epochs=5)).run()
    losses = [epoch.val_loss for epoch in tuned.progress.history]
    assert losses[-1] < 0.5 * losses[0] < 5
    assert tuned.progress.history[-1].val_accuracy is None


def test_what_cannot_learn(keras: Any, graph: Graph, data: Data, tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match="no layer has weights named nothing"):
        tuning(graph, data, tmp_path, weights={"nothing": Frozen()})
    three = replace(data, names=("a", "b", "c"))
    with pytest.raises(ChipfitError, match="2 outputs, and the data name 3") as caught:
        tuning(graph, three, tmp_path)
    assert caught.value.code == "N005"
    inputs = keras.Input((SIZE, SIZE, 1))
    curved = keras.Model(inputs, keras.layers.Dense(2)(keras.ops.sin(keras.layers.Flatten()(inputs))))
    with pytest.raises(ChipfitError, match="no way to learn through: sin") as caught:
        tuning(load(curved).graph, data, tmp_path)
    assert (caught.value.code, "conv2d" in caught.value.hint) == ("N005", True)
    (tmp_path / "last.npz").write_bytes(b"nothing")
    with pytest.raises(ChipfitError, match="cannot be read"):
        tuning(graph, data, tmp_path).run(resume=True)
