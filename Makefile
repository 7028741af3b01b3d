# Everything from a bare machine with Python 3.11+ (with venv), git and make. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# uv is quicker where it happens to be installed; pip does the same.
INSTALL := $(if $(shell command -v uv),uv pip install --quiet --compile-bytecode --python $(RUN),$(RUN) -m pip install --quiet --disable-pip-version-check --no-input) --require-hashes

# Each process would compile Django anew, which takes longer than a cycle's decision.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup cycle up test lint bench lock docs clean
.DELETE_ON_ERROR:

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 10

# The stamps lie in the venv, so that they go when it goes.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "AutoTrader needs Python 3.11 or later: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "python3 -m venv does not work here; on Debian: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.runtime: requirements.txt | $(VENV)/bin/python
	@echo "installing the pinned packages (once, about half a minute)"
	@$(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	@echo "installing what the tests need (once, about a minute)"
	@$(INSTALL) -r requirements-dev.txt
	@touch $@

setup: $(VENV)/.runtime  ## venv, pinned packages, migrations, demo strategy
	@$(RUN) manage.py prepare

cycle: setup  ## one cycle of the demo strategy on the embedded defaults
	@$(RUN) manage.py run_cycle

up: $(VENV)/.runtime  ## web, workers, broker and gateway; Ctrl-C stops all
	@$(RUN) manage.py up

test:  ## the whole suite, with everything it needs
	@started=$$(date +%s); $(MAKE) --no-print-directory $(VENV)/.dev && exec $(RUN) -m tests.run --started $$started

lint: $(VENV)/.dev  ## ruff, mypy, import contracts, migrations
	@$(RUN) -m tests.run --lint-only

bench: $(VENV)/.dev  ## medians and ratios, measured now
	@$(RUN) -m tests.bench

lock: $(VENV)/.dev  ## pin requirements.in and requirements-dev.in anew, with hashes
	@$(RUN) -m uv --version >/dev/null 2>&1 || $(RUN) -m pip install --quiet uv
	$(RUN) -m uv pip compile --quiet --universal --generate-hashes --python-version 3.11 requirements.in -o requirements.txt
	$(RUN) -m uv pip compile --quiet --universal --generate-hashes --python-version 3.11 -c requirements.txt requirements-dev.in -o requirements-dev.txt

docs: $(VENV)/.runtime  ## rewrite docs/architecture.md from the modules' docstrings
	@$(RUN) -m autotrader.core.ops.architecture

clean:  ## remove the venv and caches; your data in var/ stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
