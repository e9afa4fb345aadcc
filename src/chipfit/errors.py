"""The one exception users see, and the table of its codes that ``chipfit explain`` prints."""

from __future__ import annotations

from dataclasses import dataclass


class ChipfitError(Exception):
    """Something the user can act on.

    ``code`` is a key of :data:`CODES`, ``message`` names the things involved (tensors, shapes, files),
    ``hint`` is the nearest thing the user can do about it.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        if code not in CODES:
            raise KeyError(f"error code {code} is not in chipfit.errors.CODES")
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        text = f"error[{self.code}]: {self.message}"
        return f"{text}\n\nhint: {self.hint}" if self.hint else text


@dataclass(frozen=True)
class ErrorCode:
    """What one code means: a title of one line and a paragraph for ``chipfit explain CODE``."""

    title: str
    text: str


CODES: dict[str, ErrorCode] = {
    # A: accelerators for neural networks
    "A001": ErrorCode(
        "the command stream cannot be executed",
        "It is damaged, or asks the NPU for something that chipfit's simulator does not model: the message names it.",
    ),
    "A002": ErrorCode(
        "the command stream is for another accelerator",
        "Weights lie in an order that depends on the accelerator, so that a driver refuses a stream that was made for "
        "another one. `chipfit inspect MODEL` names the one it is for.",
    ),
    "A003": ErrorCode(
        "the NPU's compiler failed",
        "Arm's Vela refused the model, crashed or took too long. Its last lines are shown.",
    ),
    "A004": ErrorCode(
        "the model is not one for the NPU",
        "An Ethos-U computes on integers of 8 and 16 bits. `chipfit quantize` makes such a model of a float one.",
    ),
    # B: boards and cores
    "B001": ErrorCode("unknown board", "No board of that name. `chipfit board list` shows all of them."),
    "B002": ErrorCode("bad board file", "A board or core TOML file lacks a key or has a value of the wrong kind."),
    # D: devices
    "D001": ErrorCode(
        "no serial port, or which one",
        "chipfit never guesses a serial port: it is named with --port, or `--port auto` takes the only one that is "
        "there. All that were found are listed.",
    ),
    "D002": ErrorCode(
        "a tool of the board failed",
        "The command that was printed ended with an error. What it printed says why; it can be run by hand, too.",
    ),
    # E: emulation
    "E001": ErrorCode(
        "the program touched memory that the board does not have",
        "The emulator maps exactly the board's flash and RAM. The address, the kind of access and the "
        "function are named. In generated code this is a bug of chipfit: please report it.",
    ),
    "E002": ErrorCode(
        "stack overflow",
        "The stack grew below its reserved area. Reserve more stack when compiling, or choose a board with more RAM.",
    ),
    "E003": ErrorCode(
        "illegal instruction",
        "The program contains an instruction that the emulated core does not have: it was most likely "
        "compiled for another core.",
    ),
    "E004": ErrorCode(
        "the program ran longer than the limit",
        "The emulator stops a program after a number of instructions. Raise the limit if the model is that large.",
    ),
    "E005": ErrorCode(
        "the program did not prove what it ran",
        "A run counts only if the program ends with its closing line (model, number of runs). The line was missing "
        "or did not fit the inputs that were handed in.",
    ),
    "E006": ErrorCode("the program crashed", "The emulated core raised an exception. The function is named."),
    # F: files that are read
    "F001": ErrorCode("cannot read the file", "The file does not exist or cannot be opened."),
    "F002": ErrorCode(
        "unknown file format",
        "Formats are told by content, not by name: docs/importing.md lists those that chipfit reads; "
        "`chipfit op list` names the operators.",
    ),
    "F003": ErrorCode(
        "damaged model file",
        "The file is truncated or inconsistent: an index, offset, size or enumeration is out of range.",
    ),
    "F004": ErrorCode(
        "unsupported version", "The file's schema version is not one that chipfit reads (TFLite: 3; kmodel: 3 and 4)."
    ),
    "F005": ErrorCode(
        "model too large",
        "A tensor or the whole model is larger than anything a microcontroller can hold (limit: 1 GiB). "
        "The file is damaged or not meant for such a chip.",
    ),
    # G: graphs
    "G001": ErrorCode(
        "the graph is not valid", "A pass or an importer built a graph that breaks a rule: see the message."
    ),
    "G002": ErrorCode("graph text does not parse", "The line and column of the text form are named."),
    "G003": ErrorCode("shapes or types do not match", "An operator got tensors that do not fit together."),
    # I: inputs of a run
    "I001": ErrorCode("input of the wrong shape", "The input's shape must equal the model's."),
    "I002": ErrorCode("input of the wrong dtype", "The input's dtype must equal the model's."),
    "I003": ErrorCode("unknown input name", "An .npz must name the inputs as the model does, or hold one array."),
    "I004": ErrorCode("cannot read the input file", "Inputs come as .npy or .npz."),
    # M: memory
    "M001": ErrorCode(
        "does not fit",
        "The program needs more flash or RAM than the board has. The figures say which and by how much. "
        "A smaller input, width multiplier or board with more memory would help.",
    ),
    "M002": ErrorCode(
        "the memory plan is wrong",
        "The plan was replayed and a tensor lost bytes that are still read, or lies outside the arena. "
        "This is a bug of chipfit: please report it.",
    ),
    # N: training networks
    "N001": ErrorCode(
        "pictures that cannot be learned from",
        "Training takes a folder with one sub-folder per class, at least two of them, each with pictures that can be "
        "read; or folders `train` and `val` of such sub-folders with equal names; or a CSV file with numbers for each.",
    ),
    "N002": ErrorCode(
        "weights of another network",
        "Pretrained weights are found by the names of layers and must have their shapes: those of the backbone, of its "
        "width multiplier (alpha), and of grey or colour pictures. The hint says of which they are.",
    ),
    "N003": ErrorCode(
        "the run cannot go on",
        "A run that was interrupted goes on from its last finished epoch, with the settings and pictures that it began "
        "with. What differs is named.",
    ),
    "N004": ErrorCode(
        "the network does not learn",
        "The loss became infinite or no number: a smaller learning rate (--rate) helps as a rule.",
    ),
    "N005": ErrorCode(
        "a model that cannot learn",
        "Fine-tuning and quantization-aware training go through every operator of a float model backwards. Those that "
        "have no gradient here are named, with those that have one.",
    ),
    "N006": ErrorCode(
        "the model cannot be made that small",
        "A method of compression has removed all that it may, and the budget is not kept. What is left is said. Give "
        "it a larger budget, combine it with another method, or begin with a smaller network.",
    ),
    # O: operators
    "O001": ErrorCode(
        "operators that chipfit cannot compile",
        "Every operator of the model that has no implementation is listed with its version, tensors and what could "
        "be done instead.",
    ),
    "O002": ErrorCode(
        "operator with options or types that chipfit cannot compile",
        "The operator is known, but not with these dtypes, options or quantization parameters.",
    ),
    # P: projects and output folders
    "P001": ErrorCode(
        "the output folder is not chipfit's",
        "The folder exists and was not written by chipfit. Nothing was changed. Choose another, or pass --force.",
    ),
    "P002": ErrorCode("not a compiled model", "The folder holds no chipfit.json, or one of another version."),
    "P003": ErrorCode("cannot write the output", "The file or folder cannot be written: see the reason that is named."),
    "P004": ErrorCode(
        "the project was edited",
        "Files that chipfit wrote into the folder were changed since. Nothing was overwritten. Choose another folder, "
        "or pass --force. Files of your own stay in any case.",
    ),
    # Q: quantization
    "Q001": ErrorCode(
        "no samples",
        "Ranges of activations are found by running the float model on typical inputs; about 100 are enough. An "
        "evaluation needs some, too.",
    ),
    "Q002": ErrorCode(
        "samples that cannot be used",
        "Samples must be finite numbers in the form that the model was trained on; pictures must be readable, and the "
        "model's input must be one.",
    ),
    "Q003": ErrorCode(
        "bad recipe",
        "A recipe is a mode with options, then rules for layers by name pattern: see docs/quantization.md.",
    ),
    "Q004": ErrorCode(
        "the model cannot be quantized",
        "Quantization starts from float32 weights. Every operator that has no integer form is listed.",
    ),
    "Q005": ErrorCode(
        "models that cannot be compared",
        "Models are evaluated together where they take the same inputs, made of pictures in the same way, tell as many "
        "classes apart, and keep no state between samples.",
    ),
    "Q006": ErrorCode(
        "labels that do not fit",
        "A label is the index of one of the model's classes. It comes from the sub-folder of a picture, the number at "
        "the beginning of its name, a CSV file, or an array: see docs/quantization.md.",
    ),
    # S: streaming
    "S001": ErrorCode(
        "the model cannot be streamed",
        "A window that moves on by a few frames can only be followed by layers that treat all frames alike. Every "
        "layer that does not is listed with the reason: see docs/streaming.md.",
    ),
    "S002": ErrorCode(
        "streaming would save nothing",
        "The first layer that computes needs the whole window: a stateful model would only keep the last frames.",
    ),
    # T: tools
    "T001": ErrorCode("a tool is missing", "A program or Python package that this step needs is not installed."),
    "T002": ErrorCode(
        "the C compiler failed",
        "The generated C did not compile. With chipfit's own compiler this is a bug of chipfit: please report it.",
    ),
    "T003": ErrorCode(
        "a converter crashed or took too long",
        "TensorFlow's converter runs in a process of its own. It ended without a result, or was stopped after the time "
        "that it may take (`chipfit.load(..., timeout=seconds)`). Its last lines are shown.",
    ),
    # U: usage
    "U001": ErrorCode("wrong usage", "The arguments do not fit together: see the message."),
    # V: verification
    "V001": ErrorCode(
        "outputs differ",
        "Two executions of the model that must be identical are not. The first difference is named.",
    ),
}
