"""What can be chosen of a training, in one record that a run's folder keeps."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from chipfit.errors import ChipfitError
from chipfit.quantize import Preprocessing
from chipfit.training.augment import parse_augmentation
from chipfit.training.backbones import Network, Outputs, Target, backbone

_ALPHA = 0.25
_AUGMENT: dict[Outputs, str] = {"classes": "light", "numbers": "colours"}
"""What moves or mirrors a picture may change the numbers that belong to it."""
_FROZEN = 1
"""Epochs for the head alone, where the backbone has been trained before."""

_OPTIONS = {
    "backbone": "--backbone", "alpha": "--alpha", "depth": "--depth", "target": "--for",
    "weights": "--weights", "epochs": "--epochs",
    "frozen_epochs": "--frozen-epochs", "batch": "--batch", "rate": "--rate", "dropout": "--dropout",
    "dense": "--dense", "augment": "--augment", "label_smoothing": "--label-smoothing", "patience": "--patience",
    "validation_share": "--val-share", "resize": "--resize", "seed": "--seed", "grey": "--grey", "labels": "--labels",
    "qat": "--qat", "qat_epochs": "--qat-epochs",
}  # fmt: skip

_LATER = ("depth", "qat", "qat_epochs")
"""What runs of earlier versions have not."""


@dataclass(frozen=True)
class TrainSettings:
    """How a network is trained.

    ``backbone``, ``alpha`` (None: 0.25, or 1 where there is no other), ``height``, ``width``, ``grey``, ``dropout``,
    ``dense``, ``target``, ``depth``: see :class:`~chipfit.training.backbones.Network`. ``weights``: ``imagenet`` or a
    file; None: random ones. ``frozen_epochs``: in which the head alone learns; None: 1 with weights, else 0.
    ``epochs``: behind them, in which all layers do. ``rate``: of Adam, at the beginning of both. ``augment``: see
    :func:`~chipfit.training.augment.parse_augmentation`; None: ``light`` for classes, ``colours`` for numbers.
    ``balance``: pictures of small classes count more.
    ``label_smoothing``: share of each label that is spread over all classes. ``patience``: so many epochs without a
    better one end the training, half as many lower the rate; 0: neither. ``validation_share``: of the pictures of each
    class, where no folder is for it. ``resize``: pictures are cut (``crop``) or stretched to the network's size.
    ``labels``: a ``.csv`` file with numbers for each picture, which the network learns instead of classes.
    ``qat``: then it learns ``qat_epochs`` more in the integers that it is deployed with (quantization-aware training).
    Raises ChipfitError U001 for values that make no sense.
    """

    backbone: str = "mobilenet_v1"
    alpha: float | None = None
    height: int = 64
    width: int = 64
    grey: bool = False
    target: Target = "any"
    weights: str | None = None
    epochs: int = 8
    frozen_epochs: int | None = None
    batch: int = 32
    rate: float = 5e-4
    dropout: float = 0.1
    dense: int = 0
    augment: str | None = None
    balance: bool = True
    label_smoothing: float = 0.0
    patience: int = 4
    validation_share: float = 0.2
    resize: Literal["crop", "stretch"] = "stretch"
    seed: int = 0
    labels: str | None = None
    depth: float = 1.0
    qat: bool = False
    qat_epochs: int = 4

    def __post_init__(self) -> None:
        positive = {"--epochs": self.epochs, "--batch": self.batch, "--rate": self.rate}
        positive["--qat-epochs"] = self.qat_epochs
        for option, value in positive.items():
            if not value > 0:
                raise ChipfitError("U001", f"{option} {value:g} trains nothing", "it is more than 0")
        not_negative = {"--frozen-epochs": self.frozen_epochs or 0, "--patience": self.patience, "--seed": self.seed}
        for option, value in not_negative.items():
            if value < 0:
                raise ChipfitError("U001", f"{option} {value} is negative")
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ChipfitError("U001", f"--label-smoothing {self.label_smoothing:g} leaves no label", "such as 0.1")
        if self.labels and self.label_smoothing:
            raise ChipfitError("U001", "--label-smoothing is for classes", "leave it out with --labels")
        parse_augmentation(self._augment)
        self.network(2)

    @property
    def kind(self) -> Outputs:
        """What the network gives."""
        return "numbers" if self.labels else "classes"

    @property
    def _augment(self) -> str:
        return _AUGMENT[self.kind] if self.augment is None else self.augment

    def resolved(self) -> TrainSettings:
        """With what stands for each None, and the absolute path of ``labels``."""
        alpha = (*backbone(self.backbone).alphas, _ALPHA)[0] if self.alpha is None else self.alpha
        frozen = (_FROZEN if self.weights else 0) if self.frozen_epochs is None else self.frozen_epochs
        labels = None if self.labels is None else str(Path(self.labels).resolve())
        return replace(self, alpha=alpha, frozen_epochs=frozen, augment=self._augment, labels=labels)

    def network(self, outputs: int) -> Network:
        alpha = (*backbone(self.backbone).alphas, _ALPHA)[0] if self.alpha is None else self.alpha
        return Network(
            self.backbone, alpha, self.height, self.width, 1 if self.grey else 3, outputs, self.kind,
            dropout=self.dropout, dense=self.dense, target=self.target, depth=self.depth,
        )  # fmt: skip

    @property
    def preprocessing(self) -> Preprocessing:
        return replace(self.network(2).preprocessing, resize=self.resize)

    def command(self, data: Path, validation: Path | None, out: Path) -> str:
        """The command line that says the same."""
        words = ["chipfit", "train", str(data), *(("--val", str(validation)) if validation else ())]
        default = TrainSettings()
        if (self.height, self.width) != (default.height, default.width):
            words += ["--size", str(self.height) if self.height == self.width else f"{self.height}x{self.width}"]
        for name, option in _OPTIONS.items():
            value = getattr(self, name)
            if value != getattr(default, name):
                words += (
                    [option] if value is True else [option, f"{value:g}" if isinstance(value, float) else str(value)]
                )
        words += [] if self.balance else ["--no-balance"]
        return shlex.join([*words, "-o", str(out)])

    def differences(self, other: TrainSettings) -> list[str]:
        """What the other one has otherwise, in words; the number of epochs is free."""
        ours, theirs = asdict(self.resolved()), asdict(other.resolved())
        return [f"{k} {ours[k]} instead of {theirs[k]}" for k in ours if ours[k] != theirs[k] and k != "epochs"]

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> TrainSettings:
        """Raises LookupError or TypeError for what is none."""
        return TrainSettings(
            **{f.name: data[f.name] for f in fields(TrainSettings) if f.name in data or f.name not in _LATER}
        )
