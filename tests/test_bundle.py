"""Several models in one program: the same bytes as alone, one arena in turn, each its own state."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit.codegen import lower, share, source_files
from chipfit.demo import model_path
from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph
from chipfit.report.data import CompileSetReport
from chipfit.samples import save_set_outputs
from chipfit.targets import Memory, load_board
from codegen.models import running_sum, two_equal_layers
from codegen.programs import HOST_COMPILERS, STRICT, Compiler, build_and_run

CHIP = load_board("nucleo-l4r5zi")
COUNTS = (2, 5, 3)


@pytest.fixture(scope="module")
def models() -> list[chipfit.Model]:
    """A picture's model; two with state, of the same name."""
    return [chipfit.load(model_path("int8")), chipfit.Model(running_sum()), chipfit.Model(running_sum((1, -2, 3, -4)))]


@pytest.fixture(scope="module")
def chip(models: list[chipfit.Model], tmp_path_factory: pytest.TempPathFactory) -> chipfit.FirmwareSet:
    return chipfit.compile_models(models, CHIP, tmp_path_factory.mktemp("set") / "chip")


def assert_right(firmware: chipfit.FirmwareSet, models: list[chipfit.Model]) -> None:
    samples = [model.samples(n, seed=n) for model, n in zip(models, COUNTS, strict=True)]
    report = firmware.run(samples)
    for model, own, run in zip(models, samples, report.models, strict=True):
        assert [y.tobytes() for y in run.outputs] == [y.tobytes() for y in model.run_samples(own)]


def test_each_gives_its_own_bytes_though_they_take_turns(
    models: list[chipfit.Model], chip: chipfit.FirmwareSet, tmp_path: Path
) -> None:
    assert_right(chip, models)
    assert_right(chipfit.compile_models(models, "host", tmp_path / "host"), models)
    assert_right(chipfit.compile_models(models, "host", tmp_path / "apart", separate_arenas=True), models)


