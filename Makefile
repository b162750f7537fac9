# `make help` lists the targets. Everything a run writes is under .mmctr/, everything installed under .venv/.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# --strict: a broken link, an unreachable page or an unknown anchor fails the build. Do not add --quiet: mkdocs then ignores warnings.
SITE = NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

.DEFAULT_GOAL := help
.PHONY: bench chaos help load mutants run test test-browser test-slow check picture images services s3 check-infra test-containers test-gpu-image docs lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-18s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## Run the whole pipeline on the sample data; ends with the path of the report
	@$(BIN)/mmctr run $(ARGS)

check: $(READY) ## Lint, types, import contracts, and the documentation site with all its links
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tests benchmarks infra
	$(BIN)/lint-imports
	$(SITE)

test: check ## The checks, then the tests; names those that it leaves out because Chromium or PostgreSQL is missing
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not containers and not slow" $(ARGS)

test-browser: $(READY) ## Only the tests of the pages in Chromium; fails without Chromium
	MMCTR_ALL_TESTS=1 $(BIN)/python -m pytest -m browser tests/browser $(ARGS)

test-slow: $(READY) ## The tests that take minutes or install packages; not part of `make test`
	$(BIN)/python -m pytest -m "slow and not containers" $(ARGS)

chaos: $(READY) ## Break the product on purpose: kills, corruptions, races, lost servers, full disks (about 40 minutes on two cores)
	$(BIN)/python -m tests.chaos $(ARGS)
	$(BIN)/python -m benchmarks.reliability

mutants: $(READY) ## Put small mistakes into the consequential modules and count those that the fast tests notice
	$(BIN)/python -m tests.mutants $(ARGS)
	$(BIN)/python -m benchmarks.mutants

docs: $(READY) ## Build the documentation site into .mmctr/site
	$(SITE)
	@echo "open .mmctr/site/index.html; for its search: $(BIN)/python -m http.server --directory .mmctr/site"

picture: $(READY) ## Draw docs/images/pipeline.svg from the compiled pipeline
	$(BIN)/python -m pipelines.picture docs/images/pipeline.svg

images: $(READY) ## Build the cpu and gpu images (ARGS="--registry registry.example.com/mmctr --push")
	$(BIN)/python infra/images/build.py $(ARGS)

services: $(READY) ## MLflow, PostgreSQL and S3 on this machine, until Ctrl-C
	$(BIN)/python -m infra.local.up $(ARGS)

s3: $(READY) ## Only the S3 server, with the DVC remote and the artifact bucket on it, until Ctrl-C
	$(BIN)/python -m infra.local.s3 $(ARGS)

check-infra: $(READY) ## Build every Kubernetes overlay and check each object strictly
	$(BIN)/python -m infra.check

test-containers: $(READY) ## Build the cpu image and run the pipeline in it
	$(BIN)/python -m pytest -m "containers and not slow" tests/containers $(ARGS)

test-gpu-image: $(READY) ## Build the gpu image (3 GB of wheels, 25 GB of disk) and run the pipeline in it, on the processor
	$(BIN)/python -m pytest -m "containers and slow" tests/containers $(ARGS)

bench: $(READY) .mmctr/fuxictr/bin/fuxictr ## Measure training and its data path, ours and FuxiCTR's (about an hour on two cores)
	$(BIN)/python -m benchmarks.training compare --fuxictr .mmctr/fuxictr/bin/python
	$(BIN)/python -m benchmarks.loader --fuxictr .mmctr/fuxictr/bin/python
	$(BIN)/python -m benchmarks.scaling ranks
	$(BIN)/python -m benchmarks.scaling rows
	$(BIN)/python -m benchmarks.scaling batch
	$(BIN)/python -m benchmarks.tables

load: $(READY) ## An hour of mixed requests at 80% of a server's capacity (ARGS="--minutes 15")
	$(BIN)/python -m benchmarks.load $(ARGS)

# FuxiCTR, with which the benchmarks compare, has a virtual environment of its own.
.mmctr/fuxictr/bin/fuxictr:
	$(PYTHON) -m venv .mmctr/fuxictr
	.mmctr/fuxictr/bin/pip install --quiet torch==2.13.0 fuxictr==2.3.10
	@touch $@

# The lock leaves out CUDA packages, so that it works on machines with and without a GPU: torch itself pins their exact versions.
PIN = $(BIN)/uv pip compile -q --no-header --no-annotate --no-emit-find-links --no-emit-index-url --python-version 3.11 \
	$(1) | sed -E '/^(cuda-|nvidia-|triton)/d; s/\+cpu$$//' >

lock: $(READY) ## Pin every package anew from pyproject.toml (then commit both locks)
	$(call PIN,pyproject.toml) requirements.lock.new
	$(call PIN,--extra dev -c requirements.lock.new pyproject.toml) requirements-dev.lock.new
	mv requirements.lock.new requirements.lock
	mv requirements-dev.lock.new requirements-dev.lock

clean: ## Remove caches and local runs (the registry in .mmctr too)
	rm -rf .mmctr .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# All targets share one virtual environment. It is made again when requirements-dev.lock or pyproject.toml changes.
$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed; set PYTHON=python3.11")'
	@echo "installing the locked requirements into .venv (about two minutes, once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
