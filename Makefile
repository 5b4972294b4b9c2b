# Thin on purpose: each target is a command or two. CI calls these and nothing else.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
PROFILE ?= quick

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV := $(shell command -v uv 2>/dev/null)
INSTALL := $(if $(UV),$(UV) pip install -q --python $(BIN)/python,$(BIN)/python -m pip install -q)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help venv book site test test-lint test-code test-regression test-site run sync bench lock audit publish references clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo "  PROFILE=quick|full|seed chooses the parameters (now $(PROFILE)); PYTHON=python3.12 another Python"

venv: $(STAMP) ## create .venv with the locked versions

# Redone from nothing when the lock or the metadata change, and only then; to change PYTHON later,
# remove .venv first.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(not (3, 11) <= v[:2] < (3, 14) and "This book needs Python 3.11 to 3.13, found %d.%d. Name another: make book PYTHON=python3.12" % v[:2])'
	@echo "Setting up $(VENV): this downloads TensorFlow and takes a few minutes."
	$(PYTHON) -m venv --clear $(VENV)
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

book: $(STAMP) ## run every chapter (PROFILE=quick) and build the site in _build/html
	$(BIN)/digits sync --check
	$(BIN)/digits run --profile $(PROFILE)
	$(BIN)/digits site --profile $(PROFILE)

site: $(STAMP) ## build the site from the published notebooks; nothing is run
	$(BIN)/digits sync --check
	$(BIN)/digits site --published

test: $(STAMP) ## every test: code, chapters, regression, site
	@$(MAKE) --keep-going --no-print-directory test-lint test-code test-regression test-site

test-lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The quick runs made here are what test-site builds from.
test-code: $(STAMP)
	$(BIN)/python -m pytest tests/unit tests/notebooks

# Two notebooks at a time: each spends half of its time on one core, starting and compiling.
test-regression: $(STAMP)
	$(BIN)/python -m pytest --nbval-lax --nbval-current-env -n 2 --dist loadfile tests/regression/reference

test-site: $(STAMP)
	$(BIN)/digits site --profile quick
	$(BIN)/python -m pytest -n 2 tests/site

run: $(STAMP) ## run chapters: make run CHAPTER=03 PROFILE=full (none: all of them)
	$(BIN)/digits run $(CHAPTER) --profile $(PROFILE)

sync: $(STAMP) ## regenerate notebooks/*.ipynb from notebooks/*.py
	$(BIN)/digits sync

bench: $(STAMP) ## compare training recipes, two to six minutes; FULL=1 trains all to the end, forty minutes or more
	$(BIN)/python -m benchmarks $(if $(filter-out 0,$(FULL)),--full)

publish: $(STAMP) ## copy the outputs of the full run into notebooks/*.ipynb
	$(BIN)/digits publish

references: $(STAMP) ## record the quick run as the regression references
	$(BIN)/digits references

lock: ## resolve requirements.lock afresh (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	uv pip compile pyproject.toml --extra book --extra test --universal --generate-hashes --python-version 3.11 --no-emit-index-url -o requirements.lock

# --strict: a package of which nothing is known is not a safe one.
audit: ## ask PyPI whether a locked version has a known hole (needs uv and the network)
	@command -v uv >/dev/null || { echo "make audit needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	uv tool run pip-audit --strict --require-hashes --disable-pip -r requirements.lock

clean: ## remove _build (the environment stays; remove .venv by hand)
	rm -rf _build
