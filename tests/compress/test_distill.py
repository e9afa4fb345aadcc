"""What a student learns from: what its teacher answers, whatever the teacher is, and what it sees inside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chipfit.compress.distill import Distill, Lesson, Lessons
from chipfit.compress.teacher import Glasses, Teacher, load_teacher, resized
from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, TensorType, Value
from chipfit.interpret import evaluate
from chipfit.model import Model
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.elu import Elu
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.logistic import Logistic
from chipfit.ops.reshape import Reshape
from chipfit.ops.softmax import Softmax
from chipfit.quantize import Preprocessing, Recipe, Samples, quantize_graph
from chipfit.trainable.aware import train_aware
from chipfit.trainable.model import learnable
from chipfit.trainable.tune import TuneSettings, Tuning
from chipfit.training.loop import Data, Epoch, Watch
from chipfit.training.numbers import Standard
from chipfit.training.pictures import PictureSet
from chipfit.training.run_folder import RunFolder
from chipfit.training.split import Split
from importers.keras_nets import keras_or_skip
from quantize.nets import Builder, normal

SIDE, COUNT = 8, 60
HOW = Preprocessing("stretch", scale=1 / 127.5, mean=(1.0,))
SETTINGS = TuneSettings(epochs=4, rate=0.01, batch=8, augment="none", seed=2)


@pytest.fixture(scope="session", autouse=True)
def keras() -> Any:
    return keras_or_skip()


def net(seed: int, width: int, side: int = SIDE, channels: int = 1, head: Any = None) -> Graph:
    rng = np.random.default_rng(seed)
    b = Builder(1, side, side, channels)
    x = b.add("half", Conv2D((2, 2), (0, 0, 1, 1), act="relu"), b.x, normal(rng, width, 3, 3, channels))
    x = b.add("quarter", Conv2D((2, 2), (0, 0, 1, 1), act="relu"), x, normal(rng, width, 3, 3, width))
    pool = b.add("pool", AveragePool2D(kernel=(side // 4, side // 4)), x)
    z = b.add("logits", FullyConnected(), b.add("flat", Reshape((1, width)), pool), normal(rng, 3, width, scale=1.0))
    return b.graph(z if head is None else b.add("answer", head, z))


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher(Model(net(1, 6, head=Softmax())))


@pytest.fixture(scope="module")
def data(teacher: Teacher) -> Data:
    """Noise, with labels that say nothing: only the teacher does."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (COUNT, SIDE, SIDE, 1)).astype(np.uint8)
    names = tuple(map(str, range(COUNT)))
    pictures = PictureSet(Path(), pixels, np.arange(COUNT) % 3, ("a", "b", "c"), names, names, None, HOW)
    split = Split(np.arange(40), np.arange(40, COUNT), "by the test")
    return Data(pictures, split, HOW, ("a", "b", "c"), np.eye(3, dtype=np.float32), np.ones(3, np.float32))


def logits(graph: Graph, x: Array) -> Array:
    """(n, 3), by definition."""
    seen = graph.copy()
    seen.outputs = [next(v for v in seen.values() if v.name == "logits")]
    return np.stack([evaluate(seen, [row[None]])[0].reshape(-1) for row in x])


def softmax(x: Array) -> Array:
    exps = np.exp(x - x.max(axis=1, keepdims=True))
    return exps / exps.sum(axis=1, keepdims=True)


def inputs(count: int = 5, side: int = SIDE, channels: int = 1) -> Array:
    return np.random.default_rng(4).uniform(-1, 1, (count, side, side, channels)).astype(np.float32)


def test_the_loss_is_the_divergence(keras: Any, teacher: Teacher) -> None:
    student = net(2, 3, head=Softmax())
    lessons = Lessons(student, teacher, Lesson(3.0, 0.25), HOW)
    x = inputs()
    theirs, ours = softmax(logits(teacher.graph, x) / 3), softmax(logits(student, x) / 3)
    wanted = 0.75 * 9 * (theirs * np.log(theirs / ours)).sum(axis=1)
    targets = lessons.targets(x)
    seen = {"logits": keras.ops.convert_to_tensor(logits(student, x)[:, None])}
    given = {name: keras.ops.convert_to_tensor(a) for name, a in targets.items()}
    np.testing.assert_allclose(np.asarray(lessons.loss(keras.ops, seen, given)), wanted, rtol=1e-3, atol=1e-5)
    assert (lessons.hard, lessons.reads, list(lessons.layers)) == (0.25, ("logits",), [])
    # a perfect student has nothing to learn
    seen = {"logits": keras.ops.convert_to_tensor(logits(teacher.graph, x)[:, None])}
    np.testing.assert_allclose(np.asarray(lessons.loss(keras.ops, seen, given)), 0, atol=1e-5)


