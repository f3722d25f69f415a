# All that people and CI do with the project. Only `make`, Python 3.11+ and Java 17+ are needed.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PARALLEL ?= 2
SOURCES := $(shell git ls-files --cached --others --exclude-standard 'pipeline/*' 'connectors/*' 'enrichers/*' 'sinks/*' 'testkit/*' 'configs/*' 2>/dev/null | grep -v ' ') pyproject.toml README.md LICENSE

.PHONY: help venv demo test check bench chaos chaos-mutants peers lock clean
help:
	@echo 'make demo    see it work: servers, sample posts, results'
	@echo 'make test    run the tests'
	@echo 'make check   all that CI does: style, types, imports, tests'
	@echo 'make bench   measure (some 15 minutes; make bench QUICK=1: 4)'
	@echo 'make chaos   kill, freeze and starve everything while posts stream (docs/chaos.md)'
	@echo 'make venv    only set up .venv'
	@echo 'make lock    bring the locked dependencies up to date'

.venv/locked: requirements/dev.lock
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer is needed; install it, or name it: make PYTHON=/path/to/python3' >&2; exit 2; }
	@echo '>> setting up .venv with $(PYTHON)'
	@$(PYTHON) -m venv --clear .venv || { echo 'the module venv is missing; on Debian and Ubuntu: apt-get install python3-venv' >&2; exit 2; }
	@echo '>> installing locked dependencies (some 150 MB when none is cached; about a minute)'
	@$(BIN)/pip install --quiet --progress-bar on --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@touch $@

# What is tested is what is shipped: the built wheel, never the checkout.
.venv/installed: .venv/locked $(SOURCES)
	@echo '>> building and installing the wheel'
	@rm -rf build dist *.egg-info
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist . > .venv/build.log 2>&1 || { cat .venv/build.log >&2; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --force-reinstall dist/*.whl
	@rm -rf build *.egg-info
	@touch $@

venv: .venv/installed

demo: venv
	@$(BIN)/groundswell demo

# Two at once: many tests wait for servers and processes. Each half starts servers of its own.
test: venv
	@$(BIN)/pytest --numprocesses $(PARALLEL) --dist loadfile

check: venv
	@echo '>> style' && $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo '>> types' && $(BIN)/mypy
	@echo '>> imports' && $(BIN)/lint-imports
	@echo '>> tests' && $(MAKE) --no-print-directory test

# The programs that the benchmark holds ours against have an environment of their own.
.venv-peers/locked: benchmarks/peers/requirements.lock
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer is needed; install it, or name it: make PYTHON=/path/to/python3' >&2; exit 2; }
	@echo ">> setting up .venv-peers with $(PYTHON)"
	@$(PYTHON) -m venv --clear .venv-peers
	@.venv-peers/bin/pip install --quiet --progress-bar on --disable-pip-version-check --require-hashes -r benchmarks/peers/requirements.lock
	@touch $@

peers: .venv-peers/locked

# QUICK=1: small, to see that all of it works. ARGS are handed on, such as ARGS='--only backlog'.
bench: venv peers
	@$(BIN)/python benchmarks/speed $(if $(QUICK),--quick) $(ARGS)

# Every variable is optional; docs/chaos.md has them all.
CHAOS = $(BIN)/python -m testkit.chaos $(if $(SEED),--seed $(SEED)) $(if $(POSTS),--posts $(POSTS)) \
  $(if $(FAULTS),--faults $(FAULTS)) $(if $(ONLY),--only $(ONLY)) $(if $(WITHOUT),--without $(WITHOUT))

chaos: venv
	@$(CHAOS) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(MUTANT),--mutant $(MUTANT))

# Each has to be found within so many rounds.
chaos-mutants: venv
	@for mutant in early-commit no-stub no-version; do $(CHAOS) --rounds $(or $(ROUNDS),5) --mutant $$mutant || exit 1; done

# Needs the package uv; kept out of the environment, for nothing else does.
lock:
	@$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv
	@.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate --no-header --upgrade pyproject.toml -o requirements/groundswell.lock
	@.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate --no-header --upgrade --group dev pyproject.toml -c requirements/groundswell.lock -o requirements/dev.lock
	@.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate --no-header --upgrade benchmarks/peers/requirements.in -o benchmarks/peers/requirements.lock
	@rm -rf .venv-lock

clean:
	rm -rf .venv .venv-peers build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
