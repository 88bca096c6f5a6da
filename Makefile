SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
RUN := $(VENV)/bin/
INPUT ?= /usr/share/common-licenses
ACT ?= all
ELEMENTS ?= 10000
PYTEST_ARGS ?=
BENCH ?=
AUDIT ?=
CHAOS ?=
RELEASE ?=

##@ Everyday

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*##/ {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/.synced ## Install what the project needs: system packages (as root), Python packages, cluster binaries
	@$(RUN)batchwright local build $(if $(filter 0,$(shell id -u)),--real-node)

$(VENV)/.synced: pyproject.toml uv.lock scripts/system-packages
	@scripts/system-packages
	@test -x $(VENV)/bin/uv || python3 -m venv $(VENV)
	@test -x $(VENV)/bin/uv || $(VENV)/bin/pip install --quiet --disable-pip-version-check uv
	@UV_PROJECT_ENVIRONMENT=$(VENV) $(VENV)/bin/uv sync --locked --quiet --inexact
	@touch $@

.PHONY: demo
demo: setup ## Three acts (ACT=1, 2, 3 or all): real containers over INPUT=DIR, arrays of ELEMENTS=10000, Spot nodes
	@$(RUN)batchwright demo --input "$(INPUT)" --act "$(ACT)" --elements "$(ELEMENTS)"

##@ Tests

.PHONY: test
test: verify test-unit test-cluster test-chart ## Everything: static checks, unit and property tests, tests on a real cluster

.PHONY: test-unit
test-unit: $(VENV)/.synced ## Unit and property tests, without a cluster
	$(RUN)pytest -n 2 tests/unit tests/property $(PYTEST_ARGS)

.PHONY: test-cluster
test-cluster: setup ## Tests on the embedded cluster, simulated and real nodes; what fails runs once more, by itself
	$(RUN)python scripts/once_more.py -n 3 --dist loadfile --no-loadscope-reorder --durations 20 tests/cluster $(PYTEST_ARGS)

.PHONY: test-chart
test-chart: setup ## Tests of the Helm chart: helm, helm-unittest, kubeconform and promtool, a cluster, the operator's own image
	@PYTHONPATH=tests $(RUN)python -m charttools
	$(RUN)pytest tests/chart $(PYTEST_ARGS)

.PHONY: verify
verify: $(VENV)/.synced ## Static checks; generated files must be up to date
	$(RUN)ruff check operator tests scripts
	$(RUN)ruff format --check operator tests scripts
	$(RUN)mypy
	$(RUN)lint-imports
	$(RUN)bandit -q -c pyproject.toml -r operator
	$(RUN)zizmor --offline --quiet --no-progress --persona pedantic .github
	$(RUN)python -m batchwright.api.crds crds --check
	$(RUN)python -m batchwright.chart helm/batchwright --check
	$(RUN)python -m batchwright.chart.argocd helm/argocd --check
	$(RUN)python -m batchwright.api.reference docs/reference --check

.PHONY: audit
audit: $(VENV)/.synced ## Known vulnerabilities of the locked packages; asks the advisory service of PyPI (AUDIT="-s osv": OSV)
	@set -o pipefail; $(RUN)uv export --locked --quiet --no-emit-project --no-hashes --format requirements-txt \
	  | $(RUN)pip-audit --strict --disable-pip --no-deps -r /dev/stdin $(AUDIT)

.PHONY: bench
bench: setup ## Time, API writes, CPU and memory per job, beside plain Jobs: every scenario, or BENCH="single --json"
	$(RUN)batchwright bench $(BENCH)

.PHONY: chaos
chaos: setup ## Faults of every kind while a workload runs; exactly-once, counted from outside (CHAOS="--kills 1000")
	PYTHONPATH=tests $(RUN)python -m chaos $(CHAOS)

.PHONY: soak
soak: setup ## The work of hours in minutes, and the operator's memory meanwhile (SOAK="--minutes 30")
	PYTHONPATH=tests $(RUN)python -m chaos.soak $(SOAK)

##@ Development

.PHONY: crds
crds: $(VENV)/.synced ## Generate crds/ from the models
	$(RUN)python -m batchwright.api.crds crds
	$(RUN)python -m batchwright.chart helm/batchwright
	$(RUN)python -m batchwright.api.reference docs/reference

.PHONY: chart
chart: $(VENV)/.synced ## Generate the chart's values, schema, CRDs and admission policies
	$(RUN)python -m batchwright.chart helm/batchwright

.PHONY: argocd
argocd: $(VENV)/.synced ## Generate the snippet for Argo CD's ConfigMap from the Lua files
	$(RUN)python -m batchwright.chart.argocd helm/argocd

.PHONY: docs
docs: $(VENV)/.synced ## Generate the reference of the kinds, and build the site into build/site
	$(RUN)python -m batchwright.api.reference docs/reference
	NO_MKDOCS_2_WARNING=1 $(RUN)mkdocs build --strict --quiet

.PHONY: docs-serve
docs-serve: $(VENV)/.synced ## Show the site while you write it
	NO_MKDOCS_2_WARNING=1 $(RUN)mkdocs serve

.PHONY: release
release: $(VENV)/.synced ## Make wheel, chart, krew plugin, image archive, SBOM and checksums in dist/ (RELEASE="--no-image")
	PYTHONPATH=scripts:tests $(RUN)python -m release dist $(RELEASE)

.PHONY: format
format: $(VENV)/.synced ## Format the code
	$(RUN)ruff check --fix operator tests scripts
	$(RUN)ruff format operator tests scripts

.PHONY: clean
clean: ## Remove the virtual environment and every cache of the checkout
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build
