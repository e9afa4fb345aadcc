"""``.keras`` archives and ``.h5`` files of Keras 3 and 2. Code in them is not run unless that is allowed."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

from chipfit.apart import ApartError, call_apart
from chipfit.errors import ChipfitError
from chipfit.importers._problems import Problem, raise_problems
from chipfit.importers.keras.framework import import_h5py
from chipfit.importers.keras.legacy import items, modernise

ZIP, HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"

_MOST_BYTES = 1 << 30
_MOST_SECONDS = 120
_WEIGHTS = "model.weights.h5"
_ALLOW = (
    "if you trust the file: chipfit.load(..., allow_code=True), --allow-code, or register the class with Keras before"
)
_REGISTER = "register classes of your own before: keras.saving.register_keras_serializable"
_DAMAGED = "save the model again with model.save('name.keras')"


def is_keras_archive(data: bytes) -> bool:
    """Whether a file is a ``.keras`` archive, by its content."""
    if data[:4] != ZIP:
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return "config.json" in archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError):
        return False


def load_file(keras: Any, data: bytes, allow_code: bool, is_apart: bool = False) -> Any:
    """The Keras model in a ``.keras`` or ``.h5`` file.

    ``is_apart``: this process may crash. Raises ChipfitError O001 for code that is not allowed, F002, F003 or F005 for
    files that cannot be read.
    """
    return (_load_hdf5 if data.startswith(HDF5) else _load_archive)(keras, data, allow_code, is_apart)


def _load_archive(keras: Any, data: bytes, allow_code: bool, is_apart: bool) -> Any:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(item.file_size for item in archive.infolist()) > _MOST_BYTES:
                raise ChipfitError("F005", "the archive has more than 1 GiB unpacked", "is it a model?")
            config = json.loads(archive.read("config.json"))
            missing = {"metadata.json", _WEIGHTS} - set(archive.namelist())
            weights = b"" if _WEIGHTS in missing else archive.read(_WEIGHTS)
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, RuntimeError, EOFError) as error:
        raise ChipfitError("F003", f"the .keras archive is damaged: {error}", _DAMAGED) from None
    if missing:
        raise ChipfitError("F003", f"the .keras archive has no {' and no '.join(sorted(missing))}", _DAMAGED)
    if not allow_code:
        _refuse_code(keras, config)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / _WEIGHTS).write_bytes(weights)
        _require_sound(Path(folder) / _WEIGHTS, is_apart)
        path = Path(folder) / "model.keras"
        path.write_bytes(data)
        return _guarded(lambda: keras.models.load_model(path, compile=False, safe_mode=not allow_code))


def _load_hdf5(keras: Any, data: bytes, allow_code: bool, is_apart: bool) -> Any:
    h5py = import_h5py()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.h5"
        path.write_bytes(data)
        _require_sound(path, is_apart)
        try:
            with h5py.File(path, "r+") as file:
                text: Any = file.attrs.get("model_config")
                if text is None:
                    hint = "build the network in Python, load the weights into it, and hand that model to chipfit.load"
                    raise ChipfitError("F002", "the HDF5 file holds no network (weights alone, or other data)", hint)
                config = json.loads(text)
                if not allow_code:
                    _refuse_code(keras, config)
                modernise(config)
                file.attrs["model_config"] = json.dumps(config)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise ChipfitError("F003", f"the HDF5 file is damaged: {error}", _DAMAGED) from None
        return _guarded(lambda: keras.models.load_model(path, compile=False, safe_mode=not allow_code))


def _require_sound(path: Path, is_apart: bool) -> None:
    """Raise ChipfitError F003 for an HDF5 file that cannot be read to its end.

    Another process than the user's does it first: the HDF5 library ends the one that reads some damaged files.
    """
    import_h5py()
    try:
        if is_apart:
            _read_all(path)
        else:
            call_apart(_read_all, path, seconds=_MOST_SECONDS)
    except ApartError as error:
        said = f": {error.said[-1][:300]}" if error.said else ""
        raise ChipfitError("F003", f"the HDF5 data is damaged: what reads it {error.reason}{said}", _DAMAGED) from None


def _read_all(path: Path) -> None:
    """Read all of an HDF5 file. Raises anything, or dies, where that cannot be done."""
    h5py = import_h5py()

    def read(name: str, item: Any) -> None:
        for key in item.attrs:
            item.attrs[key]
        if isinstance(item, h5py.Dataset):
            if item.nbytes > _MOST_BYTES:
                raise ValueError(f"{name} has {item.nbytes} bytes")
            item[()]

    with h5py.File(path, "r") as file:
        read("/", file)
        file.visititems(read)


def _guarded(load: Any) -> Any:
    """What Keras loads; whatever it raises is a ChipfitError."""
    try:
        return load()
    except ChipfitError:
        raise
    except Exception as error:  # configurations of files can lead Keras anywhere
        reason = str(error).strip().split("\n")[0][:300]
        is_unknown = any(
            word in str(error) for word in ("register_keras_serializable", "custom_object", "Unknown layer")
        )
        hint = _REGISTER if is_unknown else _DAMAGED
        raise ChipfitError("F003", f"Keras cannot read the file: {type(error).__name__}: {reason}", hint) from error


# ---------------------------------------------------------------------------------------------- configurations


def _refuse_code(keras: Any, config: Any) -> None:
    """Raise ChipfitError O001, with all of them, for layers whose meaning is code and not a class of Keras."""
    known = set(keras.saving.get_custom_objects())
    problems: list[Problem] = []
    for item in items(config):
        kind, module, registered = item["class_name"], item.get("module"), item.get("registered_name")
        inner = item.get("config")
        name = inner.get("name") if isinstance(inner, dict) else None
        where = f"{kind} '{name}'" if isinstance(name, str) else kind
        if kind in ("Lambda", "__lambda__"):
            problems.append(Problem("O001", f"{where}: it is Python code in the file, which is not run", _ALLOW))
        elif kind in known or registered in known:
            continue
        elif isinstance(module, str) and not (module == "keras" or module.startswith(("keras.", "builtins"))):
            problems.append(Problem("O001", f"{where}: it is a class of '{module}', not of Keras", _ALLOW))
        elif isinstance(registered, str) and ">" in registered:
            problems.append(Problem("O001", f"{where}: it is the class '{registered}', not one of Keras", _ALLOW))
    raise_problems(problems, "layers")
