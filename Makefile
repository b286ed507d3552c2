# Every target does its own set-up first; the second time that takes less than a second.

.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv/bin
# Byte code is kept: every flow run is a process of its own, and would compile its imports again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup lint test demo docs fresh chaos chaos-serving clean constraints grpc

help: ## list the targets
	@sed -nE 's/^([a-z%-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

setup: ## make .venv: locked dependencies, and Horovod from its source (once a machine)
	@command -v $(PYTHON) >/dev/null || { echo "set-up: $(PYTHON) is not on PATH; on Debian or Ubuntu: sudo apt-get install python3-venv python3-dev" >&2; exit 1; }
	@$(PYTHON) -m infra.setup

lint: setup ## check style, types and the floors
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/lint-imports

test: lint ## every check: lint, then the tests, real servers included; fails below the floor of branch coverage
	$(VENV)/pytest -n 2 --no-loadscope-reorder --cov --cov-report=

demo: setup ## watch the loop turn on handwritten digits
	@$(VENV)/gyre demo

docs: setup ## build pages of README, every key of the YAML and all packages into .docs/site
	@$(VENV)/python -m infra.docs

fresh: ## play the README's first lines in a new Debian (root needed): DEBIAN=trixie for another, ONLY="make demo" for one command
	@$(PYTHON) -m infra.fresh --debian "$(or $(DEBIAN),bookworm)" --only "$(ONLY)"

bench-%: setup ## run tests/benchmarks/%.py, such as make bench-serve or bench-drift-quality
	$(VENV)/python tests/benchmarks/$(subst -,_,$*).py

chaos: setup ## kill ranks and workers at random, 20 times in one training
	GYRE_KILLS=20 $(VENV)/pytest tests/chaos/test_training.py

chaos-serving: setup ## swap versions 100 times, and kill processes of the model server 20 times, under load over REST and gRPC
	GYRE_SWAPS=100 GYRE_KILLS=20 $(VENV)/pytest -rP tests/chaos/test_serving.py

# A descriptor pool of its own: Triton's client in the same process declares messages of the same names.
grpc: OUT ?= tasks/serving/rpc
grpc: setup ## generate the Python modules of the model server's gRPC protocol from its .proto
	$(VENV)/python -m grpc_tools.protoc -Itasks/serving/rpc --python_out=$(OUT) --pyi_out=$(OUT) open_inference.proto
	sed -i 's/_descriptor_pool\.Default()/_descriptor_pool.DescriptorPool()/' $(OUT)/open_inference_pb2.py

constraints: setup ## resolve the dependencies again, into constraints.txt
	@$(VENV)/python -m infra.setup --constraints

clean: ## stop the services; remove .venv, caches and .gyre WITH ITS DATA (not a GYRE_HOME elsewhere, not Horovod's cached wheel)
	@for home in .gyre .gyre/demo; do if [ -x $(VENV)/gyre ] && [ -d $$home ]; then GYRE_HOME=$$home $(VENV)/gyre down || exit 1; fi; done
	rm -rf .venv .gyre .docs .coverage* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
