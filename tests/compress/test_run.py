"""Compressions from one end to the other, and the folders that they leave."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chipfit.compress import Cluster, CompressReport, Prune, Request, Sparsify, analyze, compress, open_subject
from chipfit.compress.channels import costs
from chipfit.compress.channels import prune as pruning
from chipfit.compress.channels.costs import work
from chipfit.compress.channels.report import PruneDetails
from chipfit.compress.channels.structure import Structure
from chipfit.compress.run import Method, compress_or_resume
from chipfit.compress.weights import distinct
from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.graph import Node
from chipfit.model import load
from chipfit.quantize import Preprocessing
from chipfit.quantize.layers import LAYERS
from chipfit.report.text import to_text
from chipfit.report.text_compress import compress_text, sensitivity_text
from chipfit.targets import load_board
from chipfit.trainable.tune import TuneSettings
from importers.keras_nets import keras_or_skip
from quantize.nets import mobile, pictures

BOARD = load_board("arduino-nano-33-ble")
QUICK = TuneSettings(epochs=1, augment="none", batch=64)


@pytest.fixture(autouse=True)
def _no_compiler(uncompiled: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instructions of layers are estimated by their work."""

    def counted(structure: Structure, *others: object) -> dict[Node, float]:
        return {node: work(node) for node in structure.graph.nodes}

    monkeypatch.setattr(costs, "_counted", counted)


def _run(method: Method, net: Path, data: Path | None, out: Path, resume: bool = False) -> CompressReport:
    return compress(Request(net, out, BOARD, data, resume=resume), method)


def test_budgets_are_kept(net: Path, labelled: Path, tmp_path: Path) -> None:
    method = Prune({"macs": "0.5", "flash": "0.9"}, stages=2, tuning=None)
    report = _run(method, net, labelled, tmp_path / "out")
    before, after = report.before, report.after
    assert before is not None
    assert after is not None
    assert after.macs <= 0.5 * before.macs
    assert before.board is not None
    assert after.board is not None
    assert after.board.flash <= 0.9 * before.board.flash
    assert isinstance(report.details, PruneDetails)
    assert len(report.details.stages) == 2
    model = load(tmp_path / "out" / "net.tflite")
    assert model.macs == after.macs
    # numbers of channels that were multiples of 4 are some still
    assert all(g.after % 4 == 0 for g in report.details.groups if g.before % 4 == 0)
    kept = json.loads((tmp_path / "out" / "run.json").read_text())
    assert kept["status"] == "finished"
    assert kept["details"]["schema"] == "chipfit.compress_prune"
    assert not list((tmp_path / "out").glob("state-*"))
    text = to_text(compress_text(report, 100))
    assert "multiply-accumulates" in text
    assert "pointwise" in text


def test_what_is_left_learns(net: Path, labelled: Path, tmp_path: Path) -> None:
    keras_or_skip()
    report = _run(Prune({"macs": "0.6"}, stages=1, tuning=QUICK), net, labelled, tmp_path / "out")
    assert len(report.history) == 1
    assert report.versions
    assert "curves.png" in report.files


