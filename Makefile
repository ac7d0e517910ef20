# `make demo` and `make test` work on a fresh clone: each completes .venv first, with uv where there is one, else with pip.
# Exact versions come from constraints.txt. Set PYTHON to choose an interpreter, JOBS for the number of test processes,
# ARGS for anything that pytest should be given.

PYTHON ?= python3
JOBS   ?= 2
ARGS   ?=

BIN   := .venv/bin
UV    := $(shell uv --version >/dev/null 2>&1 && echo uv --no-python-downloads)
NEEDS := setup.cfg pyproject.toml constraints.txt

# The comparisons that `make demo` shows, into one store, a process each, as small networks gain nothing from threads. Where an
# image is one call, 30 of them tell searches from none; with three denoising steps noise matters, too, and a search may spend
# 48 calls an image, as eight standard images do.
COMPARE := $(BIN)/noisekit compare --prompts tiny --store runs/demo --no-report
TURBO   := $(COMPARE) --model tiny-turbo --limit 30 --calls 30 --methods reno,best_of
TINY    := $(COMPARE) --model tiny --steps 3 --limit 16 --calls 48 --methods npnet,inversion,repaint,selection,cosine,best_of,random_search

ENDS    := tests/models/test_layouts.py tests/models/test_published_names.py tests/models/test_caches.py

.PHONY: help demo test lint docs oracle ends clean
.DELETE_ON_ERROR:

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

demo: .venv/installed  ## compare noise methods on the bundled tiny world; the report is runs/demo/report.html
	@$(TURBO) >/dev/null & turbo=$$!; $(TINY) >/dev/null; tiny=$$?; wait $$turbo && exit $$tiny
	$(BIN)/noisekit report runs/demo

test: .venv/installed-test  ## run every test that needs no GPU and no published weights
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

lint: .venv/installed-test  ## ruff and pyrefly, as the tests run them
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m pyrefly check

docs: .venv/installed-docs  ## build the site into site/, strictly and without a network
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "site/index.html opens in a browser; with the search: $(BIN)/python -m http.server --directory site"

oracle: .venv-oracle/installed  ## score tests/oracle with the official packages anew, in an environment of their own
	OMP_NUM_THREADS=1 .venv-oracle/bin/python tests/oracle/write.py

ends: .venv-oldest/installed .venv-newest/installed  ## load published layouts by the oldest and the newest libraries of setup.cfg
	OMP_NUM_THREADS=1 .venv-oldest/bin/python -m pytest $(ENDS) $(ARGS)
	OMP_NUM_THREADS=1 .venv-newest/bin/python -m pytest $(ENDS) $(ARGS)

clean:  ## remove the environment and all caches; runs are kept
	rm -rf .venv .venv-oracle .venv-oldest .venv-newest .pytest_cache .ruff_cache .hypothesis noisekit.egg-info dist site
	find noisekit tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/installed: $(NEEDS)
	$(call install,.)

.venv/installed-test: $(NEEDS)
	$(call install,.[test])
	@touch .venv/installed .venv/installed-docs

.venv/installed-docs: $(NEEDS)
	$(call install,.[docs])
	@touch .venv/installed

# A .venv that was begun or made otherwise is completed, never rebuilt.
ifneq ($(UV),)
define install
	@echo "Installing noisekit with uv into .venv (about a minute) ..."
	@test -x $(BIN)/python || $(UV) venv --quiet --allow-existing --python "$(PYTHON)" .venv
	@UV_COMPILE_BYTECODE=1 $(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '$(1)'
	@touch $@
endef
else
define install
	@echo "Installing noisekit with pip into .venv (two to four minutes) ..."
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '$(1)'
	@touch $@
endef
endif

# The official packages pin libraries that noisekit cannot live with.
.venv-oracle/installed: tests/oracle/requirements.txt
ifneq ($(UV),)
	@test -x .venv-oracle/bin/python || $(UV) venv --quiet --python "$(PYTHON)" .venv-oracle
	@$(UV) pip install --quiet --python .venv-oracle/bin/python --requirement $<
else
	@test -x .venv-oracle/bin/python || "$(PYTHON)" -m venv .venv-oracle
	@.venv-oracle/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
endif
	@touch $@

# No constraints here: uv takes the lowest versions that setup.cfg allows of what it names, and the highest. pip knows no
# lowest ones.
.venv-oldest/installed: setup.cfg
	$(call install-end,.venv-oldest,lowest-direct)

.venv-newest/installed: setup.cfg
	$(call install-end,.venv-newest,highest)

define install-end
	@uv --version >/dev/null 2>&1 || { echo "make ends needs uv, which finds the lowest versions" >&2; exit 1; }
	@test -x $(1)/bin/python || uv venv --quiet --python "$(PYTHON)" $(1)
	@uv pip install --quiet --python $(1)/bin/python --resolution $(2) --editable '.[lora]' 'pytest>=8.3' 'hypothesis>=6.100'
	@touch $@
endef
