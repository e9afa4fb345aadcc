"""Pretrained weights for a backbone: from a file or by name, found by layer name, held against the layers' shapes."""

from __future__ import annotations

import io
import re
import socket
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.importers import read_file
from chipfit.importers._quiet import quiet
from chipfit.importers.keras.framework import import_h5py, import_keras
from chipfit.training.backbones import BACKBONES, HEAD, Network, backbone, build

IMAGENET = "imagenet"
"""The name of weights that Keras fetches."""

_ARCHIVED = "model.weights.h5"
_SIDES = (128, 160, 192, 224)
"""Sides in pixels that MobileNetV1 was pretrained with; V2 with 96, too."""
_ALPHAS = (0.125, 0.25, 0.35, 0.5, 0.75, 1.0)
"""Width multipliers that are tried to tell which one a file is of."""
_SECONDS = 30
"""Without an answer for so long, a download fails."""

_VARIABLE = re.compile(r"^depthwise_(?=kernel)|:\d+$")
"""What older versions of Keras add to a variable's name."""
_URL = re.compile(r"https?://[^\s:]+")

Layers = dict[str, dict[str, Array]]
"""By normal layer name, then by the variable's name, or by its number in the order of Keras."""


@dataclass(frozen=True)
class Pretrained:
    """What was loaded. ``source``: file or name; ``layers``: how many have weights of it; ``note``: what was changed
    to make them fit; empty: nothing."""

    source: str
    layers: int
    note: str = ""


def load_weights(model: Any, network: Network, source: str | Path) -> Pretrained:
    """Put weights into the backbone of a model that :func:`~chipfit.training.backbones.build` made.

    ``source``: ``imagenet``, or an ``.h5``, ``.weights.h5`` or ``.keras`` file. Weights for colour fit a grey network:
    its first layer sums over the colours. All layers get theirs or none does.
    Raises ChipfitError F001 or F003 (a file that cannot be read), N002 (weights of another network), T001 (without
    h5py), U001 (no such weights).
    """
    found = _downloaded(network) if str(source) == IMAGENET else _read(Path(source))
    layers = [layer for layer in model.layers if layer.weights and layer.name not in HEAD]
    missing = [layer.name for layer in layers if _normal(layer.name) not in found]
    if missing:
        raise _other_network(str(source), network, missing, len(layers), found)
    wanted = {layer.name: _arrays(layer, found[_normal(layer.name)]) for layer in layers}
    note = ""
    first = layers[0]
    if network.channels == 1 and wanted[first.name][0].shape[2:3] == (3,):
        wanted[first.name][0] = wanted[first.name][0].sum(axis=2, keepdims=True)
        note = f"weights for colour: those of '{first.name}' are summed over red, green and blue"
    for layer in layers:
        shapes = [tuple(v.shape) for v in layer.weights]
        if [a.shape for a in wanted[layer.name]] != shapes:
            raise _other_shape(str(source), network, layer, wanted[layer.name], found)
    for layer in layers:
        layer.set_weights(wanted[layer.name])
    return Pretrained(str(source), len(layers), note)


def _arrays(layer: Any, entry: Mapping[str, Array]) -> list[Array]:
    """Those of a layer's variables that the file has, in the layer's order."""
    names = [(str(variable.name), str(i)) for i, variable in enumerate(layer.weights)]
    return [entry[key] for name, number in names for key in (name, number) if key in entry]


# ---------------------------------------------------------------------------------------------- files


def _normal(name: str) -> str:
    """A layer's name as all versions of Keras would have it: older ones build names with slashes."""
    return name.lower().replace("/", "_").replace("batchnorm", "bn")


def _read(path: Path) -> Layers:
    h5py = import_h5py()
    data = read_file(path)
    try:
        if zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                data = archive.read(_ARCHIVED)
        with h5py.File(io.BytesIO(data), "r") as file:
            is_old = "model_weights" in file or "layer_names" in file.attrs
            return _by_name(file) if is_old else _by_number(h5py, file)
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        hint = "weights come as .h5, .weights.h5 or .keras files"
        raise ChipfitError("F003", f"'{path}' holds no weights of Keras: {error}", hint) from None


def _by_name(file: Any) -> Layers:
    """Files of Keras 1 and 2, ``.h5``: a group for each layer or model in a model, which lists its arrays by name."""
    found: Layers = {}
    for layer, group in file.get("model_weights", file).items():
        names = [n.decode() if isinstance(n, bytes) else str(n) for n in group.attrs.get("weight_names", ())]
        owners = {name.rpartition("/")[0] for name in names}
        for name in names:
            owner, _, variable = name.rpartition("/")
            of_layer = found.setdefault(_normal(layer if len(owners) == 1 else owner.rpartition("/")[2]), {})
            of_layer[_VARIABLE.sub("", variable)] = np.asarray(group[name])
            found.setdefault(_normal(owner), of_layer)
    return found


