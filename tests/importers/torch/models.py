"""Networks as people write them in PyTorch, small. Made by functions: torch need not be there to import this module."""

from __future__ import annotations

from typing import Any


def models(torch: Any) -> dict[str, tuple[Any, tuple[int, ...]]]:
    """Modules with fresh weights, and the shapes of their inputs."""
    nn: Any = torch.nn
    F: Any = torch.nn.functional  # noqa: N806 - as everybody calls it

    def conv_norm(into: int, out: int, size: int = 3, stride: int = 1, groups: int = 1, act: Any = nn.ReLU6) -> Any:
        conv = nn.Conv2d(into, out, size, stride, size // 2, groups=groups, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(out), act())

    class Inverted(nn.Module):
        """Of MobileNetV2: wide inside, added to its input where the shapes are the same."""

        def __init__(self, into: int, out: int, stride: int, expand: int) -> None:
            super().__init__()
            hidden = into * expand
            self.use_residual = stride == 1 and into == out
            self.conv = nn.Sequential(
                conv_norm(into, hidden, 1),
                conv_norm(hidden, hidden, 3, stride, hidden),
                nn.Conv2d(hidden, out, 1, bias=False),
                nn.BatchNorm2d(out),
            )

        def forward(self, x: Any) -> Any:
            return x + self.conv(x) if self.use_residual else self.conv(x)

    class MobileNetV2(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            blocks = [(8, 8, 1), (8, 12, 2), (12, 12, 1), (12, 16, 2), (16, 16, 1)]
            self.features = nn.Sequential(
                conv_norm(3, 8, 3, 2), *(Inverted(*b, 4) for b in blocks), conv_norm(16, 40, 1)
            )
            self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(40, 10))

        def forward(self, x: Any) -> Any:
            return self.classifier(self.features(x).mean([2, 3]))

    class BasicBlock(nn.Module):
        def __init__(self, into: int, out: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(out)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(out)
            self.downsample = None
            if stride != 1 or into != out:
                self.downsample = nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))

        def forward(self, x: Any) -> Any:
            identity = x if self.downsample is None else self.downsample(x)
            out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            out += identity
            return self.relu(out)

    class ResNet18(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(8)
            self.relu = nn.ReLU(inplace=True)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            widths = [(8, 8, 1), (8, 12, 2), (12, 16, 2), (16, 24, 2)]
            layers = [nn.Sequential(BasicBlock(i, o, s), BasicBlock(o, o, 1)) for i, o, s in widths]
            self.layer1, self.layer2, self.layer3, self.layer4 = layers
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.fc = nn.Linear(24, 10)

        def forward(self, x: Any) -> Any:
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(torch.flatten(self.avgpool(x), 1))

    class SqueezeExcite(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

        def forward(self, x: Any) -> Any:
            scale = F.hardsigmoid(self.fc2(F.relu(self.fc1(F.adaptive_avg_pool2d(x, 1)))))
            return scale * x

    class MobileNetV3(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            swish = nn.Hardswish
            self.stem = conv_norm(3, 8, 3, 2, act=swish)
            depthwise = conv_norm(16, 16, 5, 2, 16, act=swish)
            self.block = nn.Sequential(
                conv_norm(8, 16, 1, act=swish), depthwise, SqueezeExcite(16), nn.Conv2d(16, 8, 1)
            )
            self.head = nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 20), swish(), nn.Linear(20, 5)
            )

        def forward(self, x: Any) -> Any:
            return F.log_softmax(self.head(self.block(self.stem(x))), dim=1)

    class Inception(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = conv_norm(3, 8, 3, 2, act=nn.ReLU)
            self.one = conv_norm(8, 4, 1, act=nn.ReLU)
            self.three = nn.Sequential(conv_norm(8, 4, 1, act=nn.ReLU), conv_norm(4, 6, 3, act=nn.ReLU))
            self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_norm(8, 3, 1, act=nn.ReLU))
            self.head = nn.Conv2d(13, 5, 1)

        def forward(self, x: Any) -> Any:
            x = self.stem(x)
            x = torch.cat([self.one(x), self.three(x), self.pooled(x)], dim=1)
            return self.head(x).amax((2, 3))

    class UNet(nn.Module):
        """One way up by interpolation, one by a transposed convolution."""

        def __init__(self) -> None:
            super().__init__()
            self.down1, self.down2 = conv_norm(3, 6, act=nn.ReLU), conv_norm(6, 10, act=nn.ReLU)
            self.bottom = conv_norm(10, 12, act=nn.ReLU)
            self.up2, self.merge2 = nn.ConvTranspose2d(12, 10, 2, 2), conv_norm(20, 10, act=nn.ReLU)
            self.merge1, self.out = conv_norm(16, 6, act=nn.ReLU), nn.Conv2d(6, 2, 1)

        def forward(self, x: Any) -> Any:
            a = self.down1(x)
            b = self.down2(F.max_pool2d(a, 2))
            c = self.bottom(F.max_pool2d(b, 2))
            b = self.merge2(torch.cat([self.up2(c), b], 1))
            b = F.interpolate(b, scale_factor=2, mode="bilinear", align_corners=False)
            return torch.sigmoid(self.out(self.merge1(torch.cat([b, a], 1))))

    class MixerBlock(nn.Module):
        def __init__(self, tokens: int, channels: int) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
            self.tokens = nn.Sequential(nn.Linear(tokens, 9), nn.GELU(), nn.Linear(9, tokens))
            self.channels = nn.Sequential(nn.Linear(channels, 20), nn.GELU(), nn.Linear(20, channels))

        def forward(self, x: Any) -> Any:
            x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
            return x + self.channels(self.norm2(x))

    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 12, 8, 8)
            self.blocks = nn.Sequential(MixerBlock(16, 12), MixerBlock(16, 12))
            self.head = nn.Linear(12, 4)

        def forward(self, x: Any) -> Any:
            x = self.patches(x).flatten(2).transpose(1, 2)
            return self.head(self.blocks(x).mean(1))

    class Attention(nn.Module):
        """A block of a transformer on the patches of an image, with a token for the class."""

        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 12, 8, 8)
            self.token = nn.Parameter(torch.zeros(1, 1, 12))
            self.position = nn.Parameter(torch.zeros(1, 17, 12))
            self.norm1, self.norm2 = nn.LayerNorm(12), nn.LayerNorm(12)
            self.attention = nn.MultiheadAttention(12, 3, batch_first=True)
            self.dense = nn.Sequential(nn.Linear(12, 24), nn.GELU(approximate="tanh"), nn.Linear(24, 12))
            self.head = nn.Linear(12, 4)

        def forward(self, x: Any) -> Any:
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
            y = self.norm1(x)
            x = x + self.attention(y, y, y, need_weights=False)[0]
            x = x + self.dense(self.norm2(x))
            return self.head(x[:, 0])

    class KeywordSpotter(nn.Module):
        """One-dimensional: frames of 10 features."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Sequential(nn.Conv1d(10, 16, 5, 2), nn.BatchNorm1d(16), nn.ReLU())
            self.separable = nn.Sequential(nn.Conv1d(16, 16, 3, groups=16), nn.Conv1d(16, 20, 1), nn.BatchNorm1d(20))
            self.fc = nn.Linear(20, 6)

        def forward(self, x: Any) -> Any:
            return F.softmax(self.fc(F.relu(self.separable(self.conv(x))).mean(-1)), -1)

    image = (1, 3, 32, 32)
    return {
        "MobileNetV1": (mobilenet(torch), (1, 3, 64, 64)),
        "MobileNetV2": (MobileNetV2(), image),
        "MobileNetV3": (MobileNetV3(), image),
        "ResNet18": (ResNet18(), image),
        "Inception": (Inception(), image),
        "UNet": (UNet(), image),
        "Mixer": (Mixer(), image),
        "Attention": (Attention(), image),
        "KeywordSpotter": (KeywordSpotter(), (1, 10, 49)),
    }


def mobilenet(torch: Any, alpha: float = 0.25, classes: int = 10, channels_last: bool = False) -> Any:
    """MobileNetV1 as keras.applications has it: padding of layers with a stride is below and on the right.

    ``channels_last``: it takes images as cameras and Keras have them.
    """
    nn: Any = torch.nn
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]

    def conv_norm(into: int, out: int, size: int, stride: int, groups: int = 1) -> list[Any]:
        around = [nn.ZeroPad2d((0, 1, 0, 1))] if stride == 2 else []
        padding = size // 2 if stride == 1 else 0
        conv = nn.Conv2d(into, out, size, stride, padding, groups=groups, bias=False)
        return [*around, conv, nn.BatchNorm2d(out, eps=1e-3), nn.ReLU6()]

    class MobileNetV1(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width = int(32 * alpha)
            layers = conv_norm(3, width, 3, 2)
            for filters, stride in blocks:
                out = int(filters * alpha)
                layers += [*conv_norm(width, width, 3, stride, width), *conv_norm(width, out, 1, 1)]
                width = out
            self.features = nn.Sequential(*layers)
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.predictions = nn.Conv2d(width, classes, 1)

        def forward(self, x: Any) -> Any:
            x = x.permute(0, 3, 1, 2) if channels_last else x
            return torch.flatten(self.predictions(self.pool(self.features(x))), 1).softmax(1)

    return MobileNetV1()
