# Everything from a bare machine with Python 3.11+ (with venv), git and make. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
ASYNC := $(VENV)/ib-async
IBAPI := $(VENV)/ibapi
# uv is quicker where it happens to be installed; pip does the same.
INSTALL := $(if $(shell command -v uv),uv pip install --quiet --compile-bytecode --python $(RUN),$(RUN) -m pip install --quiet --disable-pip-version-check --no-input) --require-hashes

# Each process would compile Django anew, which takes longer than a cycle's decision.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup cycle demo up test test-ib-async lint crash crash-mutants fuzz load bench lock permissions docs css clean
.DELETE_ON_ERROR:

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

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

demo: setup  ## a guided walk from quote to audit, each step compared with the exchange's ledger
	@$(RUN) manage.py demo

up: $(VENV)/.runtime  ## web, workers, broker and gateway; Ctrl-C stops all
	@$(RUN) manage.py up

test:  ## the whole suite, with everything it needs
	@started=$$(date +%s); \
	  { $(MAKE) --no-print-directory -k -j2 $(VENV)/.dev $(IBAPI)/.ready || { $(MAKE) --no-print-directory $(VENV)/.dev && \
	    echo "no $(IBAPI): the tests of IB's own client skip, or fail in CI"; }; } && \
	  exec $(RUN) -m tests.run --started $$started

# IB's own client needs a venv of its own as well: it is of 2020, and nothing of ours runs in it.
$(IBAPI)/.ready: requirements-ibapi.txt | $(VENV)/bin/python
	@$(PYTHON) -m venv $(IBAPI)
	@echo "installing IB's own client (once)"
	@$(subst $(RUN),$(IBAPI)/bin/python,$(INSTALL)) -r requirements-ibapi.txt
	@touch $@

# A venv of its own, without ib_insync: the two libraries bring different packages of the same name, eventkit.
$(ASYNC)/.dev: requirements-ib-async.txt | $(VENV)/bin/python
	@$(PYTHON) -m venv $(ASYNC)
	@echo "installing the packages with ib_async in place of ib_insync (once)"
	@$(subst $(RUN),$(ASYNC)/bin/python,$(INSTALL)) -r requirements-ib-async.txt
	@touch $@

test-ib-async: $(ASYNC)/.dev  ## the broker's tests with ib_async in place of ib_insync
	@$(ASYNC)/bin/python -m pytest -q -n 2 tests/broker_ib tests/broker_service

lint: $(VENV)/.dev  ## ruff, mypy, import contracts, migrations
	@$(RUN) -m tests.run --lint-only

crash: $(VENV)/.dev  ## the whole crash matrix and 1,000 seeds a database, continued; SECONDS=n stops earlier
	@$(RUN) -m tests.crash.harness $(if $(SECONDS),--seconds $(SECONDS)) $(CRASH)

crash-mutants: $(VENV)/.dev  ## plant known bugs one at a time; each must be caught
	@$(RUN) -m tests.crash.harness.mutants

fuzz: $(VENV)/.dev  ## the whole API under 20,000 generated requests; FUZZ="--seed n --only path" makes some again
	@$(RUN) -m tests.fuzz $(FUZZ)

load: $(VENV)/.dev  ## a thousand streams, reconnects, clients that stop reading, history at 150 requests a second; LOAD="history --on sqlite" for one
	@$(RUN) -m tests.load $(LOAD)

permissions: $(VENV)/.dev  ## who is let in at every address, asked of everybody by every method, and compared
	@$(RUN) -m tests.house.matrix --all

bench: $(VENV)/.dev  ## medians and ratios, measured now
	@$(RUN) -m tests.bench

lock: $(VENV)/.dev  ## pin the three requirements files anew, with hashes
	@$(RUN) -m uv --version >/dev/null 2>&1 || $(RUN) -m pip install --quiet uv
	$(RUN) -m uv pip compile --quiet --universal --generate-hashes --python-version 3.11 requirements.in -o requirements.txt
	$(RUN) -m uv pip compile --quiet --universal --generate-hashes --python-version 3.11 -c requirements.txt requirements-dev.in -o requirements-dev.txt
	@mkdir -p .make
	sed 's/^ib_insync==.*/ib_async==2.1.0/' requirements.in > .make/ib-async.in
	sed '/^-r /d' requirements-dev.in >> .make/ib-async.in
	sed -nE 's/^([A-Za-z0-9][^ ]*==[^\\]*[^ \\]) *\\?$$/\1/p' requirements-dev.txt | sed -E '/^(ib-insync|eventkit|tzdata)==/d' > .make/ib-async-pins.txt
	$(RUN) -m uv pip compile --quiet --universal --generate-hashes --python-version 3.11 -c .make/ib-async-pins.txt .make/ib-async.in -o requirements-ib-async.txt

docs: $(VENV)/.runtime  ## rewrite docs/architecture.md from the modules' docstrings
	@$(RUN) -m autotrader.core.ops.architecture

# Tailwind's own packages lie in .make, out of the way of whatever walks through the sources.
TAILWIND := .make/css/node_modules/@tailwindcss/cli/dist/index.mjs

$(TAILWIND): autotrader/static_src/package.json autotrader/static_src/package-lock.json
	@mkdir -p .make/css && cp $^ .make/css/
	@cd .make/css && npm install --ignore-scripts --no-audit --no-fund --silent
	@touch $@

css: $(TAILWIND)  ## rebuild the pages' style sheet (needs Node 20 or later; the built file is committed)
	@NODE_PATH=.make/css/node_modules node $(TAILWIND) -i autotrader/static_src/app.css -o autotrader/static/autotrader/app.css --minify

clean:  ## remove the venv and caches; your data in var/ stays
	rm -rf $(VENV) .make .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
