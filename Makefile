# Everything a newcomer needs: `make help`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DATA ?=
KEEP ?= 1
PORT ?= 8000
TESTS ?= tests
WORKERS ?= 4

.DEFAULT_GOAL := help
.PHONY: help install demo up down test lint format bench lock clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'
	@echo "  options: make demo DATA=shop.csv MAPPING=online_retail KEEP=0 · make up PORT=8001 · make test TESTS=tests/events"

$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, this is %d.%d: make PYTHON=python3.11 ..." % sys.version_info[:2] or 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked packages into $(VENV) (some minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@

install: $(READY) ## Create .venv and install the locked packages

demo: $(READY) ## Import, train, advance, simulate, erase; DATA=FILE for a file of your own, KEEP=0 to stop after it
	@$(BIN)/python manage.py demo $(if $(DATA),--data "$(DATA)") $(if $(MAPPING),--mapping $(MAPPING)) $(if $(filter 0,$(KEEP)),--no-keep) --port $(PORT)

up: $(READY) ## Run web, workers, beat and Flower; Ctrl-C stops all
	@$(BIN)/python manage.py up --port $(PORT)

down: $(READY) ## Stop a stack that runs in the background
	@$(BIN)/python manage.py down

test: $(READY) ## Run all tests on a private PostgreSQL and Redis
	@$(BIN)/python -m pytest -n $(WORKERS) $(TESTS)

lint: $(READY) ## Formatting, lints, types, import layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/mypy

format: $(READY) ## Format the code and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY) ## Run all benchmarks, each beside the raw limit of this machine
	@$(BIN)/python -m benchmarks all

lock: ## Write requirements.lock anew from what is installed in .venv
	@$(BIN)/python -m pip freeze --exclude-editable --disable-pip-version-check | sed -E 's/^torch==([0-9.]+).*/torch==\1/' > requirements.lock

clean: ## Remove the private servers and their data (.dtoc); keeps .venv
	@$(BIN)/python manage.py down --quiet || true
	rm -rf .dtoc
