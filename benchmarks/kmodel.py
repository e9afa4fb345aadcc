"""Kmodels that chipfit makes beside those of the vendor's last compiler for version 4 (nncase 0.2.0-beta4), from the
same float models: writes the table of docs/k210-compile.md.

Files lie in the folder ``k210`` beside CHIPFIT_MODELS (default: ../shared/models beside the repository): pairs of
``.tflite`` and ``.kmodel`` in ``golden`` and ``models``, and for some the input and output of the vendor's own
inference (``.npz``). Both kmodels run in chipfit's simulator where there is none; noise is measured against the float
model, in dB. chipfit calibrates on the samples it is measured on; what the old files were calibrated on is not known.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from page import between_marks
from PIL import Image

import chipfit
from chipfit.k210 import Converted, convert_model
from chipfit.kmodel import Kmodel
from chipfit.kmodel import load as load_kmodel
from chipfit.kmodel.compile.report import sqnr
from chipfit.kmodel.format.nodes import KpuConv2D
from chipfit.kmodel.format.v4 import KmodelV4
from chipfit.model import Model
from chipfit.quantize import Preprocessing, Samples

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "k210-compile.md"
FOLDER = Path(os.environ.get("CHIPFIT_MODELS", ROOT.parent / "shared" / "models")).parent / "k210"
CENTRED = {"ulffd_landmark"}
"""Trained on pixel / 255 - 0.5; all others on pixel / 255."""


@dataclass(frozen=True)
class Side:
    """One kmodel. ``noise``: signal to noise, dB; ``cpu``: nodes that are no layer of the KPU."""

    noise: float | None
    cpu: int
    nodes: int
    size: int
    main: int


@dataclass(frozen=True)
class Figure:
    name: str
    ours: Side
    theirs: Side | None


def pairs() -> list[Path]:
    """The ``.tflite`` files, those of one layer first."""
    return sorted(FOLDER.glob("golden/*.tflite")) + sorted(FOLDER.glob("models/*.tflite"))


def figure(path: Path) -> Figure:
    model = chipfit.load(path)
    codes, theirs = _inputs(path, model)
    how = Preprocessing(scale=1 / 255, mean=(0.5 if path.stem in CENTRED else 0.0,))
    arrays = how.apply(codes) if codes.dtype == np.uint8 else codes
    value = model.graph.inputs[0]
    samples = Samples((arrays.reshape(len(codes), *value.shape),), (how.range(1),), how)
    wanted = np.stack([_flat(model.run(x)) for x in samples.arrays[0]])
    ours = convert_model(model, samples, preprocessing=how)
    side = _side(load_kmodel(ours.data), wanted, _ran(ours, codes, arrays))
    old = _old_file(path)
    if old is None:
        return Figure(path.stem, side, None)
    kmodel = load_kmodel(old)
    if theirs is None:
        theirs = _outputs(kmodel, codes.transpose(0, 3, 1, 2)[:, None])
    return Figure(path.stem, side, _side(kmodel, wanted, theirs))


def _inputs(path: Path, model: Model) -> tuple[np.ndarray, np.ndarray | None]:
    """Bytes (samples, h, w, c), or floats; and what the vendor's inference gave for them."""
    shape = model.graph.inputs[0].shape
    for name in (path.with_suffix(".npz"), FOLDER / "golden" / f"{path.stem}.v4.npz"):
        if name.is_file():
            with np.load(name) as arrays:
                x, out = arrays["x"], arrays.get("ncc_out")
            return (x.transpose(0, 2, 3, 1) if len(shape) == 4 else x), out
    if shape[3] == 3:
        picture = Image.open(FOLDER / "models" / "dog.bmp").convert("RGB").resize((shape[2], shape[1]))
        one = np.asarray(picture, np.uint8)
        return np.stack([one, one[:, ::-1]]), None
    return np.random.default_rng(0).integers(0, 256, (2, *shape[1:])).astype(np.uint8), None


def _ran(ours: Converted, codes: np.ndarray, arrays: np.ndarray) -> np.ndarray:
    """A kmodel that takes floats gets the very ones that the float model gets: others differ in the last bit."""
    kmodel = load_kmodel(ours.data)
    assert isinstance(kmodel.file, KmodelV4)
    if kmodel.file.inputs[0].dtype.name == "FLOAT32":
        return _outputs(kmodel, arrays.astype(np.float32))
    return _outputs(kmodel, codes.transpose(0, 3, 1, 2) if codes.ndim == 4 else codes)


def _outputs(kmodel: Kmodel, inputs: np.ndarray) -> np.ndarray:
    assert isinstance(kmodel.file, KmodelV4)
    x = inputs.reshape(len(inputs), *kmodel.file.input_shapes[0])
    return np.stack([np.concatenate([y.ravel() for y in s.outputs]) for s in kmodel.run(x).samples])


def _flat(outputs: tuple[np.ndarray, ...]) -> np.ndarray:
    return np.concatenate([(y.transpose(0, 3, 1, 2) if y.ndim == 4 else y).ravel() for y in outputs])


def _side(kmodel: Kmodel, wanted: np.ndarray, got: np.ndarray) -> Side:
    assert isinstance(kmodel.file, KmodelV4)
    nodes = kmodel.file.nodes
    cpu = sum(not isinstance(node, KpuConv2D) for node in nodes)
    return Side(sqnr(wanted, got.reshape(wanted.shape)), cpu, len(nodes), len(kmodel.data), kmodel.file.main_bytes)


def _old_file(path: Path) -> Path | None:
    names = (path.with_suffix(".kmodel"), path.with_suffix(".v4.kmodel"), path.with_name("small_v4.kmodel"))
    return next((n for n in names[: 3 if path.stem == "small" else 2] if n.is_file()), None)


def table(figures: list[Figure]) -> str:
    lines = [
        "| model | SQNR, dB | old | CPU nodes | old | file, bytes | old | working memory, bytes | old |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in figures:
        a, b = one.ours, one.theirs
        old = ["error"] * 4 if b is None else [_decibels(b.noise), str(b.cpu), f"{b.size:,}", f"{b.main:,}"]
        new = [_decibels(a.noise), str(a.cpu), f"{a.size:,}", f"{a.main:,}"]
        lines.append(f"| {one.name} | " + " | ".join(f"{n} | {o}" for n, o in zip(new, old, strict=True)) + " |")
    return "\n".join(lines)


def _decibels(noise: float | None) -> str:
    return "exact" if noise is None else f"{noise:.1f}"


def main() -> int:
    if not FOLDER.is_dir():
        print(f"there is no folder {FOLDER}: set CHIPFIT_MODELS", file=sys.stderr)
        return 1
    figures: list[Figure] = []
    for path in pairs():
        figures.append(figure(path))
        print(figures[-1])
    PAGE.write_text(between_marks(PAGE.read_text(), table(figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
