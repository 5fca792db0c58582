# Everything there is to do here is a target; `make` alone lists them. Each sets up what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
CODE   := controller devcluster examples bench tests e2e
CLUSTER ?= fake
EXAMPLES ?= 10000

export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help setup demo test slow model explore lint fmt verify bench bench-cluster e2e chart image lock clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  \033[1m%-13s\033[0m %s\n", $$1, $$2}'

$(READY): requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "runherd needs Python 3.11 or newer; say which with: make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "setting up $(VENV) (once, about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

setup: $(READY) ## make the virtual environment in .venv

demo: $(READY) ## recorded agent runs on a fake cluster, watched live (CLUSTER=real, CLUSTER=current; JAEGER=1)
	@CLUSTER=$(CLUSTER) JAEGER=$(JAEGER) $(BIN)/python -m examples.demo

test: $(READY) ## the tests that take seconds
	@$(BIN)/python -m pytest -q -m "not slow and not chart" --numprocesses auto --maxprocesses 4 --dist loadfile

slow: $(READY) ## the tests that take minutes: kill -9, faults, two controllers
	@$(BIN)/python -m pytest -q -m slow --numprocesses auto --maxprocesses 2 --dist worksteal

model: $(READY) ## hosts, networks and crashes in any order: EXAMPLES=10000, SEED=… plays a failure again
	@PYTHONHASHSEED=0 RUNHERD_EXPLORE=1 RUNHERD_MODEL_EXAMPLES=$(EXAMPLES) RUNHERD_MODEL_SEED=$(SEED) \
	  $(BIN)/python -m pytest -q -s -m slow tests/model/test_state_machine.py

explore: $(READY) ## `make test`, with examples of the properties that nobody has tried yet
	@RUNHERD_EXPLORE=1 $(MAKE) test

lint: $(READY) ## ruff, mypy strict, the layers of docs/architecture.md, the house's sizes
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.house controller devcluster examples bench

fmt: $(READY) ## format and mend what a machine can
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix $(CODE)

verify: lint slow ## what CI runs besides `make test`; then the tree must be clean
	@test -z "$$(git status --porcelain)" || { echo "the tree is not clean:" >&2; git status --short >&2; exit 1; }

bench: $(READY) ## speed and memory against what one would write with kr8s alone, in one run
	@$(BIN)/python -m bench

bench-cluster: $(READY) ## runs a second, latencies, CPU and memory on a real control plane (Linux, root, Go)
	@$(BIN)/python -m bench.cluster

chart: $(READY) ## check the Helm chart: lint, schemas, what its values refuse, the verbs it grants (needs Go)
	@for name in helm kubeconform; do $(BIN)/python -m devcluster program $$name >/dev/null; done
	@$(BIN)/python -m pytest -q -m chart --numprocesses auto --maxprocesses 4 --dist loadfile tests/chart

e2e: $(READY) ## install the chart on a real cluster of its own and test it there (CLUSTER=kind; ARGS=-k…)
	@CLUSTER=$(CLUSTER) $(BIN)/python -m e2e $(ARGS)

image: ## build the controller's image with docker, podman or buildah
	@tool=$$(command -v docker || command -v podman || command -v buildah) || \
	  { echo "make image needs docker, podman or buildah on the PATH" >&2; exit 1; }; \
	"$$tool" build --tag runherd:dev --file Dockerfile .

lock: $(READY) ## pin the dependencies anew, with hashes and without addresses
	@for name in run dev; do \
	  $(BIN)/uv pip compile pyproject.toml $$(test $$name = dev && echo --group dev) --upgrade --quiet \
	    --generate-hashes --no-emit-index-url --universal --python-version 3.11 --no-annotate --no-header \
	    --output-file requirements/$$name.txt; done

clean: ## remove everything that was made here
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .pytest-kind .devcluster dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
