# Everything runs in .venv, which is made when it is missing or older than what it is made from.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Two threads per process on a small machine only fight each other, and one thread makes sums repeatable.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help env allegro quickstart mini results test slow drill lint docs bench clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(STAMP)  ## Build .venv (Python 3.11, 3.12 or 3.13)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "mfsweep needs Python 3.11, 3.12 or 3.13: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt torch
	$(PIP) install --quiet --constraint constraints.txt --editable '.[test,dev]'
	@touch $@

allegro: env  ## Install Allegro's own packages beside .venv's (seconds; once)
	$(BIN)/mfsweep env allegro

quickstart: env  ## Does pre-training on DFT pay? 42 small trainings, errors, a transfer law, a report
	$(BIN)/mfsweep run search_spaces/quickstart.yaml

results: mini  ## The tables of docs/results.md and README anew: both suites of twins, and what came out
	$(BIN)/mfsweep run search_spaces/real/*.yaml
	$(BIN)/python docs/hooks/results_tables.py $${MFSWEEP_STORE:-mfsweep-store}

mini: env allegro  ## Every experiment of the source study, scaled down, in one store
	$(BIN)/mfsweep run search_spaces/mini/*.yaml

# Two processes: one begins with what runs on a Ray cluster, the other with the rest (tests/conftest.py).
test: env allegro  ## The tests, without the slow ones
	$(BIN)/python -m pytest --numprocesses 2

slow: env allegro  ## The slow tests, and those of properties on more examples
	$(BIN)/python -m pytest -m "slow or hypothesis" --hypothesis-profile thorough

drill: env  ## Faults on purpose: kills, races, full disks, second users (as root); tests/README.md lists them
	$(BIN)/python -m pytest -m drill

lint: env  ## ruff and basedpyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

docs: env  ## The documentation as a site in site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

bench: env  ## The benchmarks, a quarter of an hour; they print tables and never fail on a time
	$(BIN)/python tests/benchmarks

clean:  ## Remove .venv and all caches; stores stay
	rm -rf $(VENV) build site *.egg-info .pytest_cache .ruff_cache .hypothesis .benchmarks
	find mfsweep tests -name __pycache__ -type d -prune -exec rm -rf {} +
