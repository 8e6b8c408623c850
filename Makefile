# Needs GNU make, bash and Python 3.11 or later; everything else goes into .venv. `make` alone says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench clean

# What `make demo` reads and where it writes; exported, so that spaces and quotes in a path do no harm.
DATA ?= $(wildcard ../shared/data/icecat_chorus)
OUT ?= demo
export DATA OUT

BIN := .venv/bin
READY := .venv/.ready

help:
	@echo 'make setup                   install shelfwalk with all it needs into .venv (once; again when pins change)'
	@echo 'make demo [DATA=folder] [OUT=demo]'
	@echo '                             build a shelf, evaluate it, answer three queries; without data on a simulated market'
	@echo 'make test                    check style and types, then run every test with coverage'
	@echo 'make lint                    check style and types alone'
	@echo 'make bench [SHELF=shelf]     measure the engine beside its peers (a quiet machine, some minutes)'
	@echo 'make clean                   remove caches and build leftovers; .venv, shelves and results stay'

setup: $(READY)
	@:

# torch goes in first and by itself: what follows finds it there and never swaps it for another build.
$(READY): pyproject.toml constraints.txt
	@python=''; \
	for candidate in python3.11 python3 python3.12 python3.13; do \
	  if "$$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    python="$$candidate"; break; \
	  fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo 'shelfwalk needs Python 3.11 or later with its venv module: install it so that python3.11 or python3 runs it.' >&2; \
	  exit 2; \
	fi; \
	echo 'Installing into .venv: some minutes the first time.'; \
	$(BIN)/python -m pip --version >/dev/null 2>&1 || "$$python" -m venv --clear .venv
	@$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt torch==2.13.0
	@$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[train,weights,dev]'
	@touch $@

demo:
	@if [ -n "$$DATA" ] && [ ! -d "$$DATA" ]; then \
	  echo "$$DATA: there is no such folder: give one with make demo DATA=<folder>." >&2; \
	  exit 2; \
	fi
	@$(MAKE) setup
	@$(BIN)/python -m shelfwalk.demo $${DATA:+"$$DATA"} --out "$$OUT"

lint: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

test: export NO_COLOR := 1
test: lint
	@$(BIN)/python -m pytest --color=no --cov --cov-report=term

bench: setup
	@$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[bench]'
	@$(BIN)/python benchmarks/engine.py $${DATA:+--data "$$DATA"} $(if $(SHELF),--shelf '$(SHELF)')

clean:
	@rm -rf build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
