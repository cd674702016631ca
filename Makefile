# A thin layer over the `millwright` command. Every verb sets up what it needs; all may be repeated.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := core plant edge ingest detectors maintenance tickets api simulators benchmarks

.PHONY: help install install-dev interop embedding demo up test check bench soak web docs clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

install: ## runtime environment and web app
	@$(PYTHON) deploy/bootstrap.py runtime

install-dev: ## the same with development tools
	@$(PYTHON) deploy/bootstrap.py dev

interop: ## others' implementations of what we speak, for tests/interop
	@$(PYTHON) deploy/bootstrap.py interop

embedding: ## the sentence encoder beside ranking by words (90 MB, English)
	@$(PYTHON) deploy/bootstrap.py embedding

demo: install ## a living plant: machines, faults, people; ends with sign-in links
	@$(BIN)/millwright demo

up: install ## your own empty plant
	@$(BIN)/millwright up

test: install-dev ## all tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not web" $(PYTEST_ARGS)
	@$(BIN)/python -m pytest -m web $(PYTEST_ARGS)

check: install-dev ## style, types, import contracts, fitness
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/unit/test_fitness.py

bench: install-dev ## the benchmarks, quick
	@for name in ingest journey; do $(BIN)/python -m benchmarks.$$name --quick || exit 1; done

soak: install-dev ## the drills at full size: kills, power cuts (root), freezes, poison, bursts; half an hour
	@$(BIN)/python -m benchmarks.drill telemetry --kills 300 --samples 100000 --powercut 20
	@for name in freeze poison schema burst sla maintenance restore; do $(BIN)/python -m benchmarks.drill $$name || exit 1; done
	@MILLWRIGHT_MACHINE=2000x50 $(BIN)/python -m pytest -q --timeout 3600 tests/integration/test_tickets_machine.py

web: ## build the web app
	@$(PYTHON) deploy/web_build.py

docs: install ## command reference and OpenAPI document into docs/
	@$(BIN)/millwright docs

clean: ## what the verbs made, but no instance's data
	rm -rf .venv .venv-build .venv-interop web/dist web/node_modules