def _by_number(h5py: Any, file: Any) -> Layers:
    """Files of Keras 3, ``.weights.h5``: groups by class, which say the layer's name and hold numbered arrays."""
    found: Layers = {}

    def visit(_: str, group: Any) -> None:
        if isinstance(group, h5py.Group) and "name" in group.attrs:
            arrays = {key: np.asarray(item) for key, item in group.items() if isinstance(item, h5py.Dataset)}
            found.setdefault(_normal(str(group.attrs["name"])), arrays)

    file.visititems(visit)
    return found


# ---------------------------------------------------------------------------------------------- by name


def _downloaded(network: Network) -> Layers:
    keras = import_keras()
    pretrained = backbone(network.backbone).pretrained
    if pretrained is None:
        raise ChipfitError("U001", f"{network.backbone} was not pretrained", "leave --weights out, or name a file")
    side = next((s for s in _SIDES if s >= max(network.height, network.width)), _SIDES[-1])
    waiting = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS)
    try:
        with quiet():
            model = pretrained(keras, network.alpha, side)
    except ValueError as error:
        reason = str(error).strip().split("\n")[0]
        raise ChipfitError("U001", f"{network.title} was not pretrained: {reason}", "choose such an alpha") from None
    except Exception as error:  # whatever a network may do
        url = _URL.search(str(error))
        name = f" '{url[0].rpartition('/')[2]}'" if url else ""
        hint = f"fetch {url[0] if url else 'the file'} on a computer that can, and pass it: --weights FILE"
        reason = str(error).strip().split("\n")[0]
        raise ChipfitError("F001", f"cannot fetch the weights{name} of {network.title}: {reason}", hint) from None
    finally:
        socket.setdefaulttimeout(waiting)
    return {
        _normal(layer.name): {str(i): np.asarray(a) for i, a in enumerate(layer.get_weights())}
        for layer in model.layers
    }


# ---------------------------------------------------------------------------------------------- what does not fit


def _other_network(source: str, network: Network, missing: list[str], count: int, found: Layers) -> ChipfitError:
    """Weights lack layers: of which backbone are they?"""
    message = f"'{source}' has no weights for {len(missing)} of the {count} layers of {network.backbone}"
    shown = ", ".join(f"'{name}'" for name in missing[:3])
    message += f": {shown}{', ...' if len(missing) > 3 else ''}"
    for name in BACKBONES:
        other = build(replace(network, backbone=name, alpha=1.0, target="any"))
        if all(_normal(layer.name) in found for layer in other.layers if layer.weights and layer.name not in HEAD):
            return ChipfitError("N002", message, f"they are weights of {name}: --backbone {name}")
    known = ", ".join(f"'{name}'" for name in list(found)[:3])
    return ChipfitError("N002", message, f"its layers are {known}, ..." if known else "it has no layers at all")


def _other_shape(source: str, network: Network, layer: Any, arrays: list[Array], found: Layers) -> ChipfitError:
    """Weights have another shape: of which alpha, and for which pictures, are they?"""
    wanted = [tuple(v.shape) for v in layer.weights]
    at = next((i for i, (a, w) in enumerate(zip(arrays, wanted, strict=False)) if a.shape != w), 0)
    have = arrays[at].shape if at < len(arrays) else "nothing"
    message = f"'{source}' does not fit layer '{layer.name}': it has {have}, the network {wanted[at]}"
    for channels in (network.channels, 4 - network.channels):
        for alpha in backbone(network.backbone).alphas or _ALPHAS:
            other = replace(network, alpha=alpha, channels=channels)
            if _fits(build(other), found):
                return ChipfitError("N002", message, _difference(network, other))
    return ChipfitError("N002", message, f"it is of no alpha of {', '.join(map(str, _ALPHAS))}")


def _fits(model: Any, found: Layers) -> bool:
    layers = [layer for layer in model.layers if layer.weights and layer.name not in HEAD]
    return all(
        [a.shape for a in _arrays(layer, found[_normal(layer.name)])] == [tuple(v.shape) for v in layer.weights]
        for layer in layers
    )


def _difference(network: Network, other: Network) -> str:
    """What the file is of, and the options that the network would have to have."""
    said, options = [], []
    if other.alpha != network.alpha:
        said.append(f"of alpha {other.alpha:g}, the network of {network.alpha:g}")
        options.append(f"--alpha {other.alpha:g}")
    if other.channels != network.channels:
        grey = other.channels == 1
        said.append(f"for {'grey' if grey else 'colour'} pictures")
        options.append("--grey" if grey else "no --grey")
    return f"the file is {' and '.join(said)}: use {' and '.join(options)}"
