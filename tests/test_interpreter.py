"""``chipfit.Interpreter`` in the place of LiteRT's."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit.demo import load_images, model_path
from chipfit.demo.run import quantized
from oracles import needs_litert


def interpreter(kind: Any = "int8") -> chipfit.Interpreter:
    made = chipfit.Interpreter(model_path=model_path(kind))
    made.allocate_tensors()
    return made


def litert(kind: Any) -> Any:
    made = import_module("ai_edge_litert.interpreter").Interpreter(model_path=str(model_path(kind)))
    made.allocate_tensors()
    return made


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
    return type(a) is type(b) and a == b


@needs_litert
@pytest.mark.parametrize("kind", ["int8", "float32"])
@pytest.mark.parametrize("which", ["get_input_details", "get_output_details"])
def test_details_are_those_of_litert(kind: str, which: str) -> None:
    ours, theirs = (getattr(i, which)() for i in (interpreter(kind), litert(kind)))
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert our.keys() == their.keys()
        for key in their.keys() - {"index", "quantization_parameters"}:
            assert same(our[key], their[key]), key
        parameters = their["quantization_parameters"]
        parameters.pop("block_size", None)  # newer than TensorFlow's own dictionary
        assert our["quantization_parameters"].keys() == parameters.keys()
        for key in parameters:
            assert same(our["quantization_parameters"][key], parameters[key]), key


@needs_litert
def test_code_written_for_litert_runs_on_both() -> None:
    """The float model gives the same on both, within rounding: the same function is handed either interpreter."""
    images, _ = load_images()

    def predict(runner: Any) -> list[np.ndarray[Any, Any]]:
        given, made = runner.get_input_details()[0]["index"], runner.get_output_details()[0]["index"]
        results: list[np.ndarray[Any, Any]] = []
        for image in images[:10]:
            runner.set_tensor(given, image[np.newaxis])
            runner.invoke()
            results.append(runner.get_tensor(made))
        return results

    assert np.allclose(predict(interpreter("float32")), predict(litert("float32")), atol=1e-5)


def test_int8_is_the_reference() -> None:
    model = chipfit.load(model_path("int8"))
    runner = chipfit.Interpreter(model_content=model_path("int8").read_bytes())
    runner.allocate_tensors()
    runner.allocate_tensors()
    out = runner.get_output_details()[0]["index"]
    for image in quantized(load_images()[0][:10], model.inputs[0]):
        x = image[np.newaxis]
        runner.set_tensor(0, x)
        runner.invoke()
        assert runner.get_tensor(out).tobytes() == model.run(x)[0].tobytes()
        assert runner.get_tensor(0).tobytes() == x.tobytes()


def test_tensors_are_copies() -> None:
    runner = interpreter()
    x = np.full((1, 8, 8, 1), 7, np.int8)
    runner.set_tensor(0, x)
    x[:] = 0
    runner.get_tensor(0)[:] = 1
    assert (runner.get_tensor(0) == 7).all()
    runner.invoke()
    first = runner.get_tensor(1)
    kept = first.copy()
    first[:] = 0
    assert (runner.get_tensor(1) == kept).all()


def test_two_interpreters_do_not_meet() -> None:
    a, b = interpreter(), interpreter()
    rng = np.random.default_rng(0)
    x, y = (rng.integers(-128, 128, (1, 8, 8, 1), dtype=np.int8) for _ in range(2))
    a.set_tensor(0, x)
    b.set_tensor(0, y)
    a.invoke()
    first = a.get_tensor(1)
    b.invoke()
    a.invoke()
    assert (a.get_tensor(1) == first).all()
    assert a.get_tensor(0).tobytes() == x.tobytes()


def test_state_goes_on_until_it_is_reset(models_dir: Path) -> None:
    path = models_dir / "esphome_okay_nabu_v2_stream.tflite"
    model, runner = chipfit.load(path), chipfit.Interpreter(model_path=str(path))
    runner.allocate_tensors()
    frames = model.samples(12, seed=4)
    expected = model.run_samples(frames)[0]

    def run() -> bytes:
        results: list[bytes] = []
        for (frame,) in frames:
            runner.set_tensor(0, frame)
            runner.invoke()
            results.append(runner.get_tensor(1).tobytes())
        return b"".join(results)

    assert run() == expected.tobytes()
    went_on = run()
    runner.reset_all_variables()
    assert run() == expected.tobytes()
    assert went_on != expected.tobytes()


WRONG: list[tuple[Callable[[chipfit.Interpreter], object], str]] = [
    (lambda i: i.set_tensor(0, np.zeros((1, 8, 8), np.int8)), "I001"),
    (lambda i: i.set_tensor(0, np.zeros((1, 8, 8, 1), np.float32)), "I002"),
    (lambda i: i.set_tensor(1, np.zeros((1, 10), np.int8)), "U001"),
    (lambda i: i.set_tensor(-1, np.zeros((1, 10), np.int8)), "U001"),
    (lambda i: i.get_tensor(2), "U001"),
    (lambda i: i.get_tensor(-1), "U001"),
]


@pytest.mark.parametrize(("call", "code"), WRONG)
def test_wrong_calls(call: Callable[[chipfit.Interpreter], object], code: str) -> None:
    runner = chipfit.Interpreter(model_path=model_path("int8"))
    with pytest.raises(chipfit.ChipfitError) as caught:
        call(runner)
    assert caught.value.code == code


def test_calls_in_the_wrong_order() -> None:
    runner = chipfit.Interpreter(model_path=model_path("int8"))
    for call in (runner.invoke, runner.reset_all_variables):
        with pytest.raises(chipfit.ChipfitError, match="before allocate_tensors") as caught:
            call()
        assert caught.value.code == "U001"
    for path, content in ((None, None), ("x", b"x")):
        with pytest.raises(chipfit.ChipfitError, match="either") as caught:
            chipfit.Interpreter(path, content)
        assert caught.value.code == "U001"
    with pytest.raises(chipfit.ChipfitError) as caught:
        chipfit.Interpreter(model_path="nowhere.tflite")
    assert caught.value.code == "F001"
