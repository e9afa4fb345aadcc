"""What the door takes, how it names things, and all that it refuses, in one error."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np
import pytest

import chipfit
from chipfit.errors import ChipfitError
from chipfit.importers import load_graph
from importers.torch.nets import as_arrays, check, compare, inputs_for, outputs_of, randomise, torch_or_skip

torch = torch_or_skip()
nn: Any = torch.nn
F: Any = torch.nn.functional
IMAGE = (1, 3, 8, 8)


class Pair(NamedTuple):
    boxes: Any
    scores: Any


class Two(nn.Module):
    """Two inputs; outputs in containers of all kinds."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, image: Any, weight: Any, bias: Any = None) -> Any:
        y = self.conv(image)
        a, b = y * weight, y.mean((2, 3)) + (0 if bias is None else bias)
        found = {
            "tuple": (a, b),
            "list": [a],
            "dict": {"map": a, "parts": [b, a]},
            "named": Pair(a, b),
            "none": (a, None, {"mean": b}),
            "twice": (a, a, image),
        }
        return found[self.kind]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("tuple", ["output_0", "output_1"]),
        ("list", ["output"]),
        ("dict", ["map", "parts_0", "parts_1"]),
        ("named", ["boxes", "scores"]),
        ("none", ["output_0", "output_2_mean"]),
        ("twice", ["output_0", "output_1", "output_2"]),
    ],
)
def test_names_of_inputs_and_outputs(kind: str, names: list[str]) -> None:
    net = randomise(torch, Two(kind), 1)
    graph = check(torch, net, *inputs_for(torch, IMAGE, (1, 4, 1, 1)))
    assert [v.name for v in graph.inputs] == ["image", "weight"]
    assert [v.name for v in graph.outputs] == names


def test_inputs_by_name() -> None:
    net = randomise(torch, Two("tuple"), 1)
    image, weight, bias = inputs_for(torch, IMAGE, (1, 4, 1, 1), (4,))
    graph = load_graph(net, example_inputs={"image": image, "weight": weight, "bias": bias})
    assert [v.name for v in graph.inputs] == ["image", "weight", "bias"]
    found = chipfit.load(net, example_inputs={"image": image, "weight": weight, "bias": bias}).run(
        *as_arrays((image, weight, bias))
    )
    compare(["a", "b"], found, outputs_of(torch, net, (image, weight, bias)))


def test_one_tensor_and_a_name() -> None:
    model = chipfit.load(nn.Conv2d(3, 4, 3), name="eyes", example_inputs=torch.zeros(IMAGE))
    assert model.name == "eyes"
    assert model.source is None
    assert chipfit.load(nn.Conv2d(3, 4, 3), example_inputs=torch.zeros(IMAGE)).name == "Conv2d"


