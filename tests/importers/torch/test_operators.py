"""Every operator of the tables against torch, and nets made from seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from importers.torch.nets import check, inputs_for, ops_of, random_net, randomise, torch_or_skip

torch = torch_or_skip()
nn: Any = torch.nn
F: Any = torch.nn.functional

IMAGE, ROW, VECTOR = (1, 4, 8, 6), (1, 4, 9), (1, 7)


@pytest.mark.parametrize("seed", range(30))
def test_nets_from_a_seed(seed: int) -> None:
    net, shape = random_net(torch, seed)
    check(torch, net, *inputs_for(torch, shape, seed=seed))


# ---------------------------------------------------------------------------------------------- layers

LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(7, 3), VECTOR),
    "linear_of_images": (lambda: nn.Linear(6, 3, bias=False), IMAGE),
    "linear_of_a_vector": (lambda: nn.Linear(7, 3), (7,)),
    "conv2d": (lambda: nn.Conv2d(4, 5, (3, 2), (1, 2), (1, 0)), IMAGE),
    "conv2d_same": (lambda: nn.Conv2d(4, 5, 4, padding="same", dilation=2), IMAGE),
    "conv2d_valid": (lambda: nn.Conv2d(4, 5, 3, padding="valid"), IMAGE),
    "conv2d_groups": (lambda: nn.Conv2d(4, 6, 3, groups=2), IMAGE),
    "conv2d_depthwise": (lambda: nn.Conv2d(4, 8, 3, 2, 1, groups=4, bias=False), IMAGE),
    "conv2d_without_samples": (lambda: nn.Conv2d(4, 5, 3), IMAGE[1:]),
    "conv2d_reflect": (lambda: nn.Conv2d(4, 5, 3, padding=1, padding_mode="reflect"), IMAGE),
    "conv1d": (lambda: nn.Conv1d(4, 5, 3, 2, 1), ROW),
    "conv1d_depthwise": (lambda: nn.Conv1d(4, 4, 3, padding="same", groups=4), ROW),
    "conv_transpose2d": (lambda: nn.ConvTranspose2d(4, 5, 3, 2, 1, 1), IMAGE),
    "conv_transpose1d": (lambda: nn.ConvTranspose1d(4, 5, 4, 2, 1), ROW),
    "weight_norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 5, 1)), IMAGE),
    "batch_norm": (
        lambda: nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5, affine=False)),
        IMAGE,
    ),
    "batch_norm_of_rows": (lambda: nn.BatchNorm1d(4), ROW),
    "batch_norm_of_vectors": (lambda: nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5), nn.ReLU()), VECTOR),
    "layer_norm": (lambda: nn.LayerNorm(6), IMAGE),
    "layer_norm_of_images": (lambda: nn.LayerNorm((8, 6), elementwise_affine=False), IMAGE),
    "rms_norm": (lambda: nn.RMSNorm(6), IMAGE),
    "group_norm": (lambda: nn.GroupNorm(2, 4), IMAGE),
    "instance_norm": (lambda: nn.InstanceNorm2d(4, affine=True), IMAGE),
    "instance_norm_of_training": (lambda: nn.InstanceNorm2d(4, track_running_stats=True), IMAGE),
    "max_pool2d": (lambda: nn.MaxPool2d((3, 2), 2, (1, 0)), IMAGE),
    "max_pool2d_ceil": (lambda: nn.MaxPool2d(3, 2, ceil_mode=True), IMAGE),
    "max_pool1d": (lambda: nn.MaxPool1d(3, 2), ROW),
    "avg_pool2d": (lambda: nn.AvgPool2d(3, 2, 1), IMAGE),
    "avg_pool2d_without_pads": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), IMAGE),
    "avg_pool1d": (lambda: nn.AvgPool1d(3), ROW),
    "adaptive_avg_pool2d": (lambda: nn.AdaptiveAvgPool2d(1), IMAGE),
    "adaptive_avg_pool2d_of_parts": (lambda: nn.AdaptiveAvgPool2d((4, 3)), IMAGE),
    "adaptive_avg_pool2d_of_one_axis": (lambda: nn.AdaptiveAvgPool2d((None, 1)), IMAGE),
    "adaptive_avg_pool2d_of_all": (lambda: nn.AdaptiveAvgPool2d((8, 6)), IMAGE),
    "adaptive_max_pool2d": (lambda: nn.AdaptiveMaxPool2d((2, 2)), IMAGE),
    "adaptive_avg_pool1d": (lambda: nn.AdaptiveAvgPool1d(3), ROW),
    "adaptive_max_pool1d": (lambda: nn.AdaptiveMaxPool1d(1), ROW),
    "upsample_nearest": (lambda: nn.Upsample(scale_factor=2), IMAGE),
    "upsample_nearest_to": (lambda: nn.Upsample((11, 9)), IMAGE),
    "upsample_exact": (lambda: nn.Upsample((11, 9), mode="nearest-exact"), IMAGE),
    "upsample_bilinear": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), IMAGE),
    "upsample_bilinear_corners": (lambda: nn.Upsample((11, 9), mode="bilinear", align_corners=True), IMAGE),
    "upsample_linear": (lambda: nn.Upsample(scale_factor=2, mode="linear"), ROW),
    "pixel_shuffle": (lambda: nn.PixelShuffle(2), IMAGE),
    "pixel_unshuffle": (lambda: nn.PixelUnshuffle(2), IMAGE),
    "channel_shuffle": (lambda: nn.ChannelShuffle(2), IMAGE),
    "zero_pad": (lambda: nn.ZeroPad2d((1, 0, 2, -1)), IMAGE),
    "constant_pad": (lambda: nn.ConstantPad1d((2, 1), 0.5), ROW),
    "reflection_pad2d": (lambda: nn.ReflectionPad2d((1, 2, 3, 0)), IMAGE),
    "reflection_pad1d": (lambda: nn.ReflectionPad1d(2), ROW),
    "replication_pad2d": (lambda: nn.ReplicationPad2d((1, 2, 0, 3)), IMAGE),
    "circular_pad2d": (lambda: nn.CircularPad2d((1, 2, 0, 3)), IMAGE),
    "prelu": (lambda: nn.PReLU(4), IMAGE),
    "softmax2d": (lambda: nn.Softmax2d(), IMAGE),
    "log_softmax": (lambda: nn.LogSoftmax(dim=1), IMAGE),
    "attention": (lambda: nn.TransformerEncoderLayer(6, 2, 10, batch_first=True, norm_first=True), (1, 5, 6)),
    "flatten": (lambda: nn.Sequential(nn.Flatten(1, 2), nn.Unflatten(1, (2, 16))), IMAGE),
    "nothing": (lambda: nn.Sequential(nn.Dropout(0.5), nn.Dropout2d(0.5), nn.Identity(), nn.ReLU(inplace=True)), IMAGE),
}


class _Each(nn.Module):
    """Layers side by side on one input: torch takes as long to export one as to export twenty."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({name: LAYERS[name][0]() for name in names})

    def forward(self, x: Any) -> Any:
        return {name: layer(x.clone()) for name, layer in self.layers.items()}


