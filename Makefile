# Every verb of this checkout; bare `make` prints them. Needs Python 3.11 or newer and make, nothing else.
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev up demo migrate test journeys browser-test compose-up compose-down compose-test proves soak pgbouncer-test lint alerts ci openapi requirements clean bench bench-quick

PYTHON ?= python3
BIN := .venv/bin
# Two processes share the files, each with a server of its own. The longest come first, in the order given, so that neither
# waits for the other at the end.
SHARED_OUT := -n 2 --dist loadfile --no-loadscope-reorder
TESTS := recovery generated concurrency integration contract architecture unit
COMPOSE := $(shell command -v docker-compose || echo docker compose)
COMPILE = UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header \
	--python-version 3.11 pyproject.toml
POOLED := shared catalog redemption fulfillment

help:
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

##@ Run it on this machine
setup: ## make the virtual environment, or bring it up to date
	@$(PYTHON) deploy/local/setup.py runtime

up: setup ## start everything; Ctrl-C stops it
	@exec $(BIN)/python -m deploy.local.cli up

demo: setup ## play a story from the workbook to the till, check every number, and stop
	@exec $(BIN)/python -m deploy.local.cli demo

migrate: setup ## bring the databases to this code's schema
	@$(BIN)/python -m deploy.local.cli migrate

##@ Run it in containers
compose-up: setup ## start everything in containers; HUANGOU_STATE=.huangou/containers points the huangou command at it
	@$(COMPOSE) up --detach --build
	@mkdir -p -m 700 .huangou/containers
	@umask 077 && $(COMPOSE) run --rm --no-deps -T --entrypoint cat keys /run/keys/installation/installation.json \
		> .huangou/containers/installation.json
	@echo "Everything is up: the console is on http://127.0.0.1:8100. Now for example:"
	@echo "  HUANGOU_STATE=.huangou/containers .venv/bin/huangou import samples/autumn-campaign.xlsx --publish"

compose-down: ## stop the containers; data stays in their volumes
	@$(COMPOSE) down

##@ Change it
setup-dev:
	@$(PYTHON) deploy/local/setup.py dev

test: setup-dev ## run the tests, within ten minutes
	@$(BIN)/python -m pytest $(SHARED_OUT) $(foreach folder,$(TESTS),$(wildcard tests/$(folder)))

journeys: setup-dev ## play journeys and the README's tour on the running suite
	@$(BIN)/python -m pytest tests/journeys

browser-test: setup-dev ## see the console in a real Chromium before the running suite; pictures go to build/screenshots
	@$(BIN)/python -m pytest tests/browser

compose-test: setup-dev ## play the journeys on the suite in containers, where Docker answers
	@if docker info > /dev/null 2>&1; then HUANGOU_TEST_COMPOSE=1 $(BIN)/python -m pytest tests/journeys; \
	else echo "Docker does not answer here, so the journeys in containers are skipped."; fi

proves: test ## print every requirement and promise with the tests that prove it, and write docs/guarantees.md
	@$(BIN)/python -m tests.support.guarantees

soak: setup-dev ## run the races and the crashes in their long forms
	@HUANGOU_SOAK=1 $(BIN)/python -m pytest tests/concurrency tests/recovery tests/generated/test_schemathesis.py

bench: setup-dev ## measure the suite against the limits of this machine, a quarter of an hour; nothing else should run
	@$(BIN)/python -m benchmarks

bench-quick: setup-dev ## the same with five seconds a side
	@$(BIN)/python -m benchmarks --seconds 5

pgbouncer-test: setup-dev ## run the integration tests through PgBouncer in transaction mode, where it is installed
	@if PATH="$$PATH:/usr/sbin:/usr/local/sbin" command -v pgbouncer > /dev/null; then \
		HUANGOU_TEST_PGBOUNCER=1 $(BIN)/python -m pytest $(SHARED_OUT) $(foreach folder,$(POOLED),$(wildcard tests/integration/$(folder))); \
	else echo "PgBouncer is not installed here (Debian: apt install pgbouncer), so the tests through it are skipped."; fi

alerts: setup-dev ## ask promtool whether the alerts are well written and mean what the tests take them for, where it is installed
	@if command -v promtool > /dev/null; then \
		promtool check rules deploy/observability/alerts.yml && \
		(cd deploy/observability && promtool check config prometheus.yml) && \
		HUANGOU_TEST_PROMTOOL=1 $(BIN)/python -m pytest tests/unit/local/test_alert_expressions.py tests/integration/alerts; \
	else echo "promtool is not installed here (Debian: apt install prometheus), so the alerts are not read by it."; fi

lint: setup-dev ## check style, types and import lines
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

ci: ## everything that continuous integration runs
	@.ci/run

openapi: setup-dev ## write each service's OpenAPI document from its code
	@$(BIN)/python -m deploy.local.cli export-openapi

requirements: setup-dev ## resolve the dependencies again and write the hashed lists
	@$(COMPILE) --upgrade --group machine -o requirements/runtime.txt
	@$(COMPILE) -c requirements/runtime.txt -o requirements/images.txt
	@$(COMPILE) --upgrade --group machine --group dev -c requirements/runtime.txt -o requirements/dev.txt

clean: ## remove what can be made again; data stays in .huangou
	@rm -rf build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
