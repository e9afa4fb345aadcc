"""Networks of keras.applications, and one model from Keras to a program."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit.cli import main
from chipfit.graph import Array
from importers.keras_nets import check, keras_or_skip, ops_of, randomise

keras = keras_or_skip()
L: Any = keras.layers
HAVE_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None

SIZE: dict[str, Any] = {"weights": None, "input_shape": (96, 96, 3), "classes": 10}
LOGITS: dict[str, Any] = {**SIZE, "classifier_activation": None}

APPLICATIONS: dict[str, tuple[Callable[[], Any], float]] = {
    "MobileNet 0.25": (lambda: keras.applications.MobileNet(alpha=0.25, **LOGITS), 1.0),
    "MobileNet 0.4": (lambda: keras.applications.MobileNet(alpha=0.4, **LOGITS), 1.0),
    "MobileNetV2 0.35": (lambda: keras.applications.MobileNetV2(alpha=0.35, **LOGITS), 1.0),
    "MobileNetV3Small": (lambda: keras.applications.MobileNetV3Small(**LOGITS), 255.0),
    "MobileNetV3Large": (lambda: keras.applications.MobileNetV3Large(**LOGITS), 255.0),
    "EfficientNetB0": (lambda: keras.applications.EfficientNetB0(**LOGITS), 255.0),
    "ResNet50": (lambda: keras.applications.ResNet50(**LOGITS), 1.0),
}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_applications(name: str) -> None:
    make, high = APPLICATIONS[name]
    graph = check(keras, randomise(make(), 1), high=high)
    layers = {"conv2d", "depthwise_conv2d", "fully_connected"}
    assert not layers.isdisjoint(ops_of(graph))
    behind_layers = [n for n in graph.nodes if n.op.name in ("mul", "add") and _follows(graph, n, layers)]
    assert not behind_layers, "batch normalization has become part of the layer before it"


def _follows(graph: chipfit.Graph, node: Any, layers: set[str]) -> bool:
    """Whether a node applies constants of channels to what a layer with weights makes."""
    constants = [v for v in node.operands if v.is_const and v.type.size > 1]
    makers = graph.producers()
    return bool(constants) and any(v in makers and makers[v].op.name in layers for v in node.operands)


def test_mobilenet_has_the_operators_of_its_tflite_file() -> None:
    model = randomise(keras.applications.MobileNet(alpha=0.25, **SIZE), 1)
    found = ops_of(chipfit.load(model).graph)
    assert found == [*["conv2d", "depthwise_conv2d"] * 13, "conv2d", "mean", "conv2d", "reshape", "softmax"]


@pytest.mark.skipif(
    not HAVE_TENSORFLOW or keras.backend.backend() != "tensorflow",
    reason="TensorFlow, which converts to .tflite, is not Keras' backend here",
)
def test_mobilenet_and_its_tflite_file() -> None:
    """Node by node: operator, attributes and shapes; weights but for the rounding of folded normalizations."""
    import tensorflow  # type: ignore[import-not-found]

    tf: Any = tensorflow
    model = randomise(keras.applications.MobileNet(alpha=0.25, **SIZE), 1)
    ours = chipfit.load(model).graph
    theirs = chipfit.load(tf.lite.TFLiteConverter.from_keras_model(model).convert()).graph
    assert [(n.op, n.outputs[0].shape) for n in ours.nodes] == [(n.op, n.outputs[0].shape) for n in theirs.nodes]
    for a, b in zip(ours.nodes, theirs.nodes, strict=True):
        for mine, other in zip(a.operands, b.operands, strict=True):
            if mine.is_const:
                np.testing.assert_allclose(mine.array, other.array, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------------------------------- end to end


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, Array]:
    """A model, its file, and 24 samples."""
    model = keras.Sequential(
        [
            keras.Input((12, 12, 1), name="picture"),
            L.Rescaling(1 / 127.5, -1.0),
            L.Conv2D(6, 3, 2, "same", use_bias=False),
            L.BatchNormalization(),
            L.ReLU(6),
            L.SeparableConv2D(8, 3, padding="same", activation="relu"),
            L.GlobalAveragePooling2D(),
            L.Dropout(0.5),
            L.Dense(4, activation="softmax", name="scores"),
        ]
    )
    randomise(model, 4)
    path = tmp_path_factory.mktemp("keras") / "tiny.keras"
    model.save(path)
    samples = np.random.default_rng(0).uniform(0, 255, (24, 12, 12, 1)).astype(np.float32)
    return model, path, samples


def test_from_keras_to_a_program(tiny: tuple[Any, Path, Array], tmp_path: Path) -> None:
    model, path, samples = tiny
    made = chipfit.quantize_model(chipfit.load(path), samples)
    assert [v.name for v in made.model.graph.inputs] == ["picture"]
    assert [v.name for v in made.model.graph.outputs] == ["scores"]
    wanted = np.asarray(keras.ops.convert_to_numpy(model(samples, training=False)))
    firmware = made.model.compile("host", tmp_path / "tiny")
    value = made.model.graph.inputs[0]
    stored = np.clip(np.rint(samples / value.q.s) + value.q.zp, -128, 127).astype(np.int8)
    found = np.asarray(firmware.run(stored).outputs[0]).reshape(24, 4)
    real = (found.astype(np.float32) + 128) / 256
    assert float(np.abs(real - wanted).max()) < 0.05
    np.testing.assert_array_equal(found[0], made.model.run(stored[:1])[0][0])


def test_a_float_program_gives_the_outputs_of_keras(tiny: tuple[Any, Path, Array], tmp_path: Path) -> None:
    model, path, samples = tiny
    loaded = chipfit.load(path)
    found = np.asarray(loaded.compile("host", tmp_path / "tiny").run(samples).outputs[0]).reshape(24, 4)
    wanted = np.asarray(keras.ops.convert_to_numpy(model(samples, training=False)))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * float(wanted.max()))
    assert loaded.verify(3).passed


def test_the_command_line_takes_keras_files(
    tiny: tuple[Any, Path, Array], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path, samples = tiny
    data, out = tmp_path / "samples.npy", tmp_path / "tiny_int8.tflite"
    np.save(data, samples)

    def chipfit_command(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["chipfit", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code

    chipfit_command("inspect", path, "--json")
    assert json.loads(capsys.readouterr().out)["inputs"][0]["name"] == "picture"
    chipfit_command("quantize", path, "--data", data, "-o", out)
    assert chipfit.load(out).is_integer
    chipfit_command("compile", path, "-b", "host", "-o", tmp_path / "folder")
    assert (tmp_path / "folder" / "model.c").is_file()
    chipfit_command("evaluate", path, out, "--data", data)
