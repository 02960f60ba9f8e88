# One door: `make` alone lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SCENARIO ?= stale_predictions
# Tests wait more than they work. A file's tests stay together, for they share what was laid out or started.
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder
STAMP := $(VENV)/.installed
# Bytecode is wanted: without it every service boots slowly.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install check quick test images demo prove bench lock clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 12

install: $(STAMP)  ## install everything into .venv from the hash-locked requirements

$(STAMP): requirements/bootstrap.txt requirements/all.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode --python $(BIN)/python requirements/all.txt
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python -e .
	@touch $@

check: install  ## style, types and the direction of imports (under a minute)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

quick: check  ## check, and the tests that neither start a service nor take seconds (under a minute)
	$(BIN)/pytest -q $(SIDE_BY_SIDE) -m "not slow"

test: check  ## check, and all tests (under 25 minutes on 2 cores)
	$(BIN)/pytest $(SIDE_BY_SIDE)

images:  ## build the images of the container environment (under 3 minutes)
	docker compose --profile grading build --quiet

demo: install  ## the main job: grade an untouched attempt and a repaired one, and show both (SHORTCUT=name adds a row)
	$(BIN)/exam demo $(SCENARIO) $(if $(SHORTCUT),--shortcut $(SHORTCUT))

prove: install  ## the whole proof of a scenario, written to docs/proof/
	$(BIN)/exam prove $(SCENARIO) --write

bench: install  ## start, memory and grading overhead, medians of 5 in one run
	$(BIN)/exam bench $(SCENARIO)
	if docker info >/dev/null 2>&1; then $(BIN)/exam bench $(SCENARIO) --runtime compose; fi

lock: install  ## resolve the requirements again (what images hold agrees with the whole; no index is named)
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header requirements/bootstrap.in -o requirements/bootstrap.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header requirements/all.in -o requirements/all.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -c requirements/all.txt requirements/candidate.in -o requirements/candidate.txt
	for role in box driver private; do $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -c requirements/all.txt requirements/$$role.in -o requirements/$$role.txt || exit 1; done

clean:  ## remove what can be made again (attempts are kept; `exam down` ends them)
	rm -rf .exam/cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
