"""Files of Keras are read without a framework: the same graph, in another process, in silence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chipfit.apart import ApartError, call_apart
from chipfit.errors import ChipfitError
from chipfit.graph import Graph
from chipfit.importers import keras as door
from chipfit.importers import load_graph
from chipfit.importers.keras.alone import read_alone
from importers.keras_nets import keras_or_skip, randomise

keras = keras_or_skip()
L: Any = keras.layers


def plain() -> Any:
    stack = [
        L.Rescaling(1 / 127.5, -1),
        L.SeparableConv2D(6, 3, padding="same", activation="relu6"),
        L.BatchNormalization(),
        L.AveragePooling2D(2),
        L.Resizing(5, 7, interpolation="nearest"),
        L.GlobalAveragePooling2D(),
        L.Dropout(0.5),
        L.Dense(3, activation="softmax", name="out"),
    ]
    return randomise(keras.Sequential([keras.Input((8, 9, 3), name="picture"), *stack]), 1)


def branched() -> Any:
    """Layers that are shared and nested, and functions between them."""
    shared = L.Conv2D(4, 3, padding="same", name="shared")
    inner = keras.Sequential([keras.Input((8, 8, 4)), L.DepthwiseConv2D(3), L.PReLU()], name="inner")
    a, b = keras.Input((8, 8, 3), name="a"), keras.Input((8, 8, 3), name="b")
    y = keras.ops.concatenate([inner(shared(a)), inner(shared(b)) * 2.0], axis=-1)
    z = L.Dense(2)(L.Flatten()(keras.ops.maximum(y, 0.0)))
    return randomise(keras.Model([a, b], {"class": z, "map": keras.ops.mean(y, axis=(1, 2))}), 2)


def _saved(model: Any, folder: Path, ending: str) -> Path:
    path = folder / f"net{ending}"
    model.save(path)
    return path


def _require_same(a: Graph, b: Graph) -> None:
    assert a.name == b.name
    assert [(v.name, v.type) for v in a.values()] == [(v.name, v.type) for v in b.values()]
    assert [n.op for n in a.nodes] == [n.op for n in b.nodes]
    for mine, its in zip(a.values(), b.values(), strict=True):
        assert mine.is_const == its.is_const
        if mine.is_const:
            np.testing.assert_array_equal(mine.array, its.array)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("make", [plain, branched])
def test_the_same_graph_as_with_a_backend(make: Callable[[], Any], ending: str, tmp_path: Path) -> None:
    if make is branched and ending == ".h5":
        pytest.skip("functions between layers are not saved in HDF5 by all versions of Keras")
    path = _saved(make(), tmp_path, ending)
    alone = call_apart(read_alone, path, "net", seconds=120)
    alone.verify()
    _require_same(alone, load_graph(path))


def test_what_fails_alone_is_read_with_a_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever keeps the other process from reading it."""
    path = _saved(plain(), tmp_path, ".keras")
    calls: list[Any] = []

    def crashed(*_: Any, **__: Any) -> None:
        calls.append(monkeypatch.undo())
        raise ApartError("crashed (signal 6)", ["last words"])

    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setattr(door, "call_apart", crashed)
    assert load_graph(path).outputs[0].name == "out"
    assert len(calls) == 1


def test_without_a_backend_the_error_is_what_went_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.keras"
    path.write_bytes(_saved(plain(), tmp_path, ".keras").read_bytes())

    def crashed(*_: Any, **__: Any) -> None:
        raise ApartError("crashed (signal 6)", ["last words"])

    def no_backend() -> None:
        raise ChipfitError("T001", "Keras has no backend here")

    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setattr(door, "require_keras", lambda: None)
    monkeypatch.setattr(door, "call_apart", crashed)
    monkeypatch.setattr(door, "import_keras", no_backend)
    with pytest.raises(ChipfitError, match=r"crashed \(signal 6\): last words") as error:
        load_graph(path)
    assert error.value.code == "F003"


def test_code_is_refused_at_once(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Lambda(lambda x: x, output_shape=(4,), name="odd"), L.Dense(2)])
    data = _saved(model, tmp_path, ".keras").read_bytes()
    with pytest.raises(ChipfitError, match="Lambda 'odd'") as error:
        door._read_apart(data, "net")  # pyright: ignore[reportPrivateUsage]
    assert error.value.code == "O001"


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_nothing_is_imported_or_said_here(ending: str, tmp_path: Path) -> None:
    """A process that has no Keras has none afterwards: its backend is still to be chosen by whoever imports it."""
    path = _saved(plain(), tmp_path, ending)
    code = (
        "import sys, chipfit; model = chipfit.load(sys.argv[1]); "
        "print(len(model.graph.nodes), {'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split(maxsplit=1)[1].strip() == "set()"


def test_code_that_is_allowed_on_the_command_line(tmp_path: Path) -> None:
    """By Keras with a backend, in the command's own process: in silence, too."""
    model = keras.Sequential([keras.Input((4,)), L.Lambda(lambda x: x * 2.0, output_shape=(4,)), L.Dense(2)])
    path = _saved(model, tmp_path, ".keras")
    command = [sys.executable, "-m", "chipfit", "inspect", str(path)]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert (refused.returncode, "--allow-code" in refused.stderr) == (1, True)
    done = subprocess.run([*command, "--allow-code"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "fully_connected" in done.stdout
