# Two commands set everything up on a machine that has Python 3.10 or newer, and run it:
#
#     make lab     JupyterLab on the first notebook
#     make test    every check there is
#
# Both make an environment in .venv first (once). PYTHON=python3.12 chooses the interpreter; pip's own settings
# (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, ...) are honoured.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile -c constraints.txt
# pip would compile 16,000 files on one core; this takes all. Some packages carry a file that is no Python: never mind.
COMPILE := $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true

# What the installation copies out of the tree; a change of it means installing again.
SERVER_CONFIG := l2l_widgets/jupyter/jupyter_server_config.d/l2l_widgets.json

# Two threads gain nothing on pictures of this size, and cost much when a notebook and a browser share the cores.
TEST_ENV := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1

PYTEST := $(TEST_ENV) $(BIN)/python -m pytest
# Processes that share the tests, a module's in one; each takes some 700 MB.
WORKERS ?= 2
SHARED := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help lab test quick format lint types tests clean

help:
	@echo "make lab     set up and open JupyterLab on the first notebook"
	@echo "make test    set up and run every check (format, lint, types, tests, notebooks, browser)"
	@echo "make quick   set up and run the tests that take under three minutes"
	@echo "make format  rewrite the code in the project's format"
	@echo "make clean   remove the environment"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "l2l_widgets needs Python 3.10 or newer; choose one with: make PYTHON=python3.12 ..."; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' \
	  || { echo "this Python cannot make environments; on Debian or Ubuntu: apt-get install python3-venv"; exit 2; }
	@echo "making an environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# A stamp is written only after pip succeeded, so a broken set-up is taken up again by the next `make`.
$(VENV)/.lab-installed: pyproject.toml constraints.txt $(SERVER_CONFIG) | $(BIN)/python
	@echo "installing (the first time takes some minutes)"
	@$(PIP) -e .
	@$(COMPILE)
	@touch $@

$(VENV)/.test-installed: pyproject.toml constraints.txt $(SERVER_CONFIG) | $(BIN)/python
	@echo "installing, with what the tests need (the first time takes some minutes)"
	@$(PIP) -e '.[test]'
	@$(COMPILE)
	@touch $@ $(VENV)/.lab-installed

lab: $(VENV)/.lab-installed
	@$(BIN)/l2l lab

test: lint types tests

lint: $(VENV)/.test-installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.test-installed
	$(BIN)/mypy

# One run for all of them. What takes long begins first, and every test that drives a browser is in the same process
# (tests/sharing.py): while it waits for a kernel or a page, the others use the cores.
tests: $(VENV)/.test-installed
	$(PYTEST) $(SHARED) -m "not gpu"

quick: $(VENV)/.test-installed
	$(PYTEST) $(SHARED)

format: $(VENV)/.test-installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV)
