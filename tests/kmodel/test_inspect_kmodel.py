"""``chipfit inspect`` and ``chipfit run`` of kmodels and packages."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from chipfit.cli import app
from chipfit.errors import ChipfitError
from chipfit.kmodel import FlashFile, Kmodel, load, read_kfpkg, write_kfpkg
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.describe import describe, kpu_words
from chipfit.kmodel.format.layout import MapLayout
from chipfit.kmodel.format.read import write_kmodel
from chipfit.kmodel.format.registers import layer_registers
from chipfit.kmodel.format.shapes import output_shapes
from chipfit.kmodel.format.sidecar import Sidecar, TensorFacts, read_sidecar, sidecar_path, sidecar_text
from golden import check_golden
from kmodel.files import k210_folder, main, real_files, tiny_v3, tiny_v4
from kmodel.nodes import all_nodes

GOLDEN = Path(__file__).parent / "golden"


def cli(*words: object, columns: int = 170) -> Result:
    return CliRunner(env={"COLUMNS": str(columns), "NO_COLOR": "1"}).invoke(app, [str(w) for w in words])


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of version 4, in the working folder."""
    monkeypatch.chdir(tmp_path)
    path = Path("tiny.kmodel")
    path.write_bytes(write_kmodel(tiny_v4()))
    return path


@pytest.mark.parametrize("make", [tiny_v3, tiny_v4], ids=["v3", "v4"])
def test_text(make: Callable[[], object], file: Path, request: pytest.FixtureRequest) -> None:
    file.write_bytes(write_kmodel(make()))  # pyright: ignore[reportArgumentType]
    result = cli("inspect", file)
    assert result.exit_code == 0, result.output
    check_golden(request.config, GOLDEN / f"{make.__name__}.txt", result.stdout)


def test_known_by_content(file: Path) -> None:
    other = file.rename("model.tflite")
    assert json.loads(cli("inspect", other, "--json").stdout)["schema"] == "chipfit.kmodel"
    assert cli("run", other).exit_code == 0
    assert cli("inspect", other, "--plan").exit_code == 2
    assert cli("run", other, "-b", "maix-bit").exit_code == 2


def test_figures(file: Path) -> None:
    report = load(file).inspect()
    assert report.memory.main == 352
    assert report.memory.constants == 1024
    assert report.memory.kpu == (8 * 1 + 4 * 1) * 64  # three channels of 8x8 in one line of 8 rows; four of 4x4
    assert report.memory.working == 352 + file.stat().st_size
    assert report.weights == 4 * 27 + 16
    assert report.tables == 4 * 8 + 144
    assert (report.macs_kpu, report.macs_cpu) == (4 * 27 * 64, 256)
    assert report.outputs[0].shape == (1, 4, 1, 1)
    assert [node.unit for node in report.nodes] == ["KPU", "CPU", "CPU", "CPU"]
    assert {r.name: r.value for r in report.nodes[0].registers}["pool_type"] == 1
    assert report.nodes[1].registers == ()


@pytest.mark.parametrize(
    ("pool", "depthwise", "words"),
    [
        (1, False, "conv 3x3, 24 -> 32 channels, 40x30, then max pool 2x2"),
        (4, False, "conv 3x3, 24 -> 32 channels, 40x30, then mean pool 4x4"),
        (9, False, "conv 3x3, 24 -> 32 channels, 40x30, then max pool 2x2 stride 1"),
        (0, True, "depthwise 3x3, 24 channels, 40x30"),
        (5, False, "conv 3x3, 24 -> 32 channels, 40x30, every 2nd pixel"),
        (6, False, "conv 3x3, 24 -> 32 channels, 40x30, every 2nd pixel from column 1"),
        (7, False, "conv 3x3, 24 -> 32 channels, 40x30, every 4th pixel"),
    ],
)
def test_registers_in_words(pool: int, depthwise: bool, words: str) -> None:
    out = 24 if depthwise else 32
    source = MapLayout(24, 30, 40)
    registers = layer_registers(
        source=source, out_channels=out, kernel=3, src_line=0, dst_line=900, depthwise=depthwise, pool_type=pool
    )
    assert kpu_words(registers) == words


def test_every_opcode_has_words() -> None:
    model = replace(tiny_v4(), nodes=tuple(all_nodes(np.random.default_rng(1))))
    infos = describe(model)
    assert all(info.what or info.op in ("MemoryCopy", "TableLookup1D") for info in infos)
    assert all(info.reads and info.writes for info in infos)