def _by_shape() -> list[tuple[list[str], tuple[int, ...]]]:
    shapes = dict.fromkeys(shape for _, shape in LAYERS.values())
    found = [([name for name in LAYERS if LAYERS[name][1] == shape], shape) for shape in shapes]
    return [(names[i : i + 20], shape) for names, shape in found for i in range(0, len(names), 20)]


@pytest.mark.parametrize(("names", "shape"), _by_shape(), ids=lambda item: str(item[0]))
def test_layers(names: list[str], shape: tuple[int, ...]) -> None:
    graph = check(torch, randomise(torch, _Each(names), 1), *inputs_for(torch, shape))
    assert {v.name for v in graph.outputs} == set(names)


# ---------------------------------------------------------------------------------------------- functions


class _Functions(nn.Module):
    """Functions of one input as a module, with constants to read: a matrix, a vector, a whole image, an index."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names
        rng = np.random.default_rng(5)
        for name, shape in (("matrix", (6, 6)), ("vector", (6,)), ("image", IMAGE)):
            self.register_buffer(name, torch.from_numpy(rng.normal(0, 1, shape).astype(np.float32)))
        self.register_buffer("index", torch.tensor([2, 0, 3, -1]))

    def forward(self, x: Any) -> Any:
        return {name: FUNCTIONS[name](x.clone(), self) for name in self.names}


def _assigned(x: Any) -> Any:
    y = x * 2
    y[:, 1] = 0.5
    y[:, :, 2:4] = x[:, :, :2]
    y += 1
    return y


def _split(x: Any) -> Any:
    a, b, c = torch.split(x, [1, 2, 1], 1)
    d, e = torch.chunk(x, 2, 2)
    return [a + c, b, d * e, *torch.unbind(x, 3)[:2]]


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "arithmetic": lambda x, m: (2.0 - x) * x / 4.0 + 0.5 - m.vector,
    "scaled": lambda x, m: torch.add(x, m.image, alpha=2) + torch.sub(x, 1, alpha=3) + torch.rsub(x, m.image),
    "divided": lambda x, m: x / (x * x + 1) + 1 / (x.abs() + 1) + torch.div(x, 0.3, rounding_mode="floor"),
    "powers": lambda x, m: x**2 + x**3 + (x + 2) ** 0.5 + (x + 2) ** -0.5 + 2**x + (x + 2) ** 1.7 + torch.square(x),
    "curves": lambda x, m: torch.exp(x) + torch.log(x + 2) + torch.sin(x) + torch.cos(x) + torch.sqrt(x + 1),
    "more_curves": lambda x, m: (
        torch.log2(x + 2) + torch.log10(x + 2) + torch.log1p(x) + torch.expm1(x) + torch.exp2(x)
    ),
    "steps": lambda x, m: (
        torch.floor(3 * x) + torch.ceil(2 * x) + torch.round(4 * x) + torch.sign(x) + torch.neg(x).abs()
    ),
    "reciprocals": lambda x, m: torch.reciprocal(x + 3) + torch.rsqrt(x + 2),
    "clamps": lambda x, m: x.clamp(-0.5, 0.25) + x.clamp(min=0.1) + x.clamp(max=0.2) + x.clamp(0, 6) + x.clamp(-1, 1),
    "clamp_by_tensors": lambda x, m: torch.clamp(x, m.image - 1, m.image),
    "extrema": lambda x, m: torch.maximum(x, m.image) + torch.minimum(x, m.vector) + torch.max(x, m.image),
    "activations": lambda x, m: F.relu(x) + F.relu6(x) + torch.sigmoid(x) + torch.tanh(x) + F.silu(x) + F.elu(x, 0.5),
    "hard_activations": lambda x, m: F.hardsigmoid(4 * x) + F.hardswish(4 * x) + F.hardtanh(x, -0.5, 0.4) + F.selu(x),
    "soft_activations": lambda x, m: F.softplus(x, 2) + F.mish(x) + F.logsigmoid(x) + F.softsign(x) + F.celu(x, 0.7),
    "leaky_activations": lambda x, m: F.leaky_relu(x, 0.2) + F.threshold(x, 0.1, 0.3) + F.threshold(x, 0, 0),
    "glu": lambda x, m: F.glu(x, 1),
    "gelu": lambda x, m: F.gelu(x) + F.gelu(x, approximate="tanh"),
    "softmaxes": lambda x, m: F.softmax(x, 1) + F.log_softmax(x, -1) + torch.logsumexp(x, 2, keepdim=True),
    "addcmul": lambda x, m: torch.addcmul(x, m.image, m.vector, value=0.5) + torch.addcdiv(x, m.image, x + 2),
    "lerp": lambda x, m: torch.lerp(x, m.image, 0.3),
    "where": lambda x, m: torch.where(x > 0.1, x, m.vector) + torch.where(x <= m.image, 1.0, x),
    "masks": lambda x, m: x.masked_fill((x < 0) & ~(x < -0.5), 0.25) * ((x >= 0.2) | (x == 0) ^ (x != 1)),
    "truth": lambda x, m: (torch.logical_and(x > 0, x < 0.5), torch.any(x > 0.99, 1), torch.all(x > -0.9, 2)),
    "casts": lambda x, m: (x * 5).to(torch.int32).float() + (x > 0).float() + x.double().float(),
    "reductions": lambda x, m: x.mean((2, 3), keepdim=True) + x.sum(1, keepdim=True) + x.amax((1, 2), keepdim=True),
    "of_everything": lambda x, m: [x.mean(), x.sum(), x.max(), x.min(), x.amin(3), x.std()],
    "prod": lambda x, m: torch.prod(x + 1, 3),
    "max_and_place": lambda x, m: torch.max(x, 1),
    "max_alone": lambda x, m: torch.max(x, 1, keepdim=True)[0] + torch.min(x, 1, keepdim=True).values,
    "places": lambda x, m: [x.argmax(1), x.argmin(-1, keepdim=True), x.argmax()],
    "spread": lambda x, m: x.var(1) + x.std(1, unbiased=False) + x.norm(dim=1) + torch.linalg.vector_norm(x, 1, 1),
    "normalize": lambda x, m: F.normalize(x, dim=1) + F.cosine_similarity(x, m.image, dim=1, eps=1e-6).unsqueeze(1),
    "shapes": lambda x, m: x.reshape(1, 4, 4, 12).squeeze(0).unsqueeze(2).flatten(1).unflatten(1, (8, 6)),
    "orders": lambda x, m: x.permute(0, 2, 3, 1).transpose(1, 2).movedim(3, 1) + x.mT.swapaxes(1, 2).swapaxes(1, 2),
    "expand": lambda x, m: x[:, :1].expand(1, 4, 8, 6).repeat(1, 2, 1, 1) + m.vector.expand(8, 6),
    "repeat": lambda x, m: torch.tile(x, (2, 1)) + x.repeat(1, 1, 1, 1).repeat_interleave(2, 2),
    "joins": lambda x, m: [torch.cat([x, m.image, x * 2], 1), torch.stack([x, x + 1], 2), torch.hstack([x, x])],
    "splits": lambda x, m: _split(x),
    "slices": lambda x, m: x[:, 1:3, ::2, -2:] + x[..., 2:3, None, 0].narrow(1, 1, 2)[:, :, :, :1],
    "flips": lambda x, m: x.flip((1, 3)) + torch.roll(x, (1, -2), (2, 3)) + torch.roll(x, 3),
    "assignments": lambda x, m: _assigned(x),
    "pads": lambda x, m: (
        F.pad(x, (1, 2, 0, 1)) + F.pad(x, (3, 0, 1, 0), value=-0.5) + F.pad(x, (1, 2, 1, 0), "reflect")
    ),
    "picks": lambda x, m: x[:, m.index] + x.index_select(1, m.index.abs()),
    "outer_picks": lambda x, m: x[:, torch.tensor([[1], [2]]), m.index],
    "constants": lambda x, m: x + torch.arange(6) + torch.ones_like(x) * torch.tril(m.matrix).sum() + x.new_zeros(6),
    "matmuls": lambda x, m: torch.matmul(x, m.matrix) @ m.vector + torch.matmul(x.mT.mT, m.vector),
    "products": lambda x, m: (x @ x.transpose(2, 3)) @ x + torch.einsum("nchw,ncHw->nchH", x, x) @ m.image,
    "batched": lambda x, m: torch.baddbmm(x[0], x[0] @ m.matrix, m.image[0, :, :6], beta=0.5, alpha=2),
    "addmm": lambda x, m: torch.addmm(m.vector, x[0, 0], m.matrix) + torch.addmm(x[0, 0], m.image[0, 0], m.matrix),
    "attention": lambda x, m: F.scaled_dot_product_attention(x, m.image, x),
    "causal_attention": lambda x, m: F.scaled_dot_product_attention(x, x, x, is_causal=True, scale=0.5),
    "masked_attention": lambda x, m: F.scaled_dot_product_attention(x, x, x, attn_mask=torch.ones(8, 8).tril() > 0),
    "added_mask": lambda x, m: F.scaled_dot_product_attention(x, x, x, attn_mask=x @ x.mT),
    "interpolate": lambda x, m: F.interpolate(x, scale_factor=0.5) + F.interpolate(x, (4, 3), mode="bilinear"),
    "bicubic": lambda x, m: F.interpolate(x, (5, 9), mode="bicubic"),
}


@pytest.mark.parametrize("first", range(0, len(FUNCTIONS), 15))
def test_functions(first: int) -> None:
    check(torch, _Functions(list(FUNCTIONS)[first : first + 15]).eval(), *inputs_for(torch, IMAGE))


def test_embedding() -> None:
    net = randomise(torch, nn.Sequential(nn.Embedding(9, 5, padding_idx=0), nn.Flatten(), nn.Linear(30, 3)), 1)
    graph = check(torch, net, torch.tensor([[1, 0, 8, 3, 3, 2]]))
    assert graph.inputs[0].dtype.value == "int32"


def test_half_precision_becomes_float32() -> None:
    net = randomise(torch, nn.Sequential(nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5)), 1)
    (x,) = inputs_for(torch, IMAGE)
    graph = check(torch, net, x, source=torch.export.export(net, (x,)))
    half = torch.export.export(net.to(torch.bfloat16), (x.to(torch.bfloat16),))
    from chipfit.importers import load_graph

    assert {v.dtype.value for v in load_graph(half).values()} == {"float32"} == {v.dtype.value for v in graph.values()}


def test_batch_normalization_is_folded() -> None:
    """Also where an activation in place follows."""
    net = nn.Sequential(nn.Conv2d(4, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU(inplace=True))
    assert ops_of(check(torch, randomise(torch, net, 1), *inputs_for(torch, IMAGE))) == [
        "transpose",
        "conv2d",
        "transpose",
    ]
