# chipfit: everything runs in a virtual environment of its own. Nothing but Python 3.10 or newer and make is needed.
PYTHON ?= python3
VENV ?= .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
# tests run on as many processes as there are cores
JOBS ?= auto

.PHONY: setup setup-dev demo test lint format mutate memory bench bench-npu bench-quantize example-mnist-gru clean

$(BIN)/chipfit: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .

$(VENV)/.dev: pyproject.toml $(BIN)/chipfit
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	$(BIN)/python -c "import pathlib; pathlib.Path('$(VENV)/.dev').touch()"

setup: $(BIN)/chipfit  ## install chipfit

setup-dev: $(VENV)/.dev  ## install what tests and linters need, too

demo: setup  ## a trained network on a simulated Arduino Nano 33 BLE
	$(BIN)/chipfit demo

test: setup-dev  ## all tests
	$(BIN)/python -m pytest -n $(JOBS)

lint: setup-dev  ## ruff and pyright, strict, tests included
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: setup-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

mutate: setup-dev  ## put bugs into the C kernels and see the tests catch each
	$(BIN)/python tests/mutate.py

memory: setup-dev  ## arena, scratch and state of real models: the table in docs/memory.md
	$(BIN)/python benchmarks/memory.py

bench: setup-dev  ## instructions, flash, RAM and stack of the benchmark models
	$(BIN)/python benchmarks/run.py

bench-npu: setup-dev  ## models on every Ethos-U, executed: the tables in docs/ethos-u.md; a GRU on MNIST: CHIPFIT_DATA
	$(BIN)/python benchmarks/npu.py models
	$(BIN)/python benchmarks/npu.py mnist

bench-quantize: setup-dev  ## accuracy of quantized models beside others: the tables in docs/quantization.md
	$(BIN)/python benchmarks/quantization.py

example-mnist-gru: setup-dev  ## train a GRU and an LSTM on MNIST, and run them on a simulated chip; data: CHIPFIT_DATA
	$(BIN)/python examples/mnist_gru/run.py

clean:
	$(PYTHON) -c "import shutil; [shutil.rmtree(p, True) for p in ('$(VENV)', 'build', 'dist')]"
