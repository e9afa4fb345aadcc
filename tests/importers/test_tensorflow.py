"""SavedModel folders and functions of TensorFlow: what their signatures say, converted and read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit.apart import ApartError
from chipfit.errors import ChipfitError
from chipfit.importers import tensorflow as door
from chipfit.importers.tensorflow.convert import (
    _problem,  # pyright: ignore[reportPrivateUsage]
    convert,
)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
tf: Any = pytest.importorskip("tensorflow", reason="SavedModels are made and converted by TensorFlow")


def _weights(*shape: int) -> Any:
    return np.random.default_rng(len(shape)).normal(0, 0.5, shape).astype(np.float32)


class Net(tf.Module):
    """A convolution and two outputs; ``odd`` is another signature."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = tf.Variable(_weights(3, 3, 2, 4))
        self.matrix = tf.Variable(_weights(4, 3))

    @tf.function(input_signature=[tf.TensorSpec([None, 6, 6, 2], name="picture")])
    def __call__(self, picture: Any) -> Any:
        y = tf.nn.relu(tf.nn.conv2d(picture, self.kernel, 1, "SAME"))
        features = tf.reduce_mean(y, [1, 2])
        return {"features": features, "scores": tf.matmul(features, self.matrix)}

    @tf.function(input_signature=[tf.TensorSpec([1, 4], name="row")])
    def odd(self, row: Any) -> Any:
        return {"tanh": tf.tanh(tf.matmul(row, self.matrix))}


@pytest.fixture(scope="module")
def net() -> Net:
    return Net()


@pytest.fixture(scope="module")
def folder(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exports") / "small" / "1"
    tf.saved_model.save(net, str(path), signatures={"serving_default": net.__call__, "odd": net.odd})
    return path


def _require_equal(model: chipfit.Model, function: Callable[..., Any], shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    wanted = {name: np.asarray(y) for name, y in function(x).items()}
    found = dict(zip([v.name for v in model.outputs], model.run(x), strict=True))
    assert found.keys() == wanted.keys()
    for name, y in wanted.items():
        np.testing.assert_allclose(found[name], y, rtol=0, atol=1e-5 * float(np.abs(y).max()))


def test_a_folder(folder: Path, net: Net) -> None:
    """The batch is 1, names are those of the signature, and of the folder that is no version."""
    model = chipfit.load(folder)
    assert model.name == "small"
    assert [(v.name, v.shape) for v in model.inputs] == [("picture", (1, 6, 6, 2))]
    assert model.source is not None
    assert model.source[4:8] == b"TFL3"
    _require_equal(model, net.__call__, (1, 6, 6, 2))


def test_another_signature(folder: Path, net: Net) -> None:
    model = chipfit.load(str(folder), signature="odd", name="mine")
    assert model.name == "mine"
    assert [v.name for v in model.inputs] == ["row"]
    _require_equal(model, net.odd, (1, 4))


def test_a_concrete_function(net: Net) -> None:
    """With its variables, and a batch that is not stated."""

    @tf.function
    def call(x: Any) -> Any:
        return {"out": tf.nn.softmax(tf.matmul(x, net.matrix))}

    model = chipfit.load(call.get_concrete_function(tf.TensorSpec([None, 4], name="x")))
    assert [(v.name, v.shape) for v in model.inputs] == [("x", (1, 4))]
    _require_equal(model, call, (1, 4))
    with pytest.raises(ChipfitError, match="no input signature") as error:
        chipfit.load(call)
    assert error.value.code == "O002"
    assert "get_concrete_function" in error.value.hint


def test_a_module() -> None:
    """Whose only function is its signature."""

    class Double(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 4], name="row")])
        def __call__(self, row: Any) -> Any:
            return {"twice": row + row}

    _require_equal(chipfit.load(Double()), Double().__call__, (1, 4))


# ---------------------------------------------------------------------------------------------- in this process


def _error_of(folder: Path, function: Any = None, signature: str | None = None) -> ChipfitError:
    if function is not None:
        tf.saved_model.save(tf.Module(), str(folder), signatures=function.get_concrete_function())
    with pytest.raises(ChipfitError) as error:
        convert(folder, signature)
    assert error.value.hint
    return error.value


def test_a_signature_that_is_not_there(folder: Path) -> None:
    error = _error_of(folder, signature="even")
    assert error.code == "U001"
    assert "'odd', 'serving_default'" in error.hint


def test_sizes_that_are_not_known(tmp_path: Path) -> None:
    call = tf.function(tf.tanh, input_signature=[tf.TensorSpec([None, None, 3], name="x")])
    error = _error_of(tmp_path, call)
    assert (error.code, error.message.split(":")[1]) == ("O002", " sizes are not known")


def test_operators_without_a_form_are_named(tmp_path: Path) -> None:
    spec = tf.TensorSpec([None, 3], name="x")
    error = _error_of(tmp_path, tf.function(lambda x: tf.math.erf(x) + tf.math.asin(x), input_signature=[spec]))
    assert error.code == "O001"
    assert {line.split(" (")[0] for line in error.message.splitlines()[1:]} == {"  Asin", "  Erf"}


def test_a_damaged_folder(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"no protobuf")
    error = _error_of(tmp_path)
    assert (error.code, "cannot load the SavedModel" in error.message) == ("F003", True)


def test_a_module_without_signatures(net: Net, tmp_path: Path) -> None:
    tf.saved_model.save(net, str(tmp_path))
    assert _error_of(tmp_path).code == "F002"


def test_a_converter_that_crashes_or_hangs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ChipfitError, match=r"did not end within 0\.1 seconds") as error:
        chipfit.load(folder, timeout=0.1)
    assert error.value.code == "T003"

    def crashed(*_: Any, **__: Any) -> None:
        raise ApartError("crashed (signal 11)", ["first", *map(str, range(100)), "LLVM ERROR: out of luck"])

    monkeypatch.setattr(door, "call_apart", crashed)
    with pytest.raises(ChipfitError, match=r"(?s)crashed \(signal 11\):.*LLVM ERROR") as error:
        chipfit.load(folder)
    assert len(error.value.message.splitlines()) < 20


def test_nothing_is_said(folder: Path) -> None:
    """Neither by the converter nor by what it imports."""
    command = [sys.executable, "-m", "chipfit", "inspect", str(folder)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "'picture' float32[1,6,6,2]" in done.stdout


def test_what_is_no_function_and_no_module() -> None:
    with pytest.raises(ChipfitError, match="cannot save") as error:
        chipfit.load(tf.constant(1))
    assert error.value.code == "O002"


def test_text_of_the_converter() -> None:
    """An error without a list of operators is told by its first line."""
    error = _problem("\n  <unknown>:0: error: failed while converting: 'main'\nmore\n")
    assert (error.code, error.message) == (
        "O002",
        "TensorFlow's converter failed: <unknown>:0: error: failed while converting: 'main'",
    )
