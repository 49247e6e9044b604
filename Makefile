# Needs make and a Python of 3.11 or newer. `make help` lists the targets.

PORT ?= 8000
HOST ?= 127.0.0.1
MODEL ?=
ARGS ?=
PYTHON ?=
export PYTHON

VENV := .venv/bin
BASE := .venv/.installed-base
DEV := .venv/.installed-dev
INPUTS := pyproject.toml constraints.txt
CODE := src tests benchmarks tools

.DEFAULT_GOAL := help
.PHONY: help environment browser serve test check format docs bench pin clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile
	@echo "variables: PORT=8000 HOST=127.0.0.1 MODEL=name PYTHON=python3.12 ARGS='more arguments'"

serve: $(BASE) ## install what serving needs, and serve the starter model (PORT=, MODEL=, ARGS=)
	@$(VENV)/umekomi serve $(MODEL) --host $(HOST) --port $(PORT) $(ARGS)

test: $(DEV) ## run the tests (ARGS='tests/unit -k name')
	@$(VENV)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

environment: $(DEV) ## make .venv with everything that tests and checks need

browser: ## install the Chromium that tests/browser drive (Debian, as root; elsewhere they skip)
	@sh tools/browser.sh

check: $(DEV) ## formatting, lint, types, layers, documentation, size of the base install
	@$(VENV)/python tools/check.py $(ARGS)

format: $(DEV) ## format the code and mend what the linter can
	@$(VENV)/python -m ruff format $(CODE)
	@$(VENV)/python -m ruff check --fix $(CODE)

docs: $(DEV) ## write the generated pages of docs/reference again
	@$(VENV)/python tools/write_reference.py

bench: $(DEV) ## throughput side by side with sentence-transformers (ARGS='--help')
	@$(VENV)/python benchmarks/embed_throughput.py $(ARGS)

pin: $(DEV) ## resolve the dependencies anew and write constraints.txt
	@$(VENV)/python tools/pin.py

clean: ## remove the environment, caches and build output
	rm -rf .venv build dist out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BASE): $(INPUTS)
	@sh tools/environment.sh base

$(DEV): $(INPUTS)
	@sh tools/environment.sh dev
