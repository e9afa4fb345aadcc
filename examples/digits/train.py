# pyright: basic, reportMissingImports=false, reportMissingModuleSource=false, reportArgumentType=false
"""Train chipfit's demo model: a small convolutional network that reads handwritten digits.

    python -m venv venv-train && . venv-train/bin/activate
    pip install tensorflow scikit-learn ai-edge-litert
    python examples/digits/train.py --out build/digits

The data is the 1797 pictures of 8x8 pixels (values 0..16) that scikit-learn ships; nothing is downloaded.
A quarter of them is held out and is used neither for training nor for choosing anything. Three files are
written: `digits_f32.tflite`, `digits_int8.tflite` and `digits_test.npz` (100 of the held-out pictures, ten
per digit). With the same seed and the same versions of the packages a run gives the same files.
"""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, cast

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tensorflow.lite.tools import flatbuffer_utils

keras = tf.keras
layers = keras.layers

SIZE = 8
CLASSES = 10
PIXEL_MAX = 16
TEST_SHARE = 0.25
SPLIT_SEED = 0  # the held-out pictures stay the same whatever --seed is
BATCH = 32
REPRESENTATIVE = 300  # training pictures that the int8 ranges are taken from


def load_split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training and held-out pictures (n, 8, 8) uint8 in 0..16, with their labels (n,)."""
    digits = cast(Any, load_digits())
    images = digits.images.astype(np.uint8)
    labels = digits.target.astype(np.uint8)
    split = train_test_split(images, labels, test_size=TEST_SHARE, random_state=SPLIT_SEED, stratify=labels)
    x_train, x_test, y_train, y_test = cast(list[np.ndarray], split)
    return x_train, y_train, x_test, y_test


def to_input(images: np.ndarray) -> np.ndarray:
    """What the network takes: (n, 8, 8, 1) float32 in 0..1."""
    return images[..., np.newaxis].astype(np.float32) / PIXEL_MAX


def distort(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture (8, 8) turned, sheared, scaled and moved a little."""
    angle, shear, scale_y, scale_x = rng.normal(0.0, [0.08, 0.07, 0.04, 0.04])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1.0 + scale_y, 0.0], [shear, 1.0 + scale_x]])
    centre = (SIZE - 1) / 2.0
    offset = centre - matrix @ [centre, centre] + rng.uniform(-0.5, 0.5, 2)
    return np.clip(ndimage.affine_transform(image, matrix, offset, order=1), 0.0, 1.0)