def test_in_two_memories(models: list[chipfit.Model], tmp_path: Path) -> None:
    arena = models[0].compile(CHIP, tmp_path / "one").report.ram.arena
    fast = Memory("fast", "ram", 0x2000_0000, 1024 + 512 + arena // 2, 0)
    board = dataclasses.replace(CHIP, memories=(CHIP.flash, fast, Memory("slow", "ram", 0x6000_0000, 8192, 2)))
    for separate in (False, True):
        firmware = chipfit.compile_models(
            models, board, tmp_path / f"{separate}", stack_bytes=1024, separate_arenas=separate
        )
        assert_right(firmware, models)
        assert all(m.used for m in firmware.report.memories)


def test_one_arena_is_as_large_as_the_largest(
    models: list[chipfit.Model], chip: chipfit.FirmwareSet, tmp_path: Path
) -> None:
    apart = chipfit.compile_models(models, CHIP, tmp_path / "apart", separate_arenas=True).report
    together = chip.report
    arenas = [model.ram.arena for model in together.models]
    assert arenas == [model.ram.arena for model in apart.models]
    assert (together.ram.arena, apart.ram.arena) == (max(arenas), sum(arenas))
    assert (together.arena_saved, apart.arena_saved) == (sum(arenas) - max(arenas), 0)
    assert together.ram.state == apart.ram.state == 8
    assert together.ram.total == together.ram.arena + 8 + 4096 + (together.ram.statics or 0)
    assert (apart.ram.total or 0) - (together.ram.total or 0) == pytest.approx(together.arena_saved, abs=16)
    assert (together.shares_arena, apart.shares_arena) == (True, False)
    assert CompileSetReport.from_json(json.loads(json.dumps(together.to_json()))) == together


def test_models_of_one_name_are_told_apart(chip: chipfit.FirmwareSet) -> None:
    assert chip.names == ["digits_int8", "running_sum", "running_sum_2"]
    samples = chip.models[2].inputs[0]
    assert samples.shape == (1, 4)


def test_no_model_is_called_like_the_set(tmp_path: Path) -> None:
    graphs = [two_equal_layers("models", *"abc"), two_equal_layers("models", *"abc")]
    firmware = chipfit.compile_models([chipfit.Model(g) for g in graphs], "host", tmp_path / "set")
    assert firmware.names == ["models_2", "models_3"]


def test_equal_constants_are_stored_once(tmp_path: Path) -> None:
    graphs = [two_equal_layers(name, *"abc") for name in ("first", "second")]
    names = ("first", "second")
    programs = [lower(graph, CHIP.core.features, name) for graph, name in zip(graphs, names, strict=True)]
    bundle = share(programs, arena=True)
    text = source_files(bundle, "none")["weights.c"]
    assert "second" not in text.partition("*/")[2]
    assert text.count("CF_ALIGNED") == len(programs[0].constants) == len(programs[1].constants)
    report = chipfit.compile_models([chipfit.Model(g) for g in graphs], CHIP, tmp_path / "set").report
    assert report.constants_saved == sum(p.bytes_of("weights") + p.bytes_of("table") for p in programs[1:])
    assert report.flash.weights == programs[0].bytes_of("weights")
    assert [model.flash.weights for model in report.models] == [programs[0].bytes_of("weights")] * 2


def test_instructions_are_those_of_each_model(models: list[chipfit.Model], chip: chipfit.FirmwareSet) -> None:
    samples = [model.samples(1) for model in models]
    run = chip.run(samples)
    alone = [chip.run([s if i == k else [] for i, s in enumerate(samples)]) for k in range(3)]
    assert [m.instructions for m in run.models] == [alone[k].models[k].instructions for k in range(3)]
    assert all(m.instructions for m in run.models)
    assert [m.instructions for m in alone[0].models][1:] == [None, None]
    assert run.stack_bytes
    assert [m.proof.split(":")[0] for m in run.models] == [f"chipfit {name}" for name in chip.names]


def test_samples_by_name(models: list[chipfit.Model], chip: chipfit.FirmwareSet) -> None:
    x: Array = models[1].samples(2)[1][0]
    report = chip.run({"running_sum": x})
    assert [m.samples for m in report.models] == [0, 1, 0]
    assert report.models[1].outputs[0].tobytes() == models[1].run(x)[0].tobytes()
    with pytest.raises(ChipfitError, match="there is no model 'sum'") as caught:
        chip.run({"sum": x})
    assert caught.value.code == "U001"
    with pytest.raises(ChipfitError, match="samples for 1 models, there are 3"):
        chip.run([x])


def test_outputs_are_saved_by_model(models: list[chipfit.Model], chip: chipfit.FirmwareSet, tmp_path: Path) -> None:
    report = chip.run([model.samples(1) for model in models])
    save_set_outputs(tmp_path / "out.npz", report)
    with np.load(tmp_path / "out.npz") as saved:
        assert sorted(saved.files) == ["digits_int8.probabilities", "running_sum.sum", "running_sum_2.sum"]


def test_folders_are_not_mistaken(models: list[chipfit.Model], chip: chipfit.FirmwareSet, tmp_path: Path) -> None:
    one = models[0].compile("host", tmp_path / "one")
    with pytest.raises(ChipfitError, match="holds several models") as caught:
        chipfit.Firmware.open(chip.folder)
    assert caught.value.code == "P002"
    assert "FirmwareSet.open" in caught.value.hint
    with pytest.raises(ChipfitError, match="holds one model"):
        chipfit.FirmwareSet.open(one.folder)
    assert chipfit.FirmwareSet.open(chip.folder).report == chip.report
    with pytest.raises(ChipfitError, match="one model alone"):
        chipfit.compile_models(models[:1], CHIP, tmp_path / "two")


def test_they_must_fit_together(models: list[chipfit.Model], tmp_path: Path) -> None:
    alone = models[0].compile(CHIP, tmp_path / "one", stack_bytes=512).report.ram.total or 0
    ram = dataclasses.replace(CHIP.ram, size=alone + 64)
    board = dataclasses.replace(CHIP, memories=(CHIP.flash, ram))
    chipfit.compile_models(models, board, tmp_path / "fits", stack_bytes=512)
    apart = [models[0], models[0]]
    with pytest.raises(ChipfitError, match="digits_int8 and digits_int8_2 do not fit") as caught:
        chipfit.compile_models(apart, board, tmp_path / "no", stack_bytes=512, separate_arenas=True)
    assert caught.value.code == "M001"
    chipfit.compile_models(apart, board, tmp_path / "shared", stack_bytes=512)


# ---------------------------------------------------------------------------------------------- what C sees


def write(folder: Path, graphs: list[Graph], *, arena: bool) -> None:
    names = [f"m{i}" for i in range(len(graphs))]
    bundle = share([lower(g, frozenset(), n) for g, n in zip(graphs, names, strict=True)], arena=arena)
    for path, text in source_files(bundle, "none").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("compiler", HOST_COMPILERS, ids=lambda c: c.name)
@pytest.mark.parametrize("arena", [True, False], ids=["shared", "separate"])
def test_memory_in_c(arena: bool, compiler: Compiler, tmp_path: Path) -> None:
    """Own blocks, refusals, and whether two models have the same bytes in use."""
    write(tmp_path, [running_sum(), chipfit.load(model_path("int8")).graph], arena=arena)
    refusals = """
    static uint32_t arena[MODELS_ARENA_BYTES / 4 + 1], state[1];
    void *blocks[M0_BLOCKS] = {arena, state};
    size_t bytes[M0_BLOCKS] = {sizeof arena, sizeof state};
    if (M0_BLOCKS != 2 || M0_MEMORY_1_BYTES != 4 || M0_ARENA_1_BYTES != 0) return 2;
    if (MODELS_ARENA_BYTES != M1_ARENA_BYTES) return 3;
    if (m0_init(&a, blocks, bytes) != 0 || a.memory[1] != (uint8_t *)state) return 4;
    bytes[1] = 3;
    if (m0_init(&a, blocks, bytes) != (int32_t)M0_MEMORY_1_BYTES) return 5;
    bytes[1] = 4;
    blocks[1] = NULL;
    if (m0_init(&a, blocks, bytes) != (int32_t)M0_MEMORY_1_BYTES) return 6;
    blocks[1] = (uint8_t *)state + 1;
    if (m0_init(&a, blocks, bytes) != -1) return 7;
"""
    main = f"""#include <stdio.h>
#include "model.h"
int main(void)
{{
    m0_t a;
    m1_t b;
{refusals if arena else ""}
    if (m0_init(&a, NULL, 0) != 0 || m1_init(&b, NULL, 0) != 0) return 8;
    uint8_t *first = (uint8_t *)m0_input_0(&a), *second = b.memory;
    int inside = first >= second && first < second + M1_ARENA_BYTES;
    for (int i = 0; i < 4; i++) m0_input_0(&a)[i] = 13;
    m0_run(&a);
    int sum = m0_output_0(&a)[0];
    for (int i = 0; i < (int)M1_INPUT_0_COUNT; i++) m1_input_0(&b)[i] = 127;
    m1_run(&b);
    for (int i = 0; i < 4; i++) m0_input_0(&a)[i] = 13;
    m0_run(&a);
    printf("%d %d %d\\n", inside, sum, m0_output_0(&a)[0]);
    return 0;
}}
"""
    files = [tmp_path / "model.c", tmp_path / "weights.c"]
    assert build_and_run(tmp_path, main, files, compiler=compiler) == f"{int(arena)} 13 23\n"
    macro = "MODELS_NO_STATIC_MEMORY" if arena else "M0_NO_STATIC_MEMORY"
    compiler.run(*STRICT, f"-D{macro}", "-c", tmp_path / "model.c", "-o", tmp_path / "model.o")
    found = (tmp_path / "model.o").read_bytes()
    assert b"models_arena" not in found
    assert b"m0_memory" not in found
