"""Files of Keras: both formats, those of Keras 2, damaged ones, and code in them that is not run."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit.errors import ChipfitError
from chipfit.importers import load_graph
from chipfit.importers.keras import files
from chipfit.importers.keras.files import load_file
from importers import elsewhere
from importers.keras_nets import check, keras_or_skip, randomise

keras = keras_or_skip()
h5py: Any = pytest.importorskip("h5py", reason="HDF5 files are read by h5py")
L: Any = keras.layers

RAN: list[str] = []
"""What code of files has left behind."""


@keras.saving.register_keras_serializable(package="chipfit_tests")
class Registered(L.Layer):
    """A class that Keras knows in this process."""

    def call(self, x: Any) -> Any:
        return x * 2.0


class Stranger(L.Layer):
    """A class that only its module knows."""

    def call(self, x: Any) -> Any:
        RAN.append("stranger")
        return x * 3.0


def small(*layers: Any) -> Any:
    stack = [L.Conv2D(4, 3, 2, name="conv"), L.BatchNormalization(), *layers, L.DepthwiseConv2D(2), L.Flatten()]
    return randomise(keras.Sequential([keras.Input((8, 9, 3), name="picture"), *stack, L.Dense(3, name="out")]), 1)


def saved(model: Any, folder: Path, ending: str) -> bytes:
    path = folder / f"model{ending}"
    model.save(path)
    return path.read_bytes()


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_files(ending: str, tmp_path: Path) -> None:
    """By content, whatever the name; the model is called like the file."""
    model = small()
    data = saved(model, tmp_path, ending)
    check(keras, model, source=data)
    renamed = tmp_path / "network.bin"
    renamed.write_bytes(data)
    loaded = chipfit.load(renamed)
    assert (loaded.name, loaded.source) == ("network", None)
    assert [v.name for v in loaded.inputs] == ["picture"]
    assert [v.name for v in loaded.outputs] == ["out"]


def test_h5_of_keras_2(tmp_path: Path) -> None:
    """Keras 2 wrote groups, and shapes of the batch under another name."""
    model = small()
    saved(model, tmp_path, ".h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            inner = layer["config"]
            if layer["class_name"] == "DepthwiseConv2D":
                inner["groups"] = 1
            if "batch_shape" in inner:
                inner["batch_input_shape"] = inner.pop("batch_shape")
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.15.0"
    check(keras, model, source=(tmp_path / "model.h5").read_bytes())


def test_a_real_h5_of_keras_2(models_dir: Path) -> None:
    path = models_dir.parent / "k210" / "models" / "small.h5"
    if not path.is_file():
        pytest.skip(f"there is no {path}")
    check(keras, load_file(keras, path.read_bytes(), allow_code=False), source=path)


def test_weights_alone(tmp_path: Path) -> None:
    small().save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ChipfitError, match="holds no network") as error:
        load_graph(tmp_path / "model.weights.h5")
    assert error.value.code == "F002"
    assert error.value.hint


# ---------------------------------------------------------------------------------------------- code in files


def _lambda(x: Any) -> Any:
    RAN.append("lambda")
    return x * 2.0


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_code_is_not_run(ending: str, tmp_path: Path) -> None:
    """All of it is named; none of it ran, not even to find out what it is."""
    first = L.Lambda(_lambda, output_shape=(3, 4, 4), name="doubled")
    second = L.Lambda(lambda x: _lambda(x), output_shape=(3, 4, 4), name="again")
    data = saved(small(first, Stranger(name="odd"), second), tmp_path, ending)
    RAN.clear()
    with pytest.raises(ChipfitError) as error:
        load_graph(data)
    assert not RAN
    assert error.value.code == "O001"
    for words in ("Lambda 'doubled'", "Lambda 'again'", "allow_code=True"):
        assert words in str(error.value)
    if ending == ".keras":
        assert "Stranger 'odd'" in error.value.message


def test_code_is_run_if_that_is_allowed(tmp_path: Path) -> None:
    model = small(L.Lambda(lambda x: x * 2.0, name="doubled"))
    data = saved(model, tmp_path, ".keras")
    graph = load_graph(data, allow_code=True)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 8, 9, 3)).astype(np.float32)
    wanted = np.asarray(keras.ops.convert_to_numpy(model(x, training=False)))
    found = chipfit.Model(graph).run(x)[0]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * float(np.abs(wanted).max()))


def test_a_registered_class_is_the_users_own(tmp_path: Path) -> None:
    model = small(Registered(name="twice"))
    check(keras, model, source=saved(model, tmp_path, ".keras"))


def test_a_class_of_another_module_is_not_imported(tmp_path: Path) -> None:
    """A file may name any module; naming it must not import it."""
    (tmp_path / "evil_module_of_a_file.py").write_text("raise SystemError('imported')")
    data = _edited(saved(small(), tmp_path, ".keras"), lambda c: c.update(module="evil_module_of_a_file"))
    with pytest.raises(ChipfitError, match="evil_module_of_a_file") as error:
        load_graph(data)
    assert error.value.code == "O001"


# ---------------------------------------------------------------------------------------------- damaged files


def _edited(data: bytes, edit: Callable[[dict[str, Any]], Any], without: str = "") -> bytes:
    """An archive whose last layer's description is edited, or that lacks a file."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                edit(config["config"]["layers"][-1])
                content = json.dumps(config).encode()
            if name != without:
                new.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: _edited(data, lambda c: None, "model.weights.h5"), "no model.weights.h5"),
        (lambda data: _edited(data, lambda c: c["config"].update(units=-3)), "Keras cannot read"),
        (lambda data: _edited(data, lambda c: c.update(class_name="Densest")), "Keras cannot read"),
    ],
)  # fmt: skip
def test_damaged_archives(damage: Callable[[bytes], bytes], words: str, tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match=words) as error:
        load_graph(damage(saved(small(), tmp_path, ".keras")))
    assert error.value.code == "F003"
    assert error.value.hint


def test_an_unknown_class_in_h5(tmp_path: Path) -> None:
    """These files name classes without their modules: only the user can say which one is meant."""
    data = saved(small(Stranger(name="odd")), tmp_path, ".h5")
    with pytest.raises(ChipfitError, match="Stranger") as error:
        load_graph(data)
    assert "register" in error.value.hint


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("seed", range(6))
def test_mutants_are_errors(ending: str, seed: int, tmp_path: Path) -> None:
    """Cut or with bytes changed: an error of chipfit or, where nothing that counts was hit, a model."""
    data = bytearray(saved(small(), tmp_path, ending))
    rng = np.random.default_rng(seed)
    if seed % 2:
        data = data[: int(rng.integers(16, len(data)))]
    else:
        for at in rng.integers(8, len(data), 40):
            data[at] = int(rng.integers(256))
    error = _error_of(bytes(data))
    assert error is None or (error.code[0] in "FOG" and error.hint)


def _error_of(data: bytes) -> ChipfitError | None:
    try:
        load_graph(data)
    except ChipfitError as error:
        return error
    return None


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_file_that_crashes_its_library(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The HDF5 library ends the process on some damaged files: that is another process than this one."""
    data = saved(small(), tmp_path, ending)
    monkeypatch.setattr(files, "_read_all", elsewhere.die)
    with pytest.raises(ChipfitError, match="HDF5 data is damaged") as error:
        load_graph(data)
    assert error.value.code == "F003"


def test_a_zip_of_something_else() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("readme.txt", b"")
    with pytest.raises(ChipfitError, match="zip archive") as error:
        load_graph(out.getvalue())
    assert error.value.code == "F002"
