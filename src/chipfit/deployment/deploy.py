"""``chipfit.deploy``: pictures or a model, a board: all the way to a program that was proven on the emulated chip."""

from __future__ import annotations

import shlex
import time
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import numpy as np

from chipfit.deployment.advice import Advice, advise, untrained
from chipfit.deployment.figures import Needs, first_that_fits
from chipfit.deployment.integers import open_run, options_of, quantized_file
from chipfit.deployment.judged import Judged, accuracy_of, judged_by_data, judged_by_pictures, judged_by_random
from chipfit.deployment.report import Accuracy, DeployReport, Proof, State, Step
from chipfit.deployment.request import Listener, Request
from chipfit.deployment.source import is_pictures, is_run, save_arrays
from chipfit.errors import ChipfitError
from chipfit.files import PART
from chipfit.graph import Array
from chipfit.metadata import facts_of
from chipfit.model import Model, load
from chipfit.project import write_project
from chipfit.projects import framework_names, load_framework
from chipfit.quantization import CALIBRATED
from chipfit.quantize import Preprocessing
from chipfit.report.data import CompileReport, RunReport
from chipfit.training.folders import find_pictures
from chipfit.training.run_folder import RunFolder
from chipfit.training.train import Source, require_source, resume, source_of, train
from chipfit.verification import FLOAT_TOLERANCE, compare_outputs

REPORT = "deploy.json"
RUN, FIRMWARE, PROJECT = "run", "firmware", "project"
VALIDATION_FILE, INPUTS_FILE = "validation.npz", "inputs.npz"


def deploy(request: Request, listener: Listener | None = None) -> DeployReport:
    """Train or load, quantize, compile, verify on the emulated chip, and write a project, all into one folder.

    What was done before with the same settings is kept. Where the program does not keep to the board and the limits,
    the report says so, with candidates that were computed. Each step writes what it writes whole or not at all.
    Raises ChipfitError F001 (no source), P001 if the folder is not one of deploy's or its run was trained otherwise,
    V001 where the emulated chip gives other outputs than the reference, and as the steps do: see
    :func:`chipfit.training.train.train`, :func:`chipfit.quantization.quantize_model`,
    :func:`chipfit.project.write_project`.
    """
    if not request.source.exists():
        raise ChipfitError("F001", f"there is no file or folder '{request.source}'", "check the path")
    if request.framework is not None:
        load_framework(request.framework).ids_of(request.board)
        if request.rows:
            raise ChipfitError("U001", "projects take a picture as a whole", "leave out --input rows, or -f")
    _own(request)
    return _Deployment(request, listener or Listener()).report()


