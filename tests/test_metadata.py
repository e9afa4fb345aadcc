"""What files say besides the network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit.exporters import to_tflite
from chipfit.metadata import METADATA, Facts, facts_of
from chipfit.quantize import Preprocessing

DEMO = Path(chipfit.__file__).parent / "demo" / "digits_f32.tflite"
FACTS = Facts(preprocessing=Preprocessing(scale=1 / 127.5, mean=(1.0,)), labels=("Käse", "random"))


def _with(metadata: dict[str, bytes]) -> chipfit.Model:
    return chipfit.load(to_tflite(chipfit.load(DEMO).graph, metadata), name="digits")


def test_facts_survive_a_file() -> None:
    assert facts_of(_with(FACTS.attached())) == FACTS


def test_a_file_without_facts_says_nothing() -> None:
    assert facts_of(_with({})) == Facts()


def test_facts_go_on_into_the_quantized_file() -> None:
    pictures = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)
    made = chipfit.quantize_model(_with(FACTS.attached()), pictures)
    assert facts_of(chipfit.load(made.tflite())) == replace(FACTS, recipe="int8")


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"recipe": null}', '{"recipe": null, "preprocessing": {"scale": 0.0}}',
     '{"recipe": null, "preprocessing": null, "labels": [1]}', '{"recipe": null, "preprocessing": null, "labels": 3}'],
)  # fmt: skip
def test_damaged_facts_are_an_error(text: str) -> None:
    with pytest.raises(chipfit.ChipfitError) as caught:
        facts_of(_with({METADATA: text.encode()}))
    assert caught.value.code == "F003"


def test_files_without_labels_are_read() -> None:
    older = json.dumps({"recipe": "int8", "preprocessing": None}).encode()
    assert facts_of(_with({METADATA: older})) == Facts("int8")