def test_sigmoids_and_numbers(keras: Any) -> None:
    many, student = Teacher(Model(net(1, 6, head=Logistic()))), net(2, 3, head=Logistic())
    x, k = inputs(), keras.ops

    def loss(lessons: Lessons, raw: Array) -> Array:
        given = {name: k.convert_to_tensor(a) for name, a in lessons.targets(x).items()}
        return np.asarray(lessons.loss(k, {"logits": k.convert_to_tensor(raw[:, None].astype(np.float32))}, given))

    lessons = Lessons(student, many, Lesson(2.0, 0.0), HOW)
    z, p = logits(student, x), 1 / (1 + np.exp(-logits(many.graph, x) / 2))
    ours = 1 / (1 + np.exp(-z / 2))
    wanted = -4 * (p * np.log(ours) + (1 - p) * np.log(1 - ours)).sum(axis=1)
    np.testing.assert_allclose(loss(lessons, z), wanted, rtol=1e-4)
    standard = Standard(np.array([1.0, 2.0, 3.0]), np.array([2.0, 1.0, 0.5]))
    numbers = Teacher(Model(net(1, 6)))
    lessons = Lessons(net(2, 3), numbers, Lesson(hard=0.5), HOW, standard)
    z = logits(net(2, 3), x)
    wanted = 0.5 * np.square((z - logits(numbers.graph, x)) / standard.deviation).mean(axis=1)
    np.testing.assert_allclose(loss(lessons, z), wanted, rtol=1e-4)


@pytest.mark.parametrize("kind", ["float", "no form", "int8"])
def test_any_model_teaches(kind: str) -> None:
    """Also one of integers, which C runs, and one with an operator that Keras has no form of here."""
    graph = net(1, 6, head=Softmax())
    if kind == "no form":
        graph.nodes[0].op = Conv2D((2, 2), (0, 0, 1, 1))
        first = graph.nodes[0].outputs[0]
        node = type(graph.nodes[0])(Elu(), [first], [Value("curved", first.type)])
        graph.replace(first, node.outputs[0])
        node.inputs = [first]
        graph.nodes.insert(1, node)
        graph.verify()
    whole = graph
    x = inputs(30)
    if kind == "int8":
        graph = quantize_graph(graph, Samples((x[:, None],), (None,)), Recipe()).graph
    student = net(2, 3, head=Softmax())
    lessons = Lessons(student, Teacher(Model(graph)), Lesson(1.0, features=("half=half",)), HOW)
    wanted = logits(whole, x)
    np.testing.assert_allclose(lessons.answers(x), wanted, atol=0.15 if kind == "int8" else 1e-4)
    assert lessons.targets(x)["map0"].shape == (30, 1, 4, 4, 6)


def test_pictures_of_another_size_and_colour() -> None:
    theirs = Value("t", TensorType((1, 16, 16, 3), DType.FLOAT32))
    ours = Value("o", TensorType((1, 8, 8, 1), DType.FLOAT32))
    see = Glasses(theirs, ours, Preprocessing(std=(255.0,)), HOW)
    pixels = np.full((2, 8, 8, 1), 51, np.uint8)
    pixels[1, :, 4:] = 255
    seen = see(HOW.apply(pixels))
    assert (seen.shape, seen.dtype) == ((2, 16, 16, 3), np.float32)
    np.testing.assert_allclose(seen[0], 0.2, atol=1e-6)
    np.testing.assert_allclose(seen[1, 3, [0, 7, 8, 15], 2], [0.2, 0.4, 0.8, 1], atol=1e-6)
    back = Glasses(ours, theirs, HOW, Preprocessing(std=(255.0,)))
    np.testing.assert_allclose(back(seen)[0], HOW.apply(pixels)[0], atol=1e-5)
    # the same inputs are handed on as they are
    x = inputs()
    assert Glasses(ours, ours, HOW, replace(HOW, side=3, resize="crop"))(x) is x
    flat = Value("f", TensorType((1, 64), DType.FLOAT32))
    with pytest.raises(ChipfitError, match="no pictures"):
        Glasses(theirs, flat, HOW, HOW)


def test_resizing() -> None:
    x = np.random.default_rng(0).normal(size=(2, 6, 4, 3))
    np.testing.assert_allclose(resized(x, 6, 4), x)
    np.testing.assert_allclose(resized(np.ones((1, 7, 5, 1)), 3, 11), 1)
    slope = np.arange(8.0)[None, :, None, None]
    assert np.diff(resized(slope, 4, 1)[0, :, 0, 0])[1] == pytest.approx(2)


def test_features_are_paired_by_size(teacher: Teacher) -> None:
    student = net(2, 3, head=Softmax())
    assert Lesson(features=("auto",)).pairs(student, teacher.graph) == [("half", "half"), ("quarter", "quarter")]
    lessons = Lessons(student, teacher, Lesson(features=("auto",)), HOW)
    assert lessons.reads == ("logits", "half", "quarter")
    assert [layer.kernel.shape for layer in lessons.layers] == [(3, 6), (3, 6)]
    target = lessons.targets(inputs())["map0"]
    np.testing.assert_allclose(np.square(target).mean(axis=(1, 2, 3, 4)), 1, rtol=1e-4)


