"""Pretrained weights: every kind of file, and what is said of those that do not fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.training import weights as module
from chipfit.training.backbones import BACKBONES, Network, build
from chipfit.training.weights import load_weights

pytest.importorskip("h5py", reason="files of weights are read by h5py")

SMALL = Network("ds_cnn", 0.125, 32, 32, 3)


def write_old(model: Any, path: Path, nested: str = "") -> Path:
    """As Keras 1 and 2 write weights: a group for each layer, names with ``:0``, a kernel that is called depthwise."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.require_group(nested or layer.name)
            names: list[str] = list(group.attrs.get("weight_names", ()))
            for variable, array in zip(layer.weights, layer.get_weights(), strict=True):
                word = "depthwise_kernel" if "Depthwise" in type(layer).__name__ else variable.name
                names.append(f"{layer.name}/{word}:0")
                group[names[-1]] = array
            group.attrs["weight_names"] = np.array(names, h5py.string_dtype())
    return path


def random_model(network: Network, seed: int = 0) -> Any:
    model = build(network)
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.1, 1.0, a.shape).astype(np.float32) for a in model.get_weights()])
    return model


def backbone_weights(model: Any) -> list[Any]:
    return [a for layer in model.layers if not layer.name.startswith("head") for a in layer.get_weights()]


@pytest.mark.parametrize("name", ["old.h5", "nested.h5", "whole.h5", "new.weights.h5", "new.keras"])
def test_every_kind_of_file(keras: Any, name: str, tmp_path: Path) -> None:
    """The backbone has them afterwards, the head has not."""
    source, path = random_model(SMALL), tmp_path / name
    if name in ("old.h5", "nested.h5"):
        write_old(source, path, "ds_cnn" if name == "nested.h5" else "")
    elif "weights" in name:
        source.save_weights(path)
    else:
        source.save(path)
    model = build(dataclasses.replace(SMALL, outputs=3))
    head = model.get_layer("head").get_weights()
    loaded = load_weights(model, dataclasses.replace(SMALL, outputs=3), path)
    assert (loaded.layers, loaded.note) == (18, "")
    for ours, theirs in zip(backbone_weights(model), backbone_weights(source), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(model.get_layer("head").get_weights()[0], head[0])


def test_colours_are_summed_for_grey(keras: Any, tmp_path: Path) -> None:
    """A grey picture gives what its three equal colours give."""
    source = random_model(SMALL)
    path = write_old(source, tmp_path / "colour.h5")
    grey = dataclasses.replace(SMALL, channels=1)
    model = build(grey)
    assert "'stem' are summed" in load_weights(model, grey, path).note
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 1)).astype(np.float32)
    a, b = (keras.Model(m.input, m.get_layer("head_pool").output) for m in (model, source))
    np.testing.assert_allclose(a.predict_on_batch(x), b.predict_on_batch(np.repeat(x, 3, axis=3)), rtol=1e-4)


@pytest.mark.parametrize(
    ("wanted", "message", "hint"),
    [
        (
            Network("ds_cnn", 0.25, 32, 32, 3),
            r"does not fit layer 'stem': it has \(3, 3, 3, 8\), the network \(3, 3, 3, 16\)",
            "the file is of alpha 0.125, the network of 0.25: use --alpha 0.125",
        ),
        (Network("mobilenet_v1", 0.125, 32, 32, 3), "no weights for 54 of the 54 layers", "--backbone ds_cnn"),
    ],
)
def test_another_network(keras: Any, wanted: Network, message: str, hint: str, tmp_path: Path) -> None:
    """The model keeps what it had."""
    path = write_old(build(SMALL), tmp_path / "w.h5")
    model = build(wanted)
    before = model.get_weights()
    with pytest.raises(ChipfitError, match=message) as caught:
        load_weights(model, wanted, path)
    assert caught.value.code == "N002"
    assert hint in caught.value.hint
    for ours, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, kept)


def test_grey_weights_do_not_make_colours(keras: Any, tmp_path: Path) -> None:
    path = write_old(build(dataclasses.replace(SMALL, channels=1)), tmp_path / "w.h5")
    with pytest.raises(ChipfitError) as caught:
        load_weights(build(SMALL), SMALL, path)
    assert caught.value.hint == "the file is for grey pictures: use --grey"


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, "F001"), (b"", "F003"), (b"no HDF5 at all", "F003"), (b"PK\x05\x06" + bytes(18), "F003")],
)
def test_files_that_are_none(keras: Any, content: bytes | None, code: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "w.h5").write_bytes(content)
    with pytest.raises(ChipfitError, match=r"w\.h5") as caught:
        load_weights(build(SMALL), SMALL, tmp_path / "w.h5")
    assert caught.value.code == code


def test_every_cut_of_a_file_is_an_error(keras: Any, tmp_path: Path) -> None:
    whole = write_old(build(SMALL), tmp_path / "w.h5").read_bytes()
    model = build(SMALL)
    for size in range(0, len(whole), len(whole) // 20):
        (tmp_path / "cut.h5").write_bytes(whole[:size])
        with pytest.raises(ChipfitError):
            load_weights(model, SMALL, tmp_path / "cut.h5")


def test_weights_by_name(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They come as a model of Keras; without a network it is said what to fetch."""
    source = random_model(SMALL)

    def fetch(_: Any, alpha: float, side: int) -> Any:
        assert (alpha, side) == (0.125, 128)
        return source

    def fail(_: Any, alpha: float, side: int) -> NoReturn:
        raise OSError("URL fetch failure on https://example.org/models/small.h5: None -- no network\nmore")

    for pretrained in (fetch, fail):
        changed = dataclasses.replace(BACKBONES["ds_cnn"], pretrained=pretrained)
        monkeypatch.setitem(module.BACKBONES, "ds_cnn", changed)
        if pretrained is fetch:
            model = build(SMALL)
            load_weights(model, SMALL, "imagenet")
            np.testing.assert_array_equal(backbone_weights(model)[0], backbone_weights(source)[0])
            continue
        with pytest.raises(ChipfitError, match=r"cannot fetch the weights 'small\.h5' of ds_cnn") as caught:
            load_weights(build(SMALL), SMALL, "imagenet")
        assert caught.value.code == "F001"
        assert "fetch https://example.org/models/small.h5 on a computer that can" in caught.value.hint


def test_weights_that_nobody_has(keras: Any) -> None:
    with pytest.raises(ChipfitError, match="ds_cnn was not pretrained"):
        load_weights(build(SMALL), SMALL, "imagenet")
    network = Network("mobilenet_v1", 0.125, 32, 32, 3)
    with pytest.raises(ChipfitError, match=r"mobilenet_v1 0.125, 32x32 RGB was not pretrained") as caught:
        load_weights(build(network), network, "imagenet")
    assert caught.value.code == "U001"


def test_the_tutorials_file(keras: Any, data_dir: Path) -> None:
    path = data_dir / "weights" / "mobilenet_2_5_224_tf_no_top.h5"
    if not path.is_file():
        pytest.skip("no pretrained weights there")
    network = Network("mobilenet_v1", 0.25, 32, 32, 3)
    assert load_weights(build(network), network, path).layers == 54
