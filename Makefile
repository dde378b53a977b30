# One word per chore. Each verb first completes the environments it needs and does nothing for those that are complete.
# Everything is installed into this folder; .ci/run uses the same words.

# TFX imports in 10 s with bytecode on disk and in 35 s without; the others would lead an environment's Python astray.
unexport PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH PYTHONSAFEPATH VIRTUAL_ENV

# `make PYTHON=python3.12 demo` names one; otherwise the first that runs and is of a supported version.
ifndef PYTHON
CANDIDATES := python3 python3.11 python3.12 python3.13 python3.10
SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
PYTHON := $(shell for p in $(CANDIDATES); do $$p -c '$(SUPPORTED)' >/dev/null 2>&1 && echo $$p && break; done)
endif
NO_PYTHON = none of $(CANDIDATES) is a Python 3.10 to 3.13 that runs; install one or name it: make PYTHON=/path/to/python3.11 $@
SETUP = $(if $(PYTHON),,$(error $(NO_PYTHON)))@"$(PYTHON)" -m tools.bootstrap

# How many histories `make prove` lives through; `make prove PART=process` does one part, SEED=... draws the same histories again.
HISTORIES := 200
PART :=
SEED :=

# `make lock UPGRADE=--upgrade` moves every version; without it only what the .in files ask for.
UPGRADE :=
COMPILE = UV_CUSTOM_COMPILE_COMMAND="make lock" .venv-tools/bin/uv pip compile --quiet --no-config --universal --python-version 3.10 \
	--generate-hashes --no-annotate $(UPGRADE)

.DEFAULT_GOAL := help
.PHONY: help demo test prove lint graph up down bench bench-peer board clean lock
.NOTPARALLEL:

help:
	@echo 'make <verb>, one of:'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile

demo: ## lands real data, lets Airflow run it through TFX, and asks the models that come out
	$(SETUP) tools tfx airflow
	@.venv/bin/waybill demo

test: ## runs all tests, those of TFX's Python and, beside them, those of Airflow's
	$(SETUP) tools tfx airflow
	@logs=$$(mktemp -d); trap 'rm -rf "$$logs"' EXIT; failed=; \
	.venv-airflow/bin/python -m pytest >"$$logs/airflow" 2>&1 & airflow=$$!; \
	.venv/bin/python -m pytest --part=plain >"$$logs/plain" 2>&1 & plain=$$!; \
	.venv/bin/python -m pytest --part=forking >"$$logs/forking" 2>&1 & forking=$$!; \
	echo 'test: .venv, whole runs of a pipeline (three other parts run at the same time, and are shown after)'; \
	.venv/bin/python -m pytest --part=runs || failed="$$failed .venv"; \
	show() { wait "$$1" || failed="$$failed $$2"; echo "test: $$2, $$3"; cat "$$logs/$$4"; }; \
	show $$forking .venv 'the other tests that fork' forking; \
	show $$plain .venv 'the tests that do not' plain; \
	show $$airflow .venv-airflow 'all of them' airflow; \
	if [ -n "$$failed" ]; then echo "test: FAILED in$$failed" >&2; exit 1; fi; \
	echo 'test: all passed, in both environments'

prove: ## kills processes at every line, fills the disk, lives through random histories, and watches what is served (an hour)
	$(SETUP) tools tfx airflow
	@.venv/bin/python -m tools.prove --histories=$(HISTORIES) $(if $(PART),--only=$(PART)) $(if $(SEED),--seed=$(SEED))

lint: ## checks style, types, the direction of imports, and that the graphs are fresh
	$(SETUP) tools tfx
	@failed=; \
	for check in '.venv-tools/bin/ruff check' '.venv-tools/bin/ruff format --check' .venv-tools/bin/mypy .venv-tools/bin/lint-imports \
	    '.venv/bin/waybill graph --check'; do \
	  echo "lint: $$check"; \
	  $$check || failed="$$failed, $${check##*/}"; \
	done; \
	if [ -n "$$failed" ]; then echo "lint: FAILED:$${failed#,}" >&2; exit 1; fi; \
	echo 'lint: all clean'

graph: ## compiles each pipeline to the graph.json that its DAG is drawn from
	$(SETUP) tools tfx
	@.venv/bin/waybill graph

up: ## starts Airflow and the model server on this machine and says where they are
	$(SETUP) tools tfx airflow
	@.venv/bin/waybill up

down: ## stops what `make up` started
	$(SETUP) tools tfx
	@.venv/bin/waybill down

bench: ## measures, side by side with what one would use instead
	$(SETUP) tools tfx airflow
	@.venv/bin/python -m bench

bench-peer: ## measures a warm run beside TFX's AirflowDagRunner on Airflow 2.11, which gets an environment of its own
	$(SETUP) tools tfx airflow peer
	@.venv/bin/python -m bench.peer

board: ## installs a TensorBoard that shows profiles, for `waybill tensorboard`
	$(SETUP) tools board

clean: ## stops Airflow and removes environments and caches; var/ with your data and models stays
	@if [ -x .venv/bin/waybill ]; then .venv/bin/waybill down || true; fi
	rm -rf .venv .venv-airflow .venv-board .venv-peer .venv-tools .runtime .runtime.partial .setup.lock
	rm -rf build waybill.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -not -path './.git/*' -not -path './var/*' -prune -exec rm -rf {} +

lock: ## compiles the requirements*.in files to the locked ones (UPGRADE=--upgrade moves every version)
	$(SETUP) tools
	$(COMPILE) requirements-tools.in --output-file requirements-tools.txt
	$(COMPILE) requirements-airflow.in --output-file requirements-airflow.txt
	$(COMPILE) requirements.in --override requirements-override.in --output-file requirements.txt
	$(COMPILE) requirements-board.in --output-file requirements-board.txt
	$(COMPILE) requirements-peer.in --override requirements-override.in --output-file requirements-peer.txt