def build() -> keras.Model:
    """Conv, two separable residual blocks around a stride of 2, average pool, dense, softmax."""

    def norm(x, activation: str | None = None):
        x = layers.BatchNormalization(momentum=0.95)(x)
        return x if activation is None else layers.Activation(activation)(x)

    def separable(x, filters: int, stride: int = 1, activation: str | None = "relu6"):
        x = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x)
        x = norm(x, "relu6")
        x = layers.Conv2D(filters, 1, use_bias=False)(x)
        return norm(x, activation)

    image = keras.Input((SIZE, SIZE, 1), name="image")
    x = norm(layers.Conv2D(16, 3, padding="same", use_bias=False)(image), "relu")
    x = layers.Activation("relu")(layers.Add()([x, separable(x, 16, activation=None)]))
    x = separable(x, 32, stride=2)
    x = layers.Activation("relu")(layers.Add()([x, separable(x, 32, activation=None)]))
    x = layers.AveragePooling2D(SIZE // 2)(x)
    x = layers.Dropout(0.1)(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax")(x))


def train(x: np.ndarray, y: np.ndarray, epochs: int, seed: int) -> keras.Model:
    """The trained network; the learning rate falls to 0 over a fixed number of epochs."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    rng = np.random.default_rng(seed)
    steps = len(x) // BATCH
    model = build()
    rate = keras.optimizers.schedules.CosineDecay(4e-3, epochs * steps)
    model.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-3),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.05),
        metrics=["accuracy"],
    )
    targets = keras.utils.to_categorical(y, CLASSES)
    for epoch in range(epochs):
        moved = np.stack([distort(image[..., 0], rng) for image in x])[..., np.newaxis].astype(np.float32)
        order = rng.permutation(len(x))[: steps * BATCH]
        log = model.fit(moved[order], targets[order], batch_size=BATCH, shuffle=False, verbose=0)
        if (epoch + 1) % 10 == 0:
            loss, accuracy = log.history["loss"][0], log.history["accuracy"][0]
            print(f"epoch {epoch + 1:3}  loss {loss:.4f}  training accuracy {100 * accuracy:.2f} %")
    return model


def convert(model: keras.Model, samples: np.ndarray | None) -> bytes:
    """The network as .tflite with batch size 1: full-integer int8 where samples are given, else float."""
    image = keras.Input(batch_shape=(1, SIZE, SIZE, 1), name="image")
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, model(image, training=False)))
    if samples is not None:

        def representative() -> Iterator[list[np.ndarray]]:
            for sample in samples:
                yield [sample[np.newaxis]]

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    with redirect_stdout(io.StringIO()):  # keras lists every variable
        content = converter.convert()
    return tidy(content)


def tidy(content: bytes) -> bytes:
    """The same model without the converter's metadata and with short tensor names."""
    model = cast(Any, flatbuffer_utils.convert_bytearray_to_object(bytearray(content)))
    model.description = b"chipfit demo: handwritten digits"
    model.metadata = None
    graph = model.subgraphs[0]
    for index, tensor in enumerate(graph.tensors):
        tensor.name = f"t{index}".encode()
    seen: dict[str, int] = {}
    for op in graph.operators:
        kind = str(flatbuffer_utils.opcode_to_name(model, op.opcodeIndex)).lower()
        seen[kind] = seen.get(kind, 0) + 1
        name = f"{kind}_{seen[kind]}"
        graph.tensors[op.outputs[0]].name = name.encode()
        if kind in ("conv_2d", "depthwise_conv_2d", "fully_connected"):
            for index, role in zip(op.inputs[1:], ("weights", "bias"), strict=True):
                graph.tensors[index].name = f"{name}/{role}".encode()
    graph.tensors[graph.inputs[0]].name = b"image"
    graph.tensors[graph.outputs[0]].name = b"probabilities"
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def predict(content: bytes, x: np.ndarray) -> np.ndarray:
    """The class of each input, from the reference kernels of the .tflite interpreter."""
    interpreter = Interpreter(
        model_content=content,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    (inp,) = cast(Any, interpreter.get_input_details())
    (out,) = cast(Any, interpreter.get_output_details())
    if inp["dtype"] == np.int8:
        scale, zero_point = inp["quantization"]
        x = np.clip(np.round(x / scale) + zero_point, -128, 127).astype(np.int8)
    classes = []
    for sample in x:
        interpreter.set_tensor(inp["index"], sample[np.newaxis])
        interpreter.invoke()
        classes.append(int(interpreter.get_tensor(out["index"])[0].argmax()))
    return np.array(classes)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("build/digits"), help="folder for the three files")
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--seed", type=int, default=1, help="initial weights, distortions and order")
    args = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    x_train, y_train, x_test, y_test = load_split()
    picked = np.sort(np.concatenate([np.flatnonzero(y_test == digit)[:10] for digit in range(CLASSES)]))
    model = train(to_input(x_train), y_train, args.epochs, args.seed)

    args.out.mkdir(parents=True, exist_ok=True)
    test_file = args.out / "digits_test.npz"
    np.savez_compressed(test_file, images=x_test[picked], labels=y_test[picked])
    print(f"{test_file}: {test_file.stat().st_size} bytes")
    for kind, samples in (("f32", None), ("int8", to_input(x_train[:REPRESENTATIVE]))):
        content = convert(model, samples)
        file = args.out / f"digits_{kind}.tflite"
        file.write_bytes(content)
        right = predict(content, to_input(x_test)) == y_test
        print(
            f"{file}: {len(content)} bytes, {right.sum()} of {len(right)} held-out pictures right "
            f"({100 * right.mean():.2f} %), {right[picked].sum()} of the {len(picked)} shipped ones"
        )


if __name__ == "__main__":
    main()
