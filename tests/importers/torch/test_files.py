"""Files of PyTorch: .pt2 archives are read without torch.export.load, pickled ones refused; nothing in them runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit.errors import ChipfitError
from chipfit.importers import load_graph
from importers.torch.models import models
from importers.torch.nets import check, inputs_for, randomise, torch_or_skip

torch = torch_or_skip()
nn: Any = torch.nn
IMAGE = (1, 3, 8, 8)


class Net(nn.Module):
    """In-place operators, several outputs, a constant, weights that share memory, integers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.turned = nn.Parameter(torch.zeros(5, 4).t())
        self.register_buffer("places", torch.tensor([2, 0, 1]), persistent=False)

    def forward(self, image: Any, weight: Any) -> Any:
        x = self.relu(self.norm(self.conv(image)))
        x += torch.tensor([0.5])
        a, b = x.chunk(2, 1)
        y = x.mean((2, 3)) @ self.turned
        return {"halves": (a * weight, b), "scores": torch.nn.functional.gelu(y, approximate="tanh")[:, self.places]}


def saved(module: Any, *inputs: Any) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(module, inputs), buffer)
    return buffer.getvalue()


def net_and_inputs() -> tuple[Any, Any]:
    return randomise(torch, Net(), 1), inputs_for(torch, IMAGE, (1, 1, 1, 8))