def test_shapes_of_outputs() -> None:
    """A crop behind the KPU tells the shape, and a reshape that the file does not hold makes it unknown."""
    model = tiny_v4()
    assert [shape for _, shape in output_shapes(model)] == [(1, 4, 1, 1)]
    real = replace(model, outputs=(main(64, (64,)),))
    assert [shape for _, shape in output_shapes(real)] == [(1, 4, 4, 4)]
    assert [shape for _, shape in output_shapes(tiny_v3())] == [(4, 1, 1)]


@real_files
def test_shapes_of_a_detector() -> None:
    for version in (3, 4):
        model = load(k210_folder() / "models" / f"yolo20.v{version}.kmodel")
        assert [info.shape for info in model.outputs] == [(1, 125, 7, 10)]
        assert [info.dtype for info in model.outputs] == ["float32"]


def test_sidecar(file: Path) -> None:
    facts = Sidecar(
        (TensorFacts("image", (1, 3, 8, 8), "uint8", 1 / 255, 0),),
        (TensorFacts("classes", (1, 1, 1, 4), "float32"),),
        4,
        352,
        ("a", "b", "c", "d"),
    )
    sidecar_path(file).write_text(sidecar_text(facts))
    assert read_sidecar(file) == facts
    model = load(file)
    assert model.inputs[0].name == "image"
    assert model.inputs[0].scale == 1 / 255
    assert model.outputs[0].shape == (1, 1, 1, 4)
    assert "c: " in cli("run", file).stdout
    # facts of another model are left alone; a damaged file is named; one of another program is none
    other = replace(facts, outputs=(TensorFacts("classes", (1, 1, 1, 5), "float32"),))
    sidecar_path(file).write_text(sidecar_text(other))
    assert load(file).outputs[0].name == "y"
    sidecar_path(file).write_text(sidecar_text(facts)[:-40])
    with pytest.raises(ChipfitError, match="damaged"):
        load(file)
    sidecar_path(file).write_text('{"schema": "other"}')
    assert read_sidecar(file) is None


# ------------------------------------------------------------------------------------------------ runs


def test_run_with_every_kind_of_input(file: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (3, 3, 8, 8)).astype(np.uint8)
    folder = Path("inputs") / "deep"
    folder.mkdir(parents=True)
    (folder / "raw.bin").write_bytes(x[0].tobytes())
    image.fromarray(np.ascontiguousarray(x[1].transpose(1, 2, 0))).save(folder.parent / "picture.png")
    np.savez("three.npz", x=x, other=np.zeros(3))
    assert cli("run", file, "--input", "three.npz", "-o", "a").exit_code == 0
    assert cli("run", file, "--input", "inputs", "-o", "b").exit_code == 0
    assert cli("run", file, "--input", "inputs/picture.png", "-o", "c").exit_code == 0
    expected = [y.tobytes() for y in load(file).run(x).outputs[0]]
    assert [path.read_bytes() for path in sorted(Path("a").iterdir())] == expected
    assert Path("b/deep/raw.bin").read_bytes() == expected[0]
    assert Path("b/picture.bin").read_bytes() == expected[1]
    assert Path("c/picture.bin").read_bytes() == expected[1]


def test_all_results_are_written_or_none(file: Path) -> None:
    (Path("out") / "1.bin").mkdir(parents=True)
    result = cli("run", file, "--random", "2", "-o", "out")
    assert result.exit_code == 2
    assert "P003" in result.output
    assert [path.name for path in Path("out").iterdir()] == ["1.bin"]


