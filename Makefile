# One command each. `demo`, `test` and `bench` need root (or sudo): they run real containers on a node of their own.
PY := .venv/bin/python
.PHONY: help demo test check bench soak setup setup-python format generate

help:  ## Show what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:
	@bash packaging/setup.sh

setup-python:
	@bash packaging/setup.sh --python-only

demo: setup  ## Cloud and edge on this machine: a node, a pod, and what to try (DEMO_ONCE=1: prove it and exit)
	@$(PY) -m testbed.demo

test: setup  ## All tests: unit, conformance, in process, end to end with real containerd and kubectl
	@$(PY) -m pytest $(TESTS)

check: setup-python  ## Format, lint, types, import contracts, generated code
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache
	@PATH="$(CURDIR)/.venv/bin:$$PATH" bash proto/generate.sh --check

bench: setup  ## Figures, as a table and in build/bench.json (NAME=pod_start_s for one)
	@$(PY) -m testbed.bench $(NAME)

soak: setup  ## kill -9 and cut at random: pods ROUNDS times (100), devices for MINUTES (20); nothing may be lost
	@$(PY) -m testbed.soak $(PART) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(MINUTES),--minutes $(MINUTES))

format: setup-python  ## Format and mend what ruff can
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

generate: setup-python  ## Generate code from proto/
	@PATH="$(CURDIR)/.venv/bin:$$PATH" bash proto/generate.sh
