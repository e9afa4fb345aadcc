"""The pages of the command line say what is there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
from typer.testing import Result

from chipfit.catalog import ops_markdown, ops_report
from chipfit.cli import app
from chipfit.demo import model_path
from chipfit.exporters.tflite import to_tflite
from chipfit.importers.tflite.operators import OPERATORS
from chipfit.kmodel import FlashFile, write_kfpkg
from chipfit.kmodel.format.read import write_kmodel
from chipfit.npu import compile_with_vela
from chipfit.targets import load_board
from chipfit.training.backbones import Network, build
from importers.keras_nets import keras_or_skip
from kmodel.files import tiny_v4
from npu.nets import mean, with_float_ends
from quantize.nets import mobile, pictures
from streaming.windows import small_net
from training.photos import write_classes

Call = Callable[..., Result]
DOCS = Path(__file__).resolve().parents[2] / "docs"

COMMANDS = {
    "chipfit.inspect": ["inspect", "{model}"],
    "chipfit.compile": ["compile", "{model}", "-b", "stm32f746-disco", "-o", "{out}"],
    "chipfit.compile_set": ["compile", "{model}", "{model}", "-b", "stm32f746-disco", "-o", "{out}"],
    "chipfit.run": ["run", "{folder}"],
    "chipfit.run_set": ["run", "{set}"],
    "chipfit.verify": ["verify", "{model}", "--random", "1"],
    "chipfit.memory": ["memory", "{model}", "-b", "nucleo-l4r5zi", "--optimize", "ram"],
    "chipfit.stream": ["stream", "{window}", "-o", "{out}"],
    "chipfit.quantize": [
        *("quantize", "{float}", "--data", "{data}", "--explain", "--steps", "--samples", "8"),
        *("--recipe", "int8 -equalize", "--min-sqnr", "90", "--max-int16", "1"),
    ],
    "chipfit.quantize_set": ["quantize", "{float}", "--recipe", "float16", "--recipe", "dynamic"],
    "chipfit.train": [
        *("train", "{photos}", "--backbone", "ds_cnn", "--alpha", "0.125", "--size", "32", "--epochs", "1"),
        *("--weights", "{weights}", "--frozen-epochs", "0", "-o", "{out}"),
    ],
    "chipfit.evaluate": [
        *("evaluate", "{float_digits}", "{model}", "--data", "{digits}", "--scale", "1/16", "--labels", "{names}"),
        *("-b", "arduino-nano-33-ble"),
    ],
    "chipfit.project": [
        "project",
        "{model}",
        "-b",
        "nucleo-l4r5zi",
        "-f",
        "cmake",
        "-o",
        "{out}",
        *("--labels", "{names}"),
    ],
    "chipfit.check": ["check", "{float}"],
    "chipfit.npu_check": ["check", "{ends}", "-b", "corstone-300-u55-32", "--fix"],
    "chipfit.npu_compile": ["compile", "{ends}", "-b", "corstone-300-u55-32", "--fix", "-o", "{out}"],
    "chipfit.npu_inspect": ["inspect", "{stream}", "--trace"],
    "chipfit.npu_run": ["run", "{stream}", "--trace", "--dense", "single"],
    "chipfit.convert": ["convert", "{float}", "--data", "{data}", "-o", "{out}.kmodel"],
    "chipfit.rewrite": ["convert", "{float}", "-o", "{out}.tflite"],
    "chipfit.kmodel": ["inspect", "{kmodel}"],
    "chipfit.kfpkg": ["inspect", "{kfpkg}"],
    "chipfit.kmodel_run": ["run", "{kmodel}"],
    "chipfit.project_maixpy": ["project", "{kmodel}", "-b", "maix-bit", "-f", "maixpy", "-o", "{out}"],
    "chipfit.deploy": [
        *("deploy", "{float_digits}", "-b", "arduino-nano-33-ble", "--data", "{named_digits}", "--verify", "2"),
        *("-o", "{out}"),
    ],
    "chipfit.compress": ["compress", "cluster", "{float_digits}", "--data", "{named_digits}", "-o", "{out}"],
    "chipfit.sensitivity": ["compress", "sensitivity", "{float}", "--data", "{data}"],
    "chipfit.search": [
        *("search", "{space}", "-b", "arduino-nano-33-ble", "--data", "{photos}", "--trials", "1", "-o", "{out}"),
    ],
    "chipfit.compare": [
        *("compare", "{float_digits}", "{model}", "-b", "arduino-nano-33-ble", "--data", "{named_digits}"),
    ],
    "chipfit.flash": ["flash", "{folder}", "-b", "nucleo-h743zi", "-f", "zephyr", "--dry-run"],
    "chipfit.monitor": ["monitor", "--port", "{port}", "--seconds", "0.1"],
    "chipfit.bench": ["bench", "{model}", "-b", "arduino-nano-33-ble"],
    "chipfit.demo": ["demo"],
    "chipfit.board": ["board", "list"],
    "chipfit.op": ["op", "list"],
    "chipfit.doctor": ["doctor"],
    "chipfit.explain": ["explain"],
}


def keys(value: Any, path: str = "") -> Iterator[str]:
    """Paths of all keys as docs/json.md writes them; an empty array says nothing of its objects. A report in another
    one has a section of its own."""
    if isinstance(value, dict) and "schema" in value and path:
        yield path
    elif isinstance(value, dict):
        for name, item in value.items():  # pyright: ignore[reportUnknownVariableType]
            yield from keys(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):  # pyright: ignore[reportUnknownVariableType]
        for item in value:  # pyright: ignore[reportUnknownVariableType]
            yield from keys(item, f"{path}[]")
    else:
        yield f"{path}[]" if isinstance(value, list) else path


def printed(data: dict[str, Any]) -> set[str]:
    found = set(keys(data)) - {"schema", "version"}
    return {key for key in found if not any(other.startswith(f"{key}.") for other in found)}


def _serial_port() -> Path:
    """One without hardware."""
    pty = pytest.importorskip("pty")
    pytest.importorskip("serial", reason="serial ports are read with pyserial")
    return Path(os.ttyname(pty.openpty()[1]))


def _npu_files(folder: Path) -> dict[str, Path]:
    """A model with conversions at its ends, and a file of Vela with the same around its stream."""
    pytest.importorskip("ethosu", reason="the ethos-u-vela package is not installed")
    ends, stream = folder / "ends.tflite", folder / "ends_vela.tflite"
    ends.write_bytes(to_tflite(with_float_ends(mean(8))))
    npu = load_board("corstone-300-u55-32").npu
    assert npu is not None
    stream.write_bytes(compile_with_vela(ends.read_bytes(), npu).tflite)
    return {"ends": ends, "stream": stream}


def documented() -> dict[str, set[str]]:
    """Keys by schema. An object that may be null has a row of its own, which its keys make superfluous."""
    sections = re.split(r"^## ", (DOCS / "json.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    tables = {s.split("\n", 1)[0]: re.findall(r"^\| `([^`]+)` \|", s, re.MULTILINE) for s in sections}
    return {
        name: {row for row in rows if not any(other.startswith(f"{row}.") for other in rows)}
        for name, rows in tables.items()
    }


def write_training(folder: Path) -> None:
    """Pictures, one of them broken, and weights to begin with."""
    keras_or_skip()
    write_classes(folder / "photos", {"a": 5, "b": 5})
    (folder / "photos" / "a" / "broken.png").write_bytes(b"")
    build(Network("ds_cnn", 0.125, 32, 32)).save_weights(folder / "net.weights.h5")


def test_every_schema_is_documented() -> None:
    assert set(documented()) == set(COMMANDS)


@pytest.mark.parametrize("schema", list(COMMANDS))
def test_documented_keys_are_those_printed(
    schema: str, cli: Call, demo_model: Path, demo_folder: Path, tmp_path: Path
) -> None:
    together = tmp_path / "set"
    if schema == "chipfit.run_set":
        assert cli("compile", demo_model, demo_model, "-b", "nucleo-l4r5zi", "-o", together).exit_code == 0
    if schema in ("chipfit.train", "chipfit.search"):
        write_training(tmp_path)
    if schema == "chipfit.search":
        pytest.importorskip("optuna", reason="the optuna package is not installed")
        text = 'backbone = ["ds_cnn"]\nalpha = [0.125]\nsize = [32]\ncolour = ["grey"]\n[train]\nepochs = 1\n'
        (tmp_path / "space.toml").write_text(text, encoding="utf-8")
    window = tmp_path / "window.tflite"
    window.write_bytes(to_tflite(small_net()))
    net = mobile(np.random.default_rng(0))
    (tmp_path / "net.tflite").write_bytes(to_tflite(net))
    np.save(tmp_path / "net.npy", pictures(np.random.default_rng(1), 10))
    files = {"float": tmp_path / "net.tflite", "data": tmp_path / "net.npy"}
    (tmp_path / "names.txt").write_text("\n".join(map(str, range(10))))
    (tmp_path / "tiny.kmodel").write_bytes(write_kmodel(tiny_v4()))
    (tmp_path / "tiny.kfpkg").write_bytes(write_kfpkg([FlashFile(0x300000, "a", write_kmodel(tiny_v4()))]))
    with np.load(model_path("float32").with_name("digits_test.npz")) as kept:
        images = kept["images"].reshape(-1, 8, 8, 1).astype(np.float32) / 16
        np.savez(tmp_path / "digits.npz", image=images, labels=kept["labels"])
    files["named_digits"] = tmp_path / "digits.npz"
    if schema.startswith("chipfit.npu"):
        files |= _npu_files(tmp_path)
    if schema == "chipfit.monitor":
        files["port"] = _serial_port()
    places = files | {
        "kmodel": tmp_path / "tiny.kmodel",
        "kfpkg": tmp_path / "tiny.kfpkg",
        "float_digits": model_path("float32"),
        "digits": model_path("float32").with_name("digits_test.npz"),
        "names": tmp_path / "names.txt",
        "photos": tmp_path / "photos",
        "space": tmp_path / "space.toml",
        "weights": tmp_path / "net.weights.h5",
        "model": demo_model,
        "folder": demo_folder,
        "window": window,
        "out": tmp_path / "out",
        "set": together,
    }
    words = [w.format(**places) for w in COMMANDS[schema]]
    result = cli(*words, "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert (data["schema"], data["version"]) == (schema, 1)
    assert printed(data) == documented()[schema]


def test_keys_that_others_rely_on() -> None:
    tables = documented()
    assert {"flash.code", "flash.weights", "flash.tables", "flash.total"} <= tables["chipfit.compile"]
    assert {f"ram.{k}" for k in ("arena", "lower_bound", "scratch", "state", "total")} <= tables["chipfit.compile"]
    assert {"instructions", "instructions_per_mac", "macs", "stack_bytes"} <= tables["chipfit.run"]
    assert {f"layers[].{k}" for k in ("name", "op", "kernel", "instructions", "macs")} <= tables["chipfit.run"]
    assert {"samples", "identical", "against[]"} <= tables["chipfit.verify"]


def test_numbers_that_json_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    from chipfit.cli._console import show_json

    show_json({"a": [float("nan"), float("inf"), -float("inf"), 1.5]})
    assert json.loads(capsys.readouterr().out) == {"a": ["NaN", "Infinity", "-Infinity", 1.5]}


def test_ops_page_is_current(cli: Call) -> None:
    page = (DOCS / "ops.md").read_text(encoding="utf-8")
    assert page == ops_markdown(ops_report()), "run: chipfit op list --markdown > docs/ops.md"
    assert cli("op", "list", "--markdown").stdout == page


def test_ops_are_named_as_the_importer_names_them() -> None:
    named = [name for op in ops_report().ops for name in op.tflite]
    assert sorted([*named, "VAR_HANDLE", "CALL_ONCE"]) == sorted(OPERATORS)


def _commands(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def test_overview_names_every_command_and_option() -> None:
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    for name, command in _commands(typer.main.get_command(app), "chipfit"):
        rows = [line for line in page.splitlines() if line.startswith("| ") and f"`{name}" in line]
        assert rows, f"docs/cli.md does not name {name}"
        for option in (o for p in command.params for o in p.opts if o.startswith("--")):
            if option not in ("--json", "--help"):
                assert f"`{option}`" in rows[0] or (option == "--board" and "-b BOARD" in rows[0]), (
                    f"docs/cli.md: {name} lacks {option}"
                )