def test_it_learns_from_the_teacher_alone(data: Data, tmp_path: Path) -> None:
    """By the loss: the epoch that is kept is the best one by labels, which say nothing here."""
    graph = net(1, 6, head=Softmax())
    last = next(n["w"] for n in graph.nodes if n.name == "logits")
    last.data = last.array * 8
    student = net(2, 4, head=Softmax())
    lessons = Lessons(student, Teacher(Model(graph)), Lesson(2.0, 0.0, ("auto",)), HOW)
    before = lessons.layers[0].get_weights()[0].copy()
    settings = replace(SETTINGS, epochs=8, rate=0.03)
    history = Tuning(student, data, RunFolder(tmp_path), settings, extra=lessons).run().progress.history
    assert history[-1].loss < 0.5 * history[0].loss
    assert (lessons.layers[0].get_weights()[0] != before).any()


class Stop(Watch):
    def epoch(self, epoch: Epoch, is_best: bool) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt


def test_a_stopped_lesson_goes_on_as_if_it_had_not(teacher: Teacher, data: Data, tmp_path: Path) -> None:
    """With the projections of features as they were."""

    def learned(folder: str, watch: Watch, resume: bool = False) -> Graph:
        run = RunFolder(tmp_path / folder)
        run.create()
        student = net(2, 4, head=Softmax())
        lessons = Lessons(student, teacher, Lesson(2.0, 0.5, ("auto",)), HOW, seed=3)
        settings = replace(SETTINGS, epochs=3)
        return Tuning(student, data, run, settings, extra=lessons).run(watch, resume=resume).graph

    whole = learned("whole", Watch())
    with pytest.raises(KeyboardInterrupt):
        learned("parts", Stop())
    parts = learned("parts", Watch(), resume=True)
    for ours, theirs in zip(learnable(parts), learnable(whole), strict=True):
        np.testing.assert_array_equal(ours.array, theirs.array)
    kept = [RunFolder(tmp_path / folder).read_last("last.npz") for folder in ("whole", "parts")]
    projections = [[a for a in last[0] if a.shape == (4, 6)] for last in kept if last is not None]
    assert len(projections[0]) >= 2
    for ours, theirs in zip(*projections, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_in_integers_at_the_same_time(teacher: Teacher, data: Data, tmp_path: Path) -> None:
    student = net(2, 4, head=Softmax())
    lessons = Lessons(student, teacher, Lesson(2.0, 0.5, ("quarter=quarter",)), HOW)
    made = train_aware(student, data, RunFolder(tmp_path), replace(SETTINGS, epochs=2), extra=lessons)
    assert made.int8.outputs[0].dtype is DType.INT8
    assert made.figures.accuracy == pytest.approx(made.figures.int8_accuracy, abs=0.051)
    assert made.figures.history[-1].loss < made.figures.history[0].loss


def test_what_cannot_teach(teacher: Teacher) -> None:
    student = net(2, 3, head=Softmax())
    for lesson, said in (
        (Lesson(features=("half",)), "is no pair"),
        (Lesson(features=("nothing=half",)), "no tensor named nothing"),
        (Lesson(features=("half=nothing",)), "has no tensor named nothing"),
        (Lesson(features=("half=logits",)), "cannot be alike"),
    ):
        with pytest.raises(ChipfitError, match=said) as caught:
            Lessons(student, teacher, lesson, HOW)
        assert caught.value.code == "U001"
    with pytest.raises(ChipfitError, match="the student gives sigmoids") as caught:
        Lessons(net(2, 3, head=Logistic()), teacher, Lesson(), HOW)
    assert caught.value.code == "N005"
    two = Builder(1, SIDE, SIDE, 1)
    flat = two.add("flat", Reshape((1, SIDE * SIDE)), two.x)
    small = two.graph(two.add("z", FullyConnected(), flat, normal(np.random.default_rng(0), 2, SIDE * SIDE)))
    with pytest.raises(ChipfitError, match="2 outputs, the teacher 'net' has 3"):
        Lessons(small, teacher, Lesson(), HOW)
    for wrong in (lambda: Lesson(0.0), lambda: Lesson(hard=1.5), lambda: Lesson(feature_weight=-1.0)):
        with pytest.raises(ChipfitError, match="U001"):
            wrong()


def test_a_keras_model_teaches(keras: Any) -> None:
    layers = keras.layers
    source = keras.Input((SIDE, SIDE, 1))
    out = layers.Dense(3, "softmax")(layers.Flatten()(layers.Conv2D(4, 3, 2, activation="relu")(source)))
    model = keras.Model(source, out, name="old_master")
    teacher = load_teacher(model)
    lessons = Lessons(net(2, 3, head=Softmax()), teacher, Lesson(), HOW)
    x = inputs()
    np.testing.assert_allclose(softmax(lessons.answers(x)), model.predict(x, verbose=0), atol=1e-5)
    words = Distill(model, Lesson(features=("auto",)), aware=True).words
    assert words[:2] == ["--teacher", "old_master"]
    assert {"--qat", "--feature", "auto", "--feature-weight"} <= set(words)
