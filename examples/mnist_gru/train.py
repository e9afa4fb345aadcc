"""Train a GRU and an LSTM on the rows of MNIST pictures: 28 steps of 28 numbers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chipfit.importers.keras.framework import import_keras

UNITS = 256
EPOCHS = 2
BATCH = 64
LEARNING_RATE = 2e-3
"""At the beginning; it falls to 0 along half a cosine, which is worth about 2 points of accuracy."""


def build(kind: str) -> Any:
    """The model of the tutorial: one recurrent layer, then one for the ten digits."""
    keras = import_keras()
    layer = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}[kind]
    return keras.Sequential(
        [
            keras.Input((28, 28), name="rows"),
            layer(UNITS, name=kind),
            keras.layers.Dense(10, name="digits"),
        ],
        name=f"mnist_{kind}",
    )


def train(kind: str, images: NDArray[np.float32], labels: NDArray[np.uint8], file: Path) -> None:
    """Train, then save. ``images``: (n, 28, 28), 0 to 1."""
    keras = import_keras()
    keras.utils.set_random_seed(0)
    model = build(kind)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate: Any = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, EPOCHS * -(-len(images) // BATCH))
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    # a line for each epoch where nobody looks at a bar
    model.fit(images, labels, batch_size=BATCH, epochs=EPOCHS, verbose=1 if sys.stdout.isatty() else 2)
    file.parent.mkdir(parents=True, exist_ok=True)
    model.save(file)