def test_a_run_is_gone_on_with(net: Path, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an interrupted run has done is not done again, and ends in the same network."""
    method = Prune({"macs": "0.5"}, stages=2, tuning=None)
    whole = _run(method, net, labelled, tmp_path / "whole")
    real = pruning.without_refitted
    calls: list[int] = []

    def stops(*args: object) -> object:
        calls.append(len(calls))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(pruning, "without_refitted", stops)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        _run(method, net, labelled, out)
    assert json.loads((out / "run.json").read_text())["status"] == "interrupted"
    with pytest.raises(ChipfitError, match="P001"):
        _run(method, net, labelled, out)
    with pytest.raises(ChipfitError, match="N003"):
        _run(replace(method, stages=3), net, labelled, out, resume=True)
    again = _run(method, net, labelled, out, resume=True)
    assert len(calls) == 3
    assert isinstance(again.details, PruneDetails)
    assert again.details.groups == whole.details.groups
    assert (out / "net.tflite").read_bytes() == (tmp_path / "whole" / "net.tflite").read_bytes()
    with pytest.raises(ChipfitError, match="finished"):
        _run(method, net, labelled, out, resume=True)
    # by the same call each time: what is finished stays, and another method is refused
    assert compress_or_resume(Request(net, out, BOARD, labelled), method)["status"] == "finished"
    assert len(calls) == 3
    with pytest.raises(ChipfitError, match="was made by: chipfit compress prune"):
        compress_or_resume(Request(net, out, BOARD, labelled), replace(method, stages=3))


def test_without_labels_nothing_learns(net: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", pictures(np.random.default_rng(3), 60)[:, 0])
    report = _run(Prune({"instructions": "0.7"}, tuning=QUICK), net, tmp_path / "x.npy", tmp_path / "out")
    assert report.before is not None
    assert report.before.accuracy is None
    assert "no data with labels" in report.notes[0]
    assert report.settings is None
    assert ((report.after and report.after.agreement) or 0) > 0.6


def test_nobody_says_how_pixels_become_inputs(tmp_path: Path) -> None:
    """A file that does not say it gets them as they are, and the report says so."""
    net, rng = tmp_path / "net.tflite", np.random.default_rng(0)
    net.write_bytes(to_tflite(mobile(rng, side=32)))
    for i in range(50):
        file = tmp_path / "pictures" / f"class{i % 5}" / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(file)
    request = Request(net, tmp_path / "silent", BOARD, tmp_path / "pictures")
    (note,) = compress(request, Cluster(8)).notes
    assert "from 0 to 255" in note
    said = replace(request, out=tmp_path / "said", preprocessing=Preprocessing("stretch", scale=1 / 255))
    assert not compress(said, Cluster(8)).notes


def test_methods_follow_each_other(net: Path, labelled: Path, tmp_path: Path) -> None:
    first = _run(Prune({"macs": "0.6"}, stages=1, tuning=None), net, labelled, tmp_path / "first")
    report = _run(Cluster(8), tmp_path / "first", None, tmp_path / "second")
    assert report.applied == ("prune", "cluster")
    assert report.judged == first.judged > 30
    int8 = load(tmp_path / "second" / "net_int8.tflite").graph
    assert all(different <= 8 for _, different, _ in distinct(int8).values())
    assert report.after is not None
    assert report.after.compressed is not None
    assert "--compress-weights" in to_text(compress_text(report, 200), 200)


def test_clusters_learn(net: Path, labelled: Path, tmp_path: Path) -> None:
    keras_or_skip()
    report = _run(Cluster(4, QUICK), net, labelled, tmp_path / "out")
    int8 = load(tmp_path / "out" / "net_int8.tflite").graph
    assert all(different <= 4 for _, different, _ in distinct(int8).values())
    floats = load(tmp_path / "out" / "net.tflite").graph
    assert len(report.history) == 1
    assert floats.nodes


def test_zeros_stay_while_the_others_learn(net: Path, labelled: Path, tmp_path: Path) -> None:
    keras_or_skip()
    _run(Sparsify(0.6, tuning=QUICK), net, labelled, tmp_path / "out")
    counts = distinct(load(tmp_path / "out" / "net_int8.tflite").graph)
    shares = {name: zeros / size for name, (size, _, zeros) in counts.items()}
    assert all(share == pytest.approx(0.6, abs=0.06) for name, share in shares.items() if "depthwise" not in name)
    assert next(share for name, share in shares.items() if "depthwise" in name) < 0.1


def test_few_weights_learn_in_integers(net: Path, labelled: Path, tmp_path: Path) -> None:
    """The values move, each layer keeps to so few, and the file is what was judged while it learned."""
    keras_or_skip()
    tuning = replace(QUICK, rate=2e-3)
    report = _run(Cluster(4, tuning, aware=True), net, labelled, tmp_path / "learned")
    _run(Cluster(4), net, labelled, tmp_path / "plain")
    learned, plain = (load(tmp_path / name / "net_int8.tflite").graph for name in ("learned", "plain"))
    assert all(different <= 4 for _, different, _ in distinct(learned).values())
    weights = [[n["w"].array for n in graph.nodes if isinstance(n.op, LAYERS)] for graph in (learned, plain)]
    assert any(set(np.unique(a)) != set(np.unique(b)) for a, b in zip(*weights, strict=True))
    assert report.after is not None
    assert [epoch.val_accuracy for epoch in report.history] == [report.after.int8_accuracy]


def test_zeros_stay_in_integers(net: Path, labelled: Path, tmp_path: Path) -> None:
    keras_or_skip()
    report = _run(Sparsify(None, "2:4", tuning=QUICK, aware=True), net, labelled, tmp_path / "out")
    counts = distinct(load(tmp_path / "out" / "net_int8.tflite").graph)
    shares = {name: zeros / size for name, (size, _, zeros) in counts.items() if "depthwise" not in name}
    assert all(share > 0.46 for share in shares.values())
    assert report.after is not None
    assert [epoch.val_accuracy for epoch in report.history] == [report.after.int8_accuracy]


def test_learning_in_integers_needs_epochs() -> None:
    for method in (Cluster, Sparsify):
        with pytest.raises(ChipfitError, match="U001"):
            method(aware=True)


def test_sensitivity_is_measured(net: Path, labelled: Path) -> None:
    found = analyze(open_subject(net, labelled))
    names = {p.group for p in found.points}
    assert names == {g.name for g in found.groups if len(g.tensors) and g.fixed < g.before}
    for name in names:
        mine = [p for p in found.points if p.group == name]
        assert mine[-1].loss > mine[0].loss - 0.05
    assert "measured" in to_text(sensitivity_text(found, 100))


@pytest.mark.parametrize(
    ("budget", "said"),
    [({"macs": "0"}, "no budget"), ({"flash": "much"}, "no budget"), ({}, "missing"), ({"macs": "0.0001"}, "N006")],
)
def test_budgets_that_are_none(budget: dict[str, str], said: str, net: Path, labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match=said):
        _run(Prune(budget, tuning=None), net, labelled, tmp_path / "out")


def test_models_of_integers_are_refused(net: Path, labelled: Path, tmp_path: Path) -> None:
    _run(Cluster(16), net, labelled, tmp_path / "out")
    with pytest.raises(ChipfitError, match="Q004"):
        open_subject(tmp_path / "out" / "net_int8.tflite", labelled)