def changed(data: bytes, change: Callable[[str, bytes], bytes | None]) -> bytes:
    """An archive whose files are replaced; None: left out."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            content = change(name.partition("/")[2], old.read(name))
            if content is not None:
                new.writestr(name, content)
    return buffer.getvalue()


def changed_json(data: bytes, change: Callable[[Any], Any], ending: str = "models/") -> bytes:
    def replace(name: str, content: bytes) -> bytes:
        if not (name.startswith(ending) and name.endswith(".json")):
            return content
        stored = json.loads(content)
        change(stored)
        return json.dumps(stored).encode()

    return changed(data, replace)


def test_an_archive(tmp_path: Path) -> None:
    net, inputs = net_and_inputs()
    graph = check(torch, net, *inputs, source=saved(net, *inputs))
    assert [v.name for v in graph.inputs] == ["image", "weight"]
    assert [v.name for v in graph.outputs] == ["halves_0", "halves_1", "scores"]
    assert "conv.weight" in {v.name for v in graph.values()}
    path = tmp_path / "eyes.pt2"
    torch.export.save(torch.export.export(net, inputs), path)
    model = chipfit.load(path)
    assert model.name == "eyes"
    assert any(v.name.startswith("norm") or v.name.startswith("relu") for v in model.graph.values())


@pytest.mark.parametrize("name", ["MobileNetV2", "Attention"])
def test_archives_of_networks(name: str) -> None:
    net, shape = models(torch)[name]
    randomise(torch, net, 1)
    inputs = inputs_for(torch, shape)
    from_file = check(torch, net, *inputs, source=saved(net, *inputs))
    from_module = check(torch, net, *inputs)
    assert [(n.op, n.name) for n in from_file.nodes] == [(n.op, n.name) for n in from_module.nodes]


# ---------------------------------------------------------------------------------------------- code in files


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def torch_saved(thing: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(thing, buffer, **options)
    return buffer.getvalue()


def scripted() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Conv2d(3, 4, 3), torch.zeros(IMAGE)), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("has_weights", [False, True])
def test_pickled_files_are_refused(is_old: bool, has_weights: bool, tmp_path: Path) -> None:
    bomb = tmp_path / "exploded"
    thing = nn.Conv2d(3, 4, 3).state_dict() if has_weights else {"net": Bomb(bomb)}
    data = torch_saved(thing, _use_new_zipfile_serialization=not is_old)
    path = tmp_path / "model.pt2"  # the name says nothing
    path.write_bytes(data)
    with pytest.raises(ChipfitError, match="pickled objects") as error:
        chipfit.load(path)
    assert error.value.code == "F002"
    assert "example_inputs" in error.value.hint
    assert not bomb.exists()


@pytest.mark.filterwarnings("ignore")
def test_torchscript_is_refused() -> None:
    with pytest.raises(ChipfitError, match="TorchScript") as error:
        load_graph(scripted())
    assert "example_inputs" in error.value.hint


def test_pickled_parts_of_an_archive_are_not_read(tmp_path: Path) -> None:
    """Example inputs are ignored; a weight that is pickled is refused, and not unpickled either."""
    net, inputs = net_and_inputs()
    data = saved(net, *inputs)
    bomb = tmp_path / "exploded"
    poison = torch_saved({"x": Bomb(bomb)})
    assert any("sample_inputs" in n for n in zipfile.ZipFile(io.BytesIO(data)).namelist())
    load_graph(changed(data, lambda name, content: poison if "sample_inputs" in name else content))
    assert not bomb.exists()

    files: list[str] = []

    def say_so(config: Any) -> None:
        config["config"]["conv.weight"]["use_pickle"] = True
        files.append(f"data/weights/{config['config']['conv.weight']['path_name']}")

    bad = changed_json(data, say_so, "data/weights/")
    bad = changed(bad, lambda name, content: poison if name in files else content)
    with pytest.raises(ChipfitError, match=r"'conv.weight' \(weights\) cannot be read") as error:
        load_graph(bad)
    assert "pickled" in error.value.hint
    assert not bomb.exists()


TARGETS = (
    "torch.os.mkdir",
    "torch.load",
    "torch.ops.aten.from_file.default",
    "torch.ops.quantized.linear.default",
    "_operator.add",
    "builtins.eval",
    "torch.ops.aten.conv2d.nothing",
    "torch.ops.aten.__class__.default",
)


@pytest.mark.parametrize("target", TARGETS)
def test_only_operators_of_aten_are_called(target: str, tmp_path: Path) -> None:
    net, inputs = net_and_inputs()
    bomb = tmp_path / "exploded"

    def change(model: Any) -> None:
        node = model["graph_module"]["graph"]["nodes"][0]
        node["target"] = target
        node["inputs"] = [{"name": "path", "arg": {"as_string": str(bomb)}, "kind": 1}]

    with pytest.raises(ChipfitError):
        load_graph(changed_json(saved(net, *inputs), change))
    assert not bomb.exists()


@pytest.mark.parametrize("place", ["input", "keyword", "weight"])
def test_names_are_no_code(place: str, tmp_path: Path) -> None:
    """torch writes names into the code of a module."""
    net, inputs = net_and_inputs()
    bomb = tmp_path / "exploded"
    evil = f"x=__import__('os').mkdir({str(bomb)!r})"
    text = json.dumps(evil)[1:-1]

    def replace(name: str, content: bytes) -> bytes:
        if name.startswith("models/"):
            if place == "input":
                return content.replace(b'"image"', f'"{text}"'.encode())
            if place == "weight":
                return content.replace(b'"conv.weight"', f'"{text}"'.encode())
            stored = json.loads(content)
            stored["graph_module"]["graph"]["nodes"][0]["inputs"][0] |= {"name": evil, "kind": 2}
            return json.dumps(stored).encode()
        return content.replace(b'"conv.weight"', f'"{text}"'.encode()) if place == "weight" else content

    with pytest.raises(ChipfitError) as error:
        load_graph(changed(saved(net, *inputs), replace))
    assert error.value.code == "F003"
    assert "the name" in error.value.message
    assert not bomb.exists()


def test_expressions_are_not_evaluated(tmp_path: Path) -> None:
    net, inputs = net_and_inputs()
    bomb = tmp_path / "exploded"

    def change(model: Any) -> None:
        expression = {"as_expr": {"expr_str": f"__import__('os').mkdir({str(bomb)!r})", "hint": None}}
        model["graph_module"]["graph"]["tensor_values"]["image"]["sizes"][0] = expression

    with pytest.raises(ChipfitError):
        load_graph(changed_json(saved(net, *inputs), change))
    assert not bomb.exists()


# ---------------------------------------------------------------------------------------------- damage


def test_other_versions_and_forms() -> None:
    net, inputs = net_and_inputs()
    data = saved(net, *inputs)
    with pytest.raises(ChipfitError, match="schema version 9, 8 is read") as error:
        load_graph(changed_json(data, lambda m: m["schema_version"].update(major=9)))
    assert error.value.code == "F004"
    with pytest.raises(ChipfitError, match="sizes that are not known"):
        load_graph(changed_json(data, lambda m: m.update(range_constraints={"s0": {"min_val": 1, "max_val": 4}})))
    old = io.BytesIO()
    with zipfile.ZipFile(old, "w") as archive:
        archive.writestr("archive/serialized_exported_program.json", "{}")
    with pytest.raises(ChipfitError, match="exported program of an old torch"):
        load_graph(old.getvalue())
    without = changed(data, lambda name, content: None if name.endswith("weights_config.json") else content)
    with pytest.raises(ChipfitError, match="stores its weights as pickled objects"):
        load_graph(without)


def test_a_model_that_keeps_state() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(1))

        def forward(self, x: Any) -> Any:
            self.count.add_(1)
            return x * self.count

    with pytest.raises(ChipfitError, match=r"'count': the model changes it when it runs"):
        load_graph(saved(Counter(), *inputs_for(torch, IMAGE)))


def test_damaged_archives() -> None:
    """Bytes of the graph, of the weights and of their descriptions changed at random: read, or a ChipfitError."""
    net = randomise(torch, nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), 1)
    data = saved(net, *inputs_for(torch, IMAGE))
    rng = np.random.default_rng(0)

    def damage(name: str, content: bytes) -> bytes:
        if not content or not name.startswith(("models/", "data/weights/")) or rng.integers(2):
            return content
        changed = bytearray(content)
        at = int(rng.integers(len(changed)))
        if rng.integers(2):
            del changed[at:]
        else:
            changed[at] = int(rng.integers(32, 127))
        return bytes(changed)

    codes: list[str] = []
    for _ in range(40):
        try:
            load_graph(changed(data, damage))
        except ChipfitError as error:
            codes.append(error.code)
    assert len(codes) > 10
    assert {code[0] for code in codes} <= {"F", "O"}
    for size in (10, 100, len(data) // 2):
        with pytest.raises(ChipfitError):
            load_graph(data[:size])


def test_pickles_of_other_things() -> None:
    with pytest.raises(ChipfitError, match="Python pickle"):
        load_graph(pickle.dumps({"a": 1}, protocol=2))
