"""What a file is that chipfit does not read: the better it is named, the shorter the way to one that it does."""

from __future__ import annotations

from chipfit.errors import ChipfitError

_CONVERT = "convert it to .tflite (full int8 or float32)"
_KMODEL = "it is compiled already: see `chipfit inspect` and `chipfit run`, or start from the .tflite it was made of"

#: (offset, bytes there, what it is, hint)
_MAGIC: tuple[tuple[int, bytes, str, str], ...] = (
    (
        0,
        b"PK\x03\x04",
        "a zip archive, but no .keras or .pt2 model",
        f"not read; {_CONVERT}",
    ),
    (0, b"LMDK", "a K210 model (.kmodel)", _KMODEL),
    (0, b"\x03\0\0\0\0\0\0\0", "a K210 model (.kmodel v3)", _KMODEL),
    (0, b"GGUF", "a GGUF language model", "models of that size do not run on a microcontroller"),
    (0, b"\x1f\x8b", "a gzip file", "unpack it first"),
    (
        0,
        b"\x80\x02",
        "a Python pickle, most likely PyTorch weights",
        f"it holds no network; export the model and {_CONVERT}",
    ),
    (0, b"\x93NUMPY", "a numpy array", "arrays are inputs of a run; the model comes first"),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the model itself", "fetch it with `git lfs pull`"),
    (0, b"\x7fELF", "a compiled program", "name the model it was built from"),
    (4, b"TFL2", "a TensorFlow Lite model of schema version 2", "convert the source model again"),
    (4, b"ET12", "an ExecuTorch program (.pte)", f"not read; export the model and {_CONVERT}"),
)


def unknown_format(data: bytes) -> ChipfitError:
    """The error F002, with what the file seems to be."""
    what, hint = _recognise(data)
    return ChipfitError("F002", f"the file is {what}", hint)


def _recognise(data: bytes) -> tuple[str, str]:
    if not data:
        return "empty", "download or convert the model again"
    for offset, magic, what, hint in _MAGIC:
        if data[offset : offset + len(magic)] == magic:
            return what, hint
    head = data[:4096]
    if head.lstrip()[:1] == b"<":
        return "a web page or XML, not a model", "the download went wrong: take the raw file's address"
    if b"unsigned char" in head or b"alignas" in head:
        return "C source with a model's bytes", "turn it back into a file, e.g. with `xxd -r -p`, or find its .tflite"
    return "of no format that chipfit knows", "chipfit reads TensorFlow Lite, Keras, PyTorch (.pt2) and ONNX models"
