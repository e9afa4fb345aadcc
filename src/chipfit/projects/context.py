"""What templates know of a project."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from chipfit.projects.inputs import StoredInputs
from chipfit.projects.interpreter import InterpreterUse
from chipfit.projects.preprocess import PixelMap
from chipfit.quantize import Preprocessing
from chipfit.report.data import CompileReport, RunReport, TensorInfo
from chipfit.targets import Board

_LONGEST = 48
"""Characters of a library's name; the Arduino IDE takes 63."""

# of C99 and C11 (ISO/IEC 9899:2011, 7.1.2), and of Arduino's core and the libraries that come with most cores
_HEADERS = frozenset(
    """
    assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic
    stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype

    arduino client eeprom ethernet ip ipaddress print printable sd server servo spi stream udp wifi wire wstring
    """.split()  # noqa: SIM905 - a list of names, read better so
)
"""A library's header of such a name would be found instead, on systems that do not tell capitals apart."""


_CORE_VECTORS = 16

DRIVER_TAG = "24.08"
"""The release of Arm's ethos-u-core-driver that projects are written for."""


@dataclass(frozen=True)
class NpuUse:
    """What a project's NPU does. ``base``: address of its registers; ``interrupt``: its number. ``constants`` and
    ``working``: the board's memories that the model's constants and activations lie in.

    ``on_core``: names of the operators that the core computes; ``on_npu``: how many the NPU does, as Vela counts them;
    ``cycles``, at ``clock_hz``: of one run, estimated (Vela). These are None where the model came as a file of Vela.
    """

    accelerator: str
    base: int
    interrupt: int
    constants: str
    working: str
    on_core: tuple[str, ...]
    vela: str | None = None
    on_npu: int | None = None
    cycles: int | None = None
    clock_hz: int | None = None
    driver: str = DRIVER_TAG

    @property
    def vectors_alignment(self) -> int:
        """Of a vector table up to its interrupt: its size, rounded up to a power of two."""
        return max(128, 1 << (4 * (_CORE_VECTORS + self.interrupt + 1) - 1).bit_length())

    @property
    def macs(self) -> str:
        """Multiply-accumulates in a cycle."""
        return self.accelerator.rpartition("-")[2]

    @property
    def family(self) -> str:
        """As Arm writes it."""
        return "Ethos-U65" if "u65" in self.accelerator else "Ethos-U55"


@dataclass(frozen=True)
class Context:
    """The names of templates.

    ``name``: of the project, as the user wrote it; ``p`` and ``upper``: how its names in C begin; ``slug`` and
    ``pascal``: the same as names of files (``my-model``) and of libraries (``MyModel``).

    ``board``: with all that is known of it (``board.core.gcc_flags``, ``board.flash.size``); ``ids``: how the framework
    names it, the framework's table in the board's file. ``title``: what kind of
    project it is, in words.

    ``report``: what compiling the model for the board said (``report.flash.total``, ``report.ram.arena``,
    ``report.optimize``); ``run``: the same of the emulated run of the test inputs; None where the board is not
    emulated. ``tolerance``: within which real outputs must be the same, relative to the greatest; 0 for integers.

    ``inputs`` and ``outputs``: :class:`chipfit.report.data.TensorInfo` each. ``tests``: the stored test inputs.
    ``pixels``: how pictures become inputs; None for a model that takes none. ``preprocessing``: the numbers that it
    is made of. ``labels``: names of the classes; empty: unknown. ``classes``: of a model that classifies, else 0.

    ``sources``: the C files, below the folder ``sources_folder``; ``port_files``: those of runtime/port, below
    ``port_folder``. ``link_script``: for a bare chip, as text, with a stack of ``stack_bytes``. ``commands``: what is
    to be done next. ``version``: chipfit's.
    """

    name: str
    p: str
    upper: str
    slug: str
    pascal: str
    title: str
    board: Board
    ids: Mapping[str, str]
    report: CompileReport
    run: RunReport | None
    tolerance: float
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    tests: StoredInputs
    pixels: PixelMap | None
    preprocessing: Preprocessing | None
    labels: tuple[str, ...]
    classes: int
    stack_bytes: int
    link_script: str
    version: str
    npu: NpuUse | None = None
    interpreter: InterpreterUse | None = None
    sources: tuple[str, ...] = ()
    sources_folder: str = ""
    port_files: tuple[str, ...] = ()
    port_folder: str = ""
    commands: tuple[str, ...] = ()

    @property
    def sketch(self) -> str:
        """What an example is called that runs the stored inputs."""
        return "ClassifyStoredPictures" if self.pixels and self.classes else "RunStoredInputs"

    @property
    def label_bytes(self) -> int:
        """Of the longest label in C, the zero behind it included."""
        return max((len(label.encode()) for label in self.labels), default=0) + 1


def slug(name: str) -> str:
    """A name as that of a folder or file: ASCII letters, digits and ``-``; umlauts lose their dots."""
    return "-".join(_words(name)).lower() or "model"


def pascal(name: str) -> str:
    """A name as that of a library: words that begin with capitals; the first character is a letter, and no
    header of C's or Arduino's is called like it."""
    text = "".join(word[:1].upper() + word[1:] for word in _words(name)) or "Model"
    if text[0].isdigit() or text.lower() in _HEADERS:
        text = f"Model{text}"
    return text[:_LONGEST]


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.findall("[A-Za-z0-9]+", plain)
