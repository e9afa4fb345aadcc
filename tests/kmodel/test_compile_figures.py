"""Beside the vendor's last compiler: less noise, no more nodes on the CPU, no larger files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit.k210 import convert_model
from chipfit.kmodel import load as load_kmodel
from chipfit.kmodel.compile.activation import fit, wanted
from chipfit.kmodel.compile.report import sqnr
from chipfit.kmodel.format.nodes import KpuConv2D
from chipfit.kmodel.format.v4 import KmodelV4
from chipfit.quantize import Preprocessing, Samples
from kmodel.files import k210_folder, real_files
from kmodel.old_scheme import old_table
from kmodel.test_activation_fit import looked_up, sigmoid

Array = np.ndarray[Any, Any]
PIXELS = Preprocessing(scale=1 / 255)
PAIRS = sorted(p for p in k210_folder().glob("golden/*.tflite") if p.with_suffix(".npz").is_file())
STEPS_PER_UNIT = 255 * 800.0
"""Of the sums of a layer with inputs from 0 to 1 and weights of about 0.3."""
CURVED = {"conv_bn_swish"}
"""Functions of which the old tables keep little."""
ADDS_ITS_BIAS = {"tconv3x3_s2"}
"""The old file is smaller because it leaves the bias out (and is wrong by that)."""


@real_files
@pytest.mark.parametrize("path", PAIRS, ids=lambda p: p.stem)
def test_beside_the_old_file(path: Path) -> None:
    model = chipfit.load(path)
    with np.load(path.with_suffix(".npz")) as arrays:
        codes, theirs = arrays["x"], arrays["ncc_out"]
    pixels = codes.transpose(0, 2, 3, 1)[:, None]
    samples = Samples((PIXELS.apply(pixels),), (PIXELS.range(1),), PIXELS)
    made = convert_model(model, samples, preprocessing=PIXELS)
    outputs = [model.run(x)[0] for x in samples.arrays[0]]
    wanted_ = np.stack([(y.transpose(0, 3, 1, 2) if y.ndim == 4 else y).ravel() for y in outputs])
    old_noise = sqnr(wanted_, theirs)
    noise = made.report.sqnr
    assert old_noise is not None
    assert noise is None or noise >= old_noise + (6.0 if path.stem in CURVED else 0.0)
    ours, old = load_kmodel(made.data), load_kmodel(path.with_suffix(".kmodel"))
    assert _on_cpu(ours.file) <= _on_cpu(old.file) or path.stem in ADDS_ITS_BIAS
    assert len(ours.data) <= len(old.data) * 1.02 or path.stem in ADDS_ITS_BIAS


def _on_cpu(file: object) -> int:
    assert isinstance(file, KmodelV4)
    return sum(not isinstance(node, KpuConv2D) for node in file.nodes)


@pytest.mark.parametrize(
    ("function", "low", "high"),
    [
        (lambda x: np.where(x > 0, x, 0.1 * x), -3.0, 3.0),
        (lambda x: np.where(x > 0, x, 0.3 * x), -4.0, 2.0),
        (sigmoid, -3.0, 3.0),
        (sigmoid, -1.0, 4.0),
        (lambda x: x * sigmoid(x), -1.2, 1.3),
        (lambda x: x * sigmoid(x), -4.0, 4.0),
        (lambda x: x * sigmoid(x), -8.0, 8.0),
    ],
)
def test_beside_the_old_tables(function: Callable[[Array], Array], low: float, high: float) -> None:
    """6 dB more than the old scheme, or all but 0.6 dB of what bytes allow."""
    middle, spread = (low + high) / 2, (high - low) / 6
    sums = np.random.default_rng(0).normal(middle, spread, 10_000)
    sums = sums[(sums > low) & (sums < high)]
    z = function(np.linspace(low, high, 1001))
    least, most = min(float(z.min()), 0.0), max(float(z.max()), 0.0)
    scale = 255.0 / (most - least)
    zero = round(-least * scale)

    def noise(codes: Array) -> float:
        found = sqnr(function(sums), (codes - zero) / scale)
        assert found is not None
        return found

    table, t_scale = old_table(function, low, high, STEPS_PER_UNIT, scale, zero)
    old = noise(looked_up(table, np.floor(sums * t_scale).astype(np.int64)))
    units = 2.0**10 * scale
    ours = fit(
        wanted(
            lambda x: function(x) * scale + zero,
            units,
            low,
            high,
            (4 * low, 4 * high),
            lambda x: 2.4 * np.exp(-0.5 * ((x - middle) / spread) ** 2),
        )
    )
    new = noise(looked_up(ours.table, np.floor(sums * units).astype(np.int64)))
    bytes_alone = noise(np.clip(np.rint(function(sums) * scale + zero), 0, 255))
    assert new >= min(old + 6.0, bytes_alone - 0.6)
