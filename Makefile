# Every verb of this checkout; bare `make` prints them. Needs Python 3.11 or newer and make, nothing else.
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev up migrate openapi test lint requirements clean

PYTHON ?= python3
BIN := .venv/bin
TESTS := unit integration concurrency contract recovery journeys architecture

help:
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

##@ Run it on this machine
setup: ## make the virtual environment, or bring it up to date
	@$(PYTHON) deploy/local/setup.py runtime

up: setup ## start everything; Ctrl-C stops it
	@exec $(BIN)/python -m deploy.local.cli up

migrate: setup ## bring the databases to this code's schema
	@$(BIN)/python -m deploy.local.cli migrate

##@ Change it
setup-dev:
	@$(PYTHON) deploy/local/setup.py dev

test: setup-dev ## run the tests, within ten minutes
	@$(BIN)/python -m pytest $(foreach folder,$(TESTS),$(wildcard tests/$(folder)))

lint: setup-dev ## check style, types and import lines
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

openapi: setup-dev ## write each service's OpenAPI document from its code
	@$(BIN)/python -m deploy.local.cli export-openapi

requirements: setup-dev ## resolve the dependencies again and write the hashed lists
	@UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header \
		--python-version 3.11 pyproject.toml -o requirements/runtime.txt
	@UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header \
		--python-version 3.11 pyproject.toml --group dev -c requirements/runtime.txt -o requirements/dev.txt

clean: ## remove what can be made again; data stays in .huangou
	@rm -rf build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
