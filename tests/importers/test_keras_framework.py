"""Without Keras, and with the backends that are there."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chipfit.errors import ChipfitError
from chipfit.importers import load_graph
from chipfit.importers.keras import framework


def _hide(monkeypatch: pytest.MonkeyPatch, *hidden: str) -> None:
    """Let packages be missing, and those that are loaded be not loaded."""
    real = importlib.util.find_spec
    monkeypatch.setattr(framework.importlib.util, "find_spec", lambda name: None if name in hidden else real(name))
    for name in [m for m in sys.modules if m == "keras"]:
        monkeypatch.delitem(sys.modules, name)


def test_without_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch, "keras")
    with pytest.raises(ChipfitError, match="package keras") as error:
        load_graph(b"\x89HDF\r\n\x1a\n" + bytes(64))
    assert error.value.code == "T001"
    assert "chipfit[keras]" in error.value.hint


class _Backends:
    """Stands for what would be installed."""

    def __init__(self, *names: str) -> None:
        self._names = ("keras", *names)

    def __call__(self, name: str) -> Any:
        return object() if name in self._names else None


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [
        (("tensorflow", "torch"), None),
        (("torch", "jax"), "torch"),
        (("jax",), "jax"),
    ],
)  # fmt: skip
def test_a_backend_that_is_there_is_chosen(
    installed: tuple[str, ...], chosen: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """None: Keras decides, as it would without chipfit. The environment is as before."""
    seen: list[str | None] = []

    class Keras:
        __version__ = "3.9.0"

    def imported(name: str) -> Any:
        seen.append(os.environ.get("KERAS_BACKEND"))
        return Keras

    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setattr(framework.importlib.util, "find_spec", _Backends(*installed))
    monkeypatch.setattr(framework.importlib, "import_module", imported)
    assert framework.import_keras() is Keras
    assert seen[0] == chosen
    assert "KERAS_BACKEND" not in os.environ


def test_a_backend_that_the_user_chose_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the configuration file of Keras, though TensorFlow is there."""
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(framework.importlib.util, "find_spec", _Backends("torch", "tensorflow"))
    seen: list[str | None] = []
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setattr(
        framework.importlib,
        "import_module",
        lambda name: seen.append(os.environ.get("KERAS_BACKEND")) or type("Keras", (), {"__version__": "3.1"}),
    )
    framework.import_keras()
    assert seen[0] is None


def test_without_any_backend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setattr(framework.importlib.util, "find_spec", _Backends())
    with pytest.raises(ChipfitError, match="no backend") as error:
        framework.import_keras()
    assert error.value.code == "T001"


def test_keras_2_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", type("Keras", (), {"__version__": "2.15.0"}))
    with pytest.raises(ChipfitError, match=r"Keras 2\.15\.0") as error:
        framework.import_keras()
    assert error.value.code == "T001"


def test_no_framework_is_loaded_with_chipfit() -> None:
    code = "import sys, chipfit.importers; print({'keras', 'tensorflow', 'torch', 'jax', 'h5py'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