def test_the_module_stays_as_it_was() -> None:
    """Its mode, part by part, its statistics and gradients; what is imported is in evaluation mode all the same."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.9))
    randomise(torch, net, 1).train()
    net[1].eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    (x,) = inputs_for(torch, IMAGE)
    graph = load_graph(net, example_inputs=(x,))
    assert [part.training for part in net.modules()] == [True, True, False, True]
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert all(p.requires_grad for p in net.parameters())
    assert torch.is_grad_enabled()
    from chipfit.interpret import evaluate

    compare(["y"], evaluate(graph, as_arrays((x,))), outputs_of(torch, net.eval(), (x,)))


def test_a_shared_layer_has_one_set_of_weights() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Any) -> Any:
            return self.conv(self.conv(x))

    graph = check(torch, randomise(torch, Shared(), 1), *inputs_for(torch, IMAGE))
    first, second = (n for n in graph.nodes if n.op.name == "conv2d")
    assert first["w"].name == second["w"].name == "conv.weight"
    assert first["w"].data is second["w"].data


def test_exported_programs() -> None:
    net = randomise(torch, Two("dict"), 1)
    inputs = inputs_for(torch, IMAGE, (1, 4, 1, 1))
    graph = check(torch, net, *inputs, source=torch.export.export(net, inputs))
    assert [v.name for v in graph.outputs] == ["map", "parts_0", "parts_1"]
    decomposed = torch.export.export(net, inputs).run_decompositions()
    check(torch, net, *inputs, source=decomposed)


def test_programs_for_any_number_of_samples() -> None:
    net = randomise(torch, nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 5)), 1)
    many = torch.export.export(net, (torch.zeros(4, *IMAGE[1:]),), dynamic_shapes=({0: torch.export.Dim("n")},))
    check(torch, net, *inputs_for(torch, IMAGE), source=many)


def test_programs_of_other_sizes() -> None:
    net = randomise(torch, nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1)), 1)
    sizes = {2: torch.export.Dim("h", min=4), 3: torch.export.Dim("w", min=4)}
    program = torch.export.export(net, (torch.zeros(IMAGE),), dynamic_shapes=(sizes,))
    with pytest.raises(ChipfitError, match=r"input 'input' has the shape \[1, 3, .*sizes are not known") as error:
        load_graph(program)
    assert "example_inputs" in error.value.hint
    graph = load_graph(program, example_inputs=torch.zeros(1, 3, 12, 9))
    assert graph.inputs[0].shape == (1, 3, 12, 9)


# ---------------------------------------------------------------------------------------------- refusals


def test_all_problems_at_once() -> None:
    class Hard(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.volume = nn.Conv3d(1, 2, 3)
            self.pool = nn.AdaptiveAvgPool2d(3)
            self.fine = nn.ReLU()

        def forward(self, x: Any, y: Any, z: Any) -> Any:
            return self.fine(self.volume(x)), torch.topk(y, 2)[0], self.fine(self.pool(z)), torch.cumsum(z, 1)

    with pytest.raises(ChipfitError) as error:
        load_graph(Hard(), example_inputs=inputs_for(torch, (1, 1, 4, 4, 4), (6, 1, 4), IMAGE))
    assert error.value.code == "O001"
    lines = error.value.message.splitlines()
    assert lines[0] == "4 operators cannot be compiled:"
    assert "aten.conv3d 'volume' (float32[1,1,4,4,4])" in lines[1]
    assert "aten.topk 'topk' (float32[6,1,4])" in lines[2]
    assert "'pool' (float32[1,3,8,8]): windows of [8, 8] to [3, 3] differ in size" in lines[3]
    assert "aten.cumsum" in lines[4]
    assert "divides [8, 8]" in error.value.hint
    assert "triangular" in error.value.hint
    assert "sort in the application" in error.value.hint


class _Code(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("state", torch.zeros(3))
        self.norm = nn.BatchNorm2d(3, track_running_stats=False)

    def forward(self, x: Any) -> Any:
        return self.function(self, x)


def _stateful(m: Any, x: Any) -> Any:
    m.state.add_(1)
    return x + m.state[0]


REFUSED = {
    "state": (_stateful, "O002", "'state': the model changes it when it runs"),
    "random numbers": (lambda m, x: x + torch.rand(8), "O002", "it gives random numbers"),
    "branches": (lambda m, x: x if x.sum() > 0 else -x, "O002", "cannot be traced"),
    "own errors": (lambda m, x: 1 / 0, "O002", "cannot be traced: ZeroDivisionError: division by zero"),
    "statistics of the batch": (lambda m, x: m.norm(x), "O002", "statistics of the batch"),
    "places of maxima": (lambda m, x: F.max_pool2d(x, 2, return_indices=True)[1] + 1, "O002", "maxima of a pool"),
    "complex numbers": (lambda m, x: torch.fft.fft(x).real, "O001", "fft"),
    "masks that pick": (lambda m, x: x[x > 0], "O002", "as many elements as a mask says"),
    "bits": (lambda m, x: (x.int() & 3).float(), "O002", "bits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_code(name: str) -> None:
    function, code, words = REFUSED[name]
    with pytest.raises(ChipfitError, match=words) as error:
        load_graph(_Code(function), example_inputs=inputs_for(torch, IMAGE))
    assert error.value.code.startswith(code)
    assert error.value.hint


def test_a_program_in_training_mode() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
    program = torch.export.export(net.train(), inputs_for(torch, IMAGE))
    with pytest.raises(ChipfitError) as error:
        load_graph(program)
    assert "statistics of the batch" in error.value.message
    assert "module.eval()" in error.value.hint


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        (lambda: nn.Conv2d(3, 4, 3), "U001", "'Conv2d' is a module: the shapes of its inputs are not known"),
        (lambda: nn.Conv2d(3, 4, 3).state_dict(), "F002", "a dictionary of weights is no network"),
        (lambda: torch.zeros(3), "F002", "a Tensor is no network"),
        (lambda: torch.jit.trace(nn.Conv2d(3, 4, 3), torch.zeros(IMAGE)), "F002", "TorchScript"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_objects_that_are_no_model(source: Any, code: str, words: str) -> None:
    with pytest.raises(ChipfitError, match=words) as error:
        load_graph(source())
    assert error.value.code == code
    assert "example_inputs" in error.value.hint


def test_example_inputs_that_do_not_fit() -> None:
    with pytest.raises(ChipfitError, match="'Conv2d' cannot be traced"):
        load_graph(nn.Conv2d(3, 4, 3), example_inputs=inputs_for(torch, (1, 5, 8, 8)))
    with pytest.raises(ChipfitError, match="example_inputs is a str") as error:
        load_graph(nn.Conv2d(3, 4, 3), example_inputs="image")
    assert error.value.code == "U001"
    with pytest.raises(ChipfitError, match="example_inputs are for modules and programs of PyTorch"):
        load_graph(b"", example_inputs=(1,))


def test_torch_is_not_imported_for_other_models() -> None:
    code = "import sys, chipfit, numpy; chipfit.load(sys.argv[1]); sys.exit('torch' in sys.modules)"
    from importlib.resources import files

    demo = files("chipfit") / "demo" / "digits_int8.tflite"
    assert subprocess.run([sys.executable, "-c", code, str(demo)]).returncode == 0


def test_from_torch_to_a_program(tmp_path: Any) -> None:
    """Float C gives what torch gives; int8 with channels last is near it, and its input has the name of torch."""
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU6(), nn.Flatten(), nn.Linear(216, 4)
    )
    randomise(torch, net, 2)
    model = chipfit.load(net, name="tiny", example_inputs=torch.zeros(1, 1, 12, 12))
    samples = np.random.default_rng(0).uniform(-1, 1, (16, 1, 12, 12)).astype(np.float32)
    with torch.no_grad():
        wanted = net(torch.from_numpy(samples)).numpy()
    found = np.asarray(model.compile("host", tmp_path / "tiny").run(samples).outputs[0]).reshape(16, 4)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * float(np.abs(wanted).max()))
    assert model.verify(3).passed
    small = chipfit.quantize_model(model, samples).model
    assert [v.name for v in small.graph.inputs] == ["input"]
    value, result = small.graph.inputs[0], small.graph.outputs[0]
    stored = np.clip(np.rint(samples / value.q.s) + value.q.zp, -128, 127).astype(np.int8)
    real = np.stack([(small.run(s[None])[0][0].astype(np.float32) - result.q.zp) * result.q.s for s in stored])
    assert float(np.abs(real - wanted).max()) < 0.05 * float(np.abs(wanted).max())