def test_a_dump_that_breaks_off_leaves_no_part(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(path: Path, _: object) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("chipfit.kmodel.results.np.save", half)
    result = cli("run", file, "--dump", "layers")
    assert result.exit_code == 2
    assert "P003" in result.output
    assert not list(Path("layers/0").iterdir())


def test_dump(file: Path) -> None:
    assert cli("run", file, "--random", "2", "--dump", "layers").exit_code == 0
    names = ["000_KpuConv2D.npy", "001_Dequantize.npy", "002_MatMul.npy", "003_Softmax.npy"]
    assert sorted(str(p.relative_to("layers")) for p in Path("layers").rglob("*.npy")) == [
        f"{sample}/{name}" for sample in "01" for name in names
    ]
    codes, real = np.load("layers/1/000_KpuConv2D.npy"), np.load("layers/1/001_Dequantize.npy")
    assert codes.shape == (1, 4, 4, 4)
    assert np.allclose(real, (codes.ravel().astype(np.int64) - 3) / 20.0)


def test_run_report(file: Path) -> None:
    data = json.loads(cli("run", file, "--random", "2", "--seed", "5", "--json").stdout)
    assert data["schema"] == "chipfit.kmodel_run"
    model = load(file)
    run = model.run(model.samples(2, 5))
    assert [s["outputs"][0]["top"][0]["index"] for s in data["samples"]] == [int(y.argmax()) for y in run.outputs[0]]
    assert run.outputs[0].shape == (2, 1, 4, 1, 1)


def test_version_3_runs_on_the_command_line(file: Path) -> None:
    file.write_bytes(write_kmodel(tiny_v3()))
    result = cli("run", file, "--dump", "layers", "-o", "out")
    assert result.exit_code == 0, result.output
    assert Path("out/0.bin").stat().st_size == 16
    assert len(list(Path("layers/0").iterdir())) == 4


WRONG_INPUTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "short.bin": (lambda p: p.write_bytes(bytes(100)), "I001"),
    "empty": (lambda p: p.mkdir(), "Q001"),
    "text.png": (lambda p: p.write_text("no picture"), "Q002"),
    "float.npy": (lambda p: np.save(p, np.zeros((1, 3, 8, 8))), "I002"),
    "missing.bin": (lambda p: None, "I004"),
}


@pytest.mark.parametrize("name", list(WRONG_INPUTS))
def test_wrong_inputs(name: str, file: Path) -> None:
    make, code = WRONG_INPUTS[name]
    make(Path(name))
    result = cli("run", file, "--input", name)
    assert result.exit_code == 2
    assert f"error[{code}]" in result.stderr


def test_too_much_main_memory(file: Path) -> None:
    model = Kmodel("large", b"", replace(tiny_v4(), main_bytes=7 << 20))
    with pytest.raises(ChipfitError) as error:
        model.run(model.samples(1))
    assert error.value.code == "M001"


def test_too_much_work() -> None:
    """A model of the right size in memory that the chip itself would need minutes for."""
    shape = (1, 1, 1000, 1000)
    window = ((4000, 0), (4000, 0), 300, 300, 1, 1, 1, 1, 0.0, v4.NO_MIN, v4.NO_MAX)
    pool = v4.ReduceWindow2D(main(0, (1, 1, 1, 1)), main(0, shape), v4.ReduceOp.MAX, (1, 1, 1, 1), *window)
    model = Kmodel("slow", b"", replace(tiny_v4(), nodes=(pool,) * 2, main_bytes=5 << 20))
    with pytest.raises(ChipfitError) as error:
        model.run(model.samples(1))
    assert error.value.code == "F005"


# ------------------------------------------------------------------------------------------------ packages


def test_package(file: Path) -> None:
    firmware, other = FlashFile(0, "maixpy.bin", bytes(5000), True), b"LDMK\x05\0\0\0" + bytes(40)
    model, newer = FlashFile(0x300000, "tiny.kmodel", file.read_bytes()), FlashFile(0x400000, "5.kmodel", other)
    package = write_kfpkg([firmware, model, newer])
    assert package == write_kfpkg(read_kfpkg(package))
    path = Path("all.kfpkg")
    path.write_bytes(package)
    result = cli("inspect", path)
    assert result.exit_code == 0, result.output
    assert "0x300000" in result.stdout
    assert "made by nncase 1.x" in result.stdout
    data = json.loads(cli("inspect", path, "--json").stdout)
    assert [entry["kmodel"] is not None for entry in data["files"]] == [False, True, False]
    assert cli("run", path).exit_code == 1  # two kmodels
    path.write_bytes(write_kfpkg([firmware, model]))
    assert load(path).name == "tiny"
    assert cli("run", path).exit_code == 0


def test_hexadecimal_addresses() -> None:
    """As packages of others have them, which is no JSON."""
    import io
    import zipfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        text = '{"version": "0.1.0", "files": [{"address": 0x00300000, "bin": "a.bin", "sha256Prefix": false}]}'
        archive.writestr("flash-list.json", text)
        archive.writestr("a.bin", b"123")
    assert read_kfpkg(stream.getvalue()) == (FlashFile(0x300000, "a.bin", b"123"),)


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ([FlashFile(0x1000, "a", bytes(5000)), FlashFile(0x2000, "b", b"1")], "M001"),
        ([FlashFile(0xFFF000, "a", bytes(5000))], "M001"),
        ([FlashFile(0x1001, "a", b"1")], "O002"),
    ],
)
def test_packages_that_no_flash_holds(files: list[FlashFile], code: str) -> None:
    with pytest.raises(ChipfitError) as error:
        write_kfpkg(files)
    assert error.value.code == code
