# make demo and make test do all the set-up on a fresh machine with git, make, Python 3.11 to 3.13 and a C compiler.
PYTHON ?= $(or $(shell command -v python3.11 || command -v python3.12 || command -v python3.13),python3.11)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DATA ?= ../shared/data
PEERS ?= .venv-peers
AUDIT ?= .venv-audit
MUTANTS ?= .venv-mutants
WHAT ?=
ROUNDS ?= 100

.PHONY: help install demo test check fuzz mutants methods views tables bench scale bench-peers parity proofs storm audit clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(INSTALLED): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here. Install Python 3.11, 3.12 or 3.13, or name yours: make PYTHON=/path/to/python"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

install: $(INSTALLED) ## create .venv with the pinned dependencies

demo: $(INSTALLED) ## a small factory: train, inspect five nights, show what was found
	$(BIN)/rd-inspect demo

test: $(INSTALLED) ## all tests
	$(BIN)/python -m pytest -q -m "not slow" -n 3 --dist loadfile --no-loadscope-reorder

fuzz: $(INSTALLED) ## the property tests with new examples, twenty times as many
	$(BIN)/python -m pytest -q -m "hypothesis and not slow" --hypothesis-profile=fuzz --timeout 3600 -n 3

mutants: $(INSTALLED) ## change storage, gate and calibration in small ways, WHAT='rd_core.gate.decision*', and see which no test notices
	test -x $(MUTANTS)/bin/mutmut || { $(PYTHON) -m venv $(MUTANTS) && \
	  ls -d $(CURDIR)/$(VENV)/lib/python3*/site-packages > $$(ls -d $(MUTANTS)/lib/python3*/site-packages)/project.pth && \
	  $(MUTANTS)/bin/python -m pip install --quiet mutmut==3.8.1; }
	$(MUTANTS)/bin/mutmut run $(WHAT)
	$(MUTANTS)/bin/mutmut results | grep -v ": not checked$$" || echo "none survived"

check: $(INSTALLED) ## format, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: ## compare requirements.lock with the known security advisories (needs a network)
	test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/python -m pip install --quiet pip-audit; }
	$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip -r requirements.lock

proofs: $(INSTALLED) ## slow proofs: 100,000 records, 10,000 hostile files, a full disk, months of drift, the authors' largest network
	$(BIN)/python -m pytest -q -m slow --timeout 3600
	$(BIN)/python -m proofs.night_sizes --most 100000
	$(BIN)/python -m proofs.drift_delay
	$(BIN)/python -m proofs.few_normals

storm: $(INSTALLED) ## kill, cut off and overrun nights and backfills, ROUNDS=100, and look for what was lost
	$(BIN)/python -m proofs.storm --rounds $(ROUNDS)

methods: $(INSTALLED) ## every method on the MVTec-layout folders below DATA=...: quality and cost; hours, and goes on where it stopped
	$(BIN)/python -m benchmarks.methods $(DATA)

views: $(INSTALLED) ## image sizes and tiles on folders below DATA=...: quality and cost; hours, and goes on where it stopped
	$(BIN)/python -m benchmarks.views $(DATA)

bench: $(INSTALLED) ## forward pass, engines, a task, a night beside the bare networks, a training step, the gate
	$(BIN)/python -m benchmarks.cost
	$(BIN)/python -m benchmarks.engines
	$(BIN)/python -m benchmarks.task_cost
	$(BIN)/python -m benchmarks.throughput
	$(BIN)/python -m benchmarks.training_step
	$(BIN)/python -m benchmarks.gate
	$(BIN)/python -m benchmarks.method_choice

scale: $(INSTALLED) ## nights of 10^3 to 10^6 records, a year of scores: hours, and 15 GB
	$(BIN)/python -m proofs.night_sizes
	$(BIN)/python -m benchmarks.year_of_scores

bench-peers: $(INSTALLED) $(PEERS)/.installed ## a night beside anomalib's Engine.predict, in one run
	$(BIN)/python -m benchmarks.prediction --peers-python $(PEERS)/bin/python

parity: $(PEERS)/.installed ## PaDiM and PatchCore held against anomalib's modules on the same features
	$(PEERS)/bin/python -m proofs.parity

tables: $(INSTALLED) ## docs/benchmarks.md and the tables in README.md and docs/methods.md, from benchmarks/results, where measurements write
	$(BIN)/python -m benchmarks.tables

$(PEERS)/.installed: benchmarks/peers-requirements.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers-requirements.txt
	@touch $@

clean: ## remove what the commands above made, but not .venv
	rm -rf mutants rd-inspect-demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
