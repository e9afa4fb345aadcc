"""``--weights compressed`` on the command line: what it saves and costs, as text and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from chipfit.exporters import to_tflite
from chipfit.ops import graph_of
from chipfit.ops.fully_connected import FullyConnected
from ops.int8_layers import int8_layer

Call = Callable[..., Result]
BOARD = "nucleo-l4r5zi"


@pytest.fixture(scope="module")
def few_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layer with 8,000 weights, 16 different ones."""
    codes = np.linspace(-127, 127, 16).round().astype(np.int8)
    w = codes[np.random.default_rng(0).integers(0, 16, (40, 200))]
    path = tmp_path_factory.mktemp("weights") / "few.tflite"
    path.write_bytes(to_tflite(replace(graph_of(int8_layer(FullyConnected(), (1, 200), w)), name="few")))
    return path


def test_text(cli: Call, few_weights: Path, tmp_path: Path) -> None:
    result = cli("compile", few_weights, "-b", BOARD, "--weights", "compressed", "-o", tmp_path / "out", columns=120)
    assert result.exit_code == 0, result.output
    assert "palette of 16" in result.stdout
    assert re.search(r"^weights +\d\.\d KiB instead of \d\.\d KiB: 5\d\.\d%$", result.stdout, re.MULTILINE)
    assert re.search(r"^flash .* instead of .*: -\d\d\.\d%$", result.stdout, re.MULTILINE)
    assert re.search(r"^instr\. .* instead of .*: \+\d+\.\d%$", result.stdout, re.MULTILINE)
    assert "the same bytes as with plain weights" in result.stdout
    assert "measured (emulator); 1 layer of 1 compressed" in result.stdout


def test_json(cli: Call, few_weights: Path, tmp_path: Path) -> None:
    words = ("compile", few_weights, "-b", BOARD, "--weights", "compressed", "-o", tmp_path / "out", "--json")
    data = json.loads(cli(*words).stdout)
    cost = data["weights_cost"]
    assert (data["weights"], cost["schema"], cost["version"]) == ("compressed", "chipfit.weights", 1)
    assert cost["same_outputs"] is True
    (layer,) = cost["layers"]
    assert layer["packing"] == data["layers"][0]["packing"]
    assert cost["compressed"]["weights"] == data["flash"]["weights"] < 0.6 * cost["plain"]["weights"]
    assert layer["instructions"] > layer["instructions_plain"] > 0


def test_nothing_to_compress(cli: Call, demo_model: Path, tmp_path: Path) -> None:
    result = cli("compile", demo_model, "-b", BOARD, "--weights", "compressed", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "No weights were compressed" in result.stdout


def test_verify(cli: Call, few_weights: Path) -> None:
    result = cli("verify", few_weights, "--weights", "compressed", "--random", "3", "--no-oracles", "--json")
    assert json.loads(result.stdout)["identical"] is True
