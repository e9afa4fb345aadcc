"""One compilation of a model for all tests here that want the same: they are about what is made of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chipfit.firmware import Firmware
from chipfit.graph.text import print_graph
from chipfit.model import Model
from chipfit.targets import Board

Compile = Callable[..., Firmware]


@pytest.fixture(scope="session")
def compile_once(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Stands for `Model.compile`. The folder that it is given is left as it is: the firmware lies in another one."""
    folder, known = tmp_path_factory.mktemp("firmware"), dict[Any, Firmware]()
    compile_model = Model.compile

    def compile_model_once(model: Model, board: Board, _: Path, **options: Any) -> Firmware:
        key = (print_graph(model.graph, data=True), board.name, board.memories, str(options))
        if key not in known:
            known[key] = compile_model(model, board, folder / str(len(known)), **options)
        return known[key]

    return compile_model_once


@pytest.fixture(autouse=True)
def compiled(compile_once: Compile, monkeypatch: pytest.MonkeyPatch) -> list[Firmware]:
    """What a test compiled."""
    own: list[Firmware] = []

    def compile_and_keep(*arguments: Any, **options: Any) -> Firmware:
        own.append(compile_once(*arguments, **options))
        return own[-1]

    monkeypatch.setattr(Model, "compile", compile_and_keep)
    return own
