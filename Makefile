# Everything here runs from a fresh clone: `make test` makes its own environment first.
# PYTHON names the interpreter to start from; VENV, where the environment goes.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; exit; }; \
  done; echo python3)
VENV ?= .venv

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# What the installed package is built from, apart from Python files, which are used where they lie.
NATIVE := $(wildcard native/CMakeLists.txt native/*.cpp native/*.hpp native/*.h)
# The benchmark's own environment: pinned peers, and Pellucid installed as its users install it.
BENCH := .venv-bench
SOURCES := $(shell find src/pellucid -type f -not -path '*/__pycache__/*')

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv dev digits test test-all docs pages bench lint clean

help:  ## list the targets
	@echo "Pellucid. make TARGET [PYTHON=python3.12] [VENV=.venv]"
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
	  awk -F'|' '{ printf "%-12s %s\n", $$1, $$2 }'

venv: $(VENV)/.installed  ## an environment in .venv with the package installed

dev: $(VENV)/.dev  ## the same, with what the checks need

digits: $(VENV)/.installed  ## train a network on the embedded handwritten digits
	@$(BIN)/python examples/digits.py

test: lint  ## the checks and the tests, the long ones left out
	@echo "pytest"
	@$(BIN)/python -m pytest -q

test-all: lint $(VENV)/.docs  ## the checks and every test
	@echo "pytest, long tests too"
	@$(BIN)/python -m pytest -q -m "long or not long"

docs: $(VENV)/.docs  ## build the site in docs/_build/html
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

pages: $(VENV)/.docs  ## run the walkthroughs and write their pages anew
	@$(BIN)/python docs/pages.py

bench: $(BENCH)/.pellucid  ## time Pellucid beside its peers: ONLY=lenet for one, QUICK=1 for a try
	@$(BENCH)/bin/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
	  $(if $(QUICK),--quick)

lint: $(VENV)/.dev  ## style and types alone
	@echo "ruff"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || \
	  { echo "run $(BIN)/ruff format to lay these files out"; $(BIN)/ruff format --check .; exit 1; }
	@echo "mypy"
	@$(BIN)/mypy --no-error-summary

clean:  ## remove the environment and everything built
	@rm -rf $(VENV) $(BENCH) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Pellucid needs Python 3.11 or later; '$(PYTHON)' is" \
	    "$$($(PYTHON) --version 2>&1 || echo missing). Try: make PYTHON=python3.12" >&2; exit 1; }
	@echo "making the environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml CMakeLists.txt $(NATIVE) | $(BIN)/python
	@echo "installing pellucid into $(VENV) (a minute, the first time)"
	@$(PIP) install --editable '.[images]'
	@touch $@

$(VENV)/.dev: pyproject.toml CMakeLists.txt $(NATIVE) | $(BIN)/python
	@echo "installing pellucid into $(VENV) with what the checks need (some minutes, the first time)"
	@$(PIP) install --editable '.[dev]'
	@touch $(VENV)/.installed $@

$(VENV)/.docs: $(VENV)/.dev
	@echo "installing what the site needs into $(VENV)"
	@$(BIN)/python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	  print(*project["optional-dependencies"]["docs"], sep="\n")' | xargs $(PIP) install
	@touch $@

$(BENCH)/.peers: benchmarks/requirements.txt
	@echo "making $(BENCH) and installing the peers (some minutes, the first time)"
	@$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip --quiet --disable-pip-version-check install -r $<
	@touch $@

$(BENCH)/.pellucid: $(BENCH)/.peers pyproject.toml CMakeLists.txt $(NATIVE) $(SOURCES)
	@echo "installing pellucid into $(BENCH)"
	@$(BENCH)/bin/python -m pip --quiet --disable-pip-version-check install \
	  --config-settings=build-dir=build/bench .
	@touch $@
