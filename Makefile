# `make help` lists the targets. Where there is no NVIDIA GPU, torch's small CPU build is installed if its index can be
# reached; TORCH=cpu asks for it anywhere, TORCH=cuda for the other (on a cluster's login node, say).
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
# what .venv was set up with stays: `make test` after `make setup TORCH=cpu` keeps the CPU build
TORCH ?= $(patsubst .venv/.set-up-%,%,$(wildcard .venv/.set-up-*))
PYTHON ?=
UV := $(BIN)/uv
STAMP := .venv/.set-up$(if $(TORCH),-$(TORCH))

.PHONY: help setup demo test test-slow test-all lint format typecheck bench bench-sweep bench-plan lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## build .venv from requirements.lock (Python >= 3.11; TORCH=cpu or cuda chooses torch's build)

$(STAMP): pyproject.toml requirements.lock
	@python="$(PYTHON)"; \
	for candidate in python3 python3.14 python3.13 python3.12 python3.11; do \
	  [ -n "$$python" ] || ! $$candidate -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || python=$$candidate; \
	done; \
	[ -n "$$python" ] || { echo "make setup: no Python >= 3.11 found; install one, or name it: make setup PYTHON=/path/to/python3" >&2; exit 1; }; \
	[ -x $(BIN)/python ] || "$$python" -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@# the CPU wheels are other files than the locked ones: same versions, hashes not compared
	@torch="$(TORCH)"; \
	if [ -z "$$torch" ] && [ "$$(uname)" = Linux ] && [ ! -e /proc/driver/nvidia/version ] && ! nvidia-smi -L >/dev/null 2>&1; then \
	  if UV_HTTP_TIMEOUT=5 UV_HTTP_RETRIES=0 $(UV) pip install --quiet --python $(BIN)/python --dry-run --reinstall --no-deps --torch-backend cpu "$$(grep -o '^torch==[0-9.]*' requirements.lock)" 2>/dev/null; then \
	    echo "make setup: no NVIDIA GPU here, so torch's CPU build is installed; make setup TORCH=cuda installs the other"; torch=cpu; \
	  else \
	    echo "make setup: no NVIDIA GPU here, but the index of torch's CPU build cannot be reached: .venv gets CUDA's libraries too, 4.3 of its 7.5 GB"; \
	  fi; \
	fi; \
	set -e; \
	if [ "$$torch" = cpu ]; then \
	  $(UV) pip install --quiet --python $(BIN)/python --compile-bytecode --torch-backend cpu --constraints <(sed -E '/--hash/d; s/ *\\$$//' requirements.lock) --editable '.[dev]'; \
	else \
	  $(UV) pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes --requirements requirements.lock; \
	  $(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .; \
	fi; \
	$(BIN)/python -m compileall -q fcn_lab; \
	rm -f .venv/.set-up*; touch ".venv/.set-up$${torch:+-$$torch}"

demo: setup ## train, test and picture an FCN-16s on synthetic street scenes (<= 3 min on 2 cores)
	$(BIN)/python run.py data=synthetic model=fcn16s logger=csv experiment=demo

test: setup ## run the tests (<= 5 min on 2 cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal -m "not slow"

test-slow: setup ## run those that start a cluster, a scheduler, a browser or many processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadgroup -m "slow and not long" --durations=12

test-all: test ## run all of them, those that take minutes too
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadgroup -m slow --durations=12

lint: setup ## ruff
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: setup ## let ruff rewrite the files
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

typecheck: setup ## mypy --strict
	$(BIN)/mypy

bench: setup ## where the time of a training goes; writes experiments/speed/README.md (about 10 min, alone)
	$(BIN)/python experiments/bench.py

bench-sweep: setup ## what engines and the start of a cell cost (about 5 min)
	$(BIN)/python experiments/bench_sweep.py

bench-plan: setup ## what 2,000 cells cost the runner; writes experiments/planning/README.md
	$(BIN)/python experiments/bench_plan.py

lock: setup ## pin the newest dependencies that pyproject.toml admits
	$(UV) pip compile --quiet --universal --upgrade --python-version 3.11 --generate-hashes --all-extras pyproject.toml --output-file requirements.lock

clean: ## remove .venv and what tools leave; runs stay
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
