"""Doors of TensorFlow where it is not installed, or not meant."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

import chipfit
from chipfit.errors import ChipfitError
from chipfit.importers import tensorflow as door


def test_without_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(door.importlib.util, "find_spec", lambda name: None if name == "tensorflow" else real(name))
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ChipfitError, match="package tensorflow") as error:
        chipfit.load(tmp_path)
    assert error.value.code == "T001"
    assert 'pip install "chipfit[tensorflow]"' in error.value.hint


def test_a_signature_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match="is for SavedModels") as error:
        chipfit.load(tmp_path / "kws.tflite", signature="serving_default")
    assert error.value.code == "U001"


def test_objects_are_told_by_their_classes() -> None:
    class Module:
        __module__ = "tensorflow.python.module.module"

    class Own(Module):
        pass

    class Layer(Own):
        __module__ = "keras.src.layers.layer"

    assert door.is_tensorflow_object(Own())
    assert not door.is_tensorflow_object(Layer())
    assert not door.is_tensorflow_object("tensorflow")