def _own(request: Request) -> None:
    """Make the folder, or raise P001 if it is somebody else's."""
    folder = request.folder
    # a call that was killed at its very beginning leaves a part of its report
    is_free = folder.is_dir() and all(path.name == f"{PART}{REPORT}" for path in folder.iterdir())
    is_ours = (folder / REPORT).is_file() or is_free
    if folder.exists() and not is_ours and not (request.force and folder.is_dir()):
        hint = "choose another folder with -o, or pass --force"
        raise ChipfitError("P001", f"'{folder}' exists and was not written by chipfit deploy", hint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ChipfitError("P003", f"cannot make '{folder}': {error.strerror or error}") from None
    if not (folder / REPORT).is_file():
        RunFolder(folder).write_json(REPORT, {"schema": "chipfit.deploy", "version": 1, "problem": "not finished"})


class _TooLargeError(Exception):
    def __init__(self, tried: Sequence[Needs], advice: Advice) -> None:
        super().__init__(tried[0].problem)
        self.tried, self.advice = tuple(tried), advice


class _Deployment:
    """One deployment, step by step. ``source``: of the pictures, where the network is trained by chipfit."""

    def __init__(self, request: Request, listener: Listener) -> None:
        self._asked, self._listener, self._out = request, listener, request.folder
        self._steps: list[Step] = []
        self._started = time.monotonic()
        self._model = request.source.stem
        self._source: Source | None = None
        self._how: Preprocessing | None = None
        self._float_file: Path | None = None

    def report(self) -> DeployReport:
        try:
            report = self._run()
        except _TooLargeError as error:
            best = error.advice.best
            pictures = self._source.data if self._source else None
            offer = "chipfit board list" if best is None else self._asked.with_candidate(best, pictures).command
            report = self._report(error.tried, problem=str(error), advice=error.advice, offer=offer)
        RunFolder(self._out).write_json(REPORT, report.to_json())
        return report

    def _report(
        self,
        tried: Sequence[Needs],
        *,
        offer: str,
        accuracy: Accuracy | None = None,
        compiled: CompileReport | None = None,
        run: RunReport | None = None,
        proof: Proof | None = None,
        problem: str | None = None,
        advice: Advice | None = None,
    ) -> DeployReport:
        return DeployReport(
            source=str(self._asked.source),
            model=self._model,
            board=self._asked.board.name,
            framework=self._asked.framework,
            folder=str(self._out),
            optimize=compiled.optimize if compiled else None,
            steps=tuple(self._steps),
            tried=tuple(tried),
            accuracy=accuracy,
            flash=compiled.flash if compiled else None,
            ram=compiled.ram if compiled else None,
            instructions=run.instructions if run else None,
            milliseconds=run.milliseconds if run else None,
            proof=proof,
            problem=problem,
            advice=advice,
            offer=offer,
            seconds=time.monotonic() - self._started,
        )

    def _run(self) -> DeployReport:
        asked = self._asked
        if is_run(asked.source):
            self._source = source_of(asked.source)
            file, model, judged = self._from_run(asked.source)
        elif is_pictures(asked.source):
            self._source = Source(asked.source, asked.validation, asked.settings.resolved())
            self._train(self._source)
            file, model, judged = self._from_run(self._out / RUN)
        else:
            file, model, judged = self._from_file()
        tried = self._fit(model)
        goal = ["--optimize", tried[-1].optimize]
        goal += ["--weights", "compressed"] if asked.weights == "compressed" else []
        compiled = self._compile(model, file, goal, tried[-1])
        run, proof = self._prove(model, file, goal, judged)
        accuracy = self._judge(file, judged, run.outputs[0])
        offer = self._project(model, file, goal, tried[-1], judged)
        return self._report(tried, offer=offer, accuracy=accuracy, compiled=compiled, run=run, proof=proof)

    @contextmanager
    def _step(self, *words: str) -> Generator[None]:
        command = shlex.join(words)
        self._listener.step(command, "ran")
        started = time.monotonic()
        yield
        self._steps.append(Step(command, "ran", time.monotonic() - started))

    def _was_done(self, *words: str) -> None:
        command = shlex.join(words)
        self._listener.step(command, "kept")
        self._steps.append(Step(command, "kept", 0.0))

    def _doing(self, words: Sequence[str], state: State) -> AbstractContextManager[None]:
        if state == "ran":
            return self._step(*words)
        self._was_done(*words)
        return nullcontext()

    # ------------------------------------------------------------------------------------------ from pictures

    def _train(self, source: Source) -> None:
        run = self._out / RUN
        words = shlex.split(self._asked.settings.command(source.data, source.validation, run))
        watch, progress = self._listener.training, self._listener.progress
        if not is_run(run):
            self._fit_untrained(source)
            with self._step(*words):
                train(source.data, run, source.settings, validation=source.validation, watch=watch, progress=progress)
            return
        before = require_source(run, source.data, source.settings)
        epochs = source.settings.epochs
        if RunFolder(run).read_run()["status"] == "finished" and before.settings.epochs == epochs:
            self._was_done(*words)
            return
        with self._step("chipfit", "train", "--resume", "--epochs", str(epochs), "-o", str(run)):
            resume(run, epochs=epochs, watch=watch, progress=progress)

    def _fit_untrained(self, source: Source) -> None:
        """Whether it is worth training at all."""
        classes = len(find_pictures(source.data, source.validation).classes)
        self._listener.now(f"does it fit {self._asked.board.name}? The network is compiled untrained")
        self._fit(untrained(source.settings.network(classes)))

    def _from_run(self, run: Path) -> tuple[Path, Model, Judged]:
        opened = open_run(run, self._out, doing=self._doing, progress=self._listener.progress)
        self._model, self._how, self._float_file = opened.name, opened.preprocessing, opened.float_file
        validation = self._out / VALIDATION_FILE
        save_arrays(validation, opened.validation)
        name, count = opened.model.inputs[0].name, self._asked.verified
        judged = judged_by_pictures(opened.model, opened.pictures, self._how, count, name, validation)
        return opened.file, opened.model, judged

    # ------------------------------------------------------------------------------------------ from a model

    def _from_file(self) -> tuple[Path, Model, Judged]:
        asked, file = self._asked, self._asked.source
        model = load(file)
        self._model, self._how = model.name, asked.preprocessing or facts_of(model).preprocessing
        skip = 0
        if model.is_float and not model.is_integer:
            if asked.data is None:
                what = f"'{file}' is a float model: its integers are chosen on typical inputs"
                raise ChipfitError("Q001", what, "--data names a folder of pictures or an .npz file; 100 are enough")
            self._float_file, skip = file, CALIBRATED
            file, model = self._quantize(file, model, asked.data)
        if asked.data is None:
            return file, model, judged_by_random(model, asked.verified)
        return file, model, judged_by_data(model, asked.data, self._how, asked.verified, skip)

    # ------------------------------------------------------------------------------------------ steps

    def _quantize(self, source: Path, model: Model, data: Path) -> tuple[Path, Model]:
        file = self._out / f"{self._model}.tflite"
        made = quantized_file(
            source, model, data, file, self._how, doing=self._doing, progress=self._listener.progress
        )  # fmt: skip
        return file, made

    def _fit(self, model: Model) -> list[Needs]:
        """What was tried, up to what fits. Raises _TooLargeError."""
        asked = self._asked
        self._listener.now(f"does it fit {asked.board.name}?")
        started = time.monotonic()
        tried = first_that_fits(model, asked.board, asked.goals, asked.limits, rows=asked.rows, weights=asked.weights)
        took = time.monotonic() - started
        if tried[-1].fits:
            return tried
        network = None
        if self._source is not None:
            network = self._source.settings.network(int(np.prod(model.graph.outputs[0].shape)))
        framework = load_framework(asked.framework) if asked.framework else None
        advice = advise(
            model,
            asked.board,
            asked.limits,
            tried,
            network=network,
            boards=framework.knows if framework else lambda board: True,
            with_rows=framework is None and not asked.rows,
            weights=self._source.settings.weights if self._source else None,
            took=took,
            say=lambda text: self._listener.now(f"what would fit? Trying: {text}"),
        )
        raise _TooLargeError(tried, advice)

    def _compile(self, model: Model, file: Path, goal: list[str], needs: Needs) -> CompileReport:
        asked, out = self._asked, self._out / FIRMWARE
        rows = ["--input", "rows"] if asked.rows else []
        with self._step("chipfit", "compile", str(file), "-b", asked.board_name, *goal, *rows, "-o", str(out)):
            self._firmware = model.compile(
                asked.board, out, optimize=needs.optimize, input_rows=asked.rows, weights=asked.weights
            )
        return self._firmware.report

    def _prove(self, model: Model, file: Path, goal: list[str], judged: Judged) -> tuple[RunReport, Proof]:
        """Run the samples on the emulated chip, and hold all outputs against the reference."""
        asked, inputs = self._asked, self._out / INPUTS_FILE
        columns = zip(*judged.samples, strict=True)
        save_arrays(inputs, {info.name: np.stack(x) for info, x in zip(model.inputs, columns, strict=True)})
        words = ["chipfit", "verify", str(file), "-b", asked.board_name, *goal, "--input", str(inputs), "--no-oracles"]
        if asked.rows:  # which `chipfit verify` does not know
            words = ["chipfit", "run", str(self._out / FIRMWARE), "--input", str(inputs)]
        with self._step(*words):
            run = self._firmware.run(
                judged.samples,
                progress=lambda n: self._listener.now(f"the chip runs: {n / 1e6:,.0f} million instructions"),
            )
            self._listener.now("the reference runs")
            tolerance = FLOAT_TOLERANCE if model.is_float else 0.0
            found = compare_outputs(asked.board.name, model.run_samples(judged.samples), run.outputs, tolerance)
        if not found.passed:
            hint = "this is a bug of chipfit: please report it with the model"
            raise ChipfitError("V001", f"{model.name} on {asked.board.name}: {found.first_difference}", hint)
        return run, Proof(len(judged.samples), found.identical, run.proof)

    def _judge(self, file: Path, judged: Judged, outputs: Array) -> Accuracy | None:
        if judged.file is None:
            return None
        models = [str(f) for f in (self._float_file, file) if f is not None]
        skip = ["--skip", str(judged.skip)] if judged.skip else []
        stated = self._how if self._how != facts_of(load(file)).preprocessing else None
        with self._step("chipfit", "evaluate", *models, "--data", str(judged.file), *skip, *options_of(stated)):
            return accuracy_of(self._float_file, file, judged, outputs, self._how, self._listener.progress)

    def _project(self, model: Model, file: Path, goal: list[str], needs: Needs, judged: Judged) -> str:
        """The command to go on with."""
        asked, out = self._asked, self._out / PROJECT
        words = ["chipfit", "project", str(file), "-b", asked.board_name]
        if asked.framework is None:
            known = next((name for name in framework_names() if load_framework(name).knows(asked.board)), None)
            if known is None:
                return shlex.join(["chipfit", "run", str(self._out / FIRMWARE)])
            return shlex.join([*words, "-f", known, *goal])
        inputs = judged.file or self._out / INPUTS_FILE
        where = ["--inputs", str(inputs), *goal, "-o", str(out)]
        with self._step(*words, "-f", asked.framework, *where):
            write_project(
                model,
                asked.board,
                asked.framework,
                out,
                inputs=inputs,
                preprocessing=self._how,
                optimize=needs.optimize,
                weights=asked.weights,
                force=asked.force,
            )
        return shlex.join(["chipfit", "flash", str(out)])
