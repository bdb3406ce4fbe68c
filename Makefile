# Each target prints what it does. Needs make and python3 (3.11 or newer); everything else goes into .venv.

PYTHON ?= python3
AIRFLOW ?= 3.3
VENV ?= .venv
SCENARIO ?= effect
KEEP ?= 0
# Processes that run unit, dags and contract tests: auto takes one for each core, 0 runs them in pytest's own.
WORKERS ?= auto
# Airflows that run side by side for the stack tests, each with its own services, ports and folder: one for each core.
STACKS ?= 2
# Each writes the pages of docs/ that are generated from the code.
PAGE_SCRIPTS = $(addprefix tests/support/,reference_pages.py cli_page.py emulated_page.py coverage_table.py) \
	tests/unit/decision/test_truth_table.py tests/benchmarks/promise_page.py
STACK_TESTS = tests/stack --numprocesses $(STACKS) --dist worksteal

export UV_PYTHON_DOWNLOADS = never
# The certificates that the machine trusts, a company's own included (the second name is for older versions of uv).
export UV_SYSTEM_CERTS = 1
export UV_NATIVE_TLS = 1
unexport PYTHONDONTWRITEBYTECODE

BIN = $(VENV)/bin
CONSTRAINTS = constraints/airflow-$(AIRFLOW).txt
INSTALLED = $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test lint unit dags stack contract calibrate benchmarks constraints pages docs clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(INSTALLED)  ## make .venv with Airflow and this provider

$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	@echo "== installing Airflow $(AIRFLOW) and the provider into $(VENV) (constraints: $(CONSTRAINTS))"
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"python3 is {v.major}.{v.minor}; 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --constraint $(CONSTRAINTS) --group dev --editable '.[emulator,simulation]'
	@touch $@

demo: $(INSTALLED)  ## roll out an experiment on real Airflow (SCENARIO=effect|no-effect|broken-split, KEEP=1 leaves it up)
	@$(BIN)/python tests/stack/demo.py --scenario $(SCENARIO) $(if $(filter 1,$(KEEP)),--keep)

# The real-stack tests mostly wait, so they run beside the others. Their output comes last, in one piece.
test: $(INSTALLED)  ## run every tier, with branch coverage: unit, dags, contract, stack
	@echo "== unit, dags, contract and stack tests on Airflow $(AIRFLOW), with branch coverage"
	@COVERAGE_FILE=.coverage.stack $(BIN)/python -m pytest $(STACK_TESTS) --cov --cov-report= >.stack.log 2>&1 & stack=$$!; \
	COVERAGE_FILE=.coverage.rest $(BIN)/python -m pytest tests/unit tests/dags tests/contract --numprocesses $(WORKERS) --cov --cov-report=; \
	rest=$$?; wait $$stack; stack=$$?; cat .stack.log; \
	$(BIN)/coverage combine --quiet .coverage.stack .coverage.rest && $(BIN)/coverage report; \
	exit $$((rest || stack))

unit: $(INSTALLED)  ## run the unit tests
	@echo "== unit tests"
	@$(BIN)/python -m pytest tests/unit --numprocesses $(WORKERS)

dags: $(INSTALLED)  ## run the example DAGs through dag.test()
	@echo "== dag.test() tests"
	@$(BIN)/python -m pytest tests/dags --numprocesses $(WORKERS)

stack: $(INSTALLED)  ## run the tests on a real scheduler, triggerer and API server
	@echo "== real-stack tests on Airflow $(AIRFLOW), on $(STACKS) Airflows side by side"
	@$(BIN)/python -m pytest $(STACK_TESTS)

contract: $(INSTALLED)  ## run LaunchDarkly's official clients against the emulator
	@echo "== contract tests: the official clients, each in an environment of its own"
	@$(BIN)/python -m pytest tests/contract --numprocesses $(WORKERS)

calibrate: $(INSTALLED)  ## hold the decision engine to its promise (FULL=1: 100,000 experiments a row; WRITE=1: into docs/)
	@echo "== calibration: every row of the promise"
	@$(BIN)/python tests/benchmarks/calibrate.py $(if $(filter 1,$(FULL)),--full) $(if $(filter 1,$(WRITE)),--write)
	@echo "== calibration beside two public libraries"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint $(CONSTRAINTS) --group comparison
	@$(BIN)/python tests/benchmarks/calibrate_peers.py $(if $(filter 1,$(WRITE)),--docs docs/concepts/how-we-decide.md)
	@echo "== calibration of portfolios: quarters of 200 experiments"
	@$(BIN)/python tests/benchmarks/calibrate_portfolio.py $(if $(filter 1,$(FULL)),--full) $(if $(filter 1,$(WRITE)),--docs docs/concepts/how-we-decide.md)
	@echo "== calibration end to end: 200 experiments through sensor code and emulator"
	@$(BIN)/python tests/benchmarks/calibrate_end_to_end.py

benchmarks: $(INSTALLED)  ## what things cost, beside what one would use instead
	@echo "== benchmarks"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --constraint $(CONSTRAINTS) --group comparison
	@for benchmark in tests/benchmarks/bench_*.py; do echo "-- $$benchmark"; $(BIN)/python $$benchmark; done

lint: $(INSTALLED)  ## ruff and mypy
	@echo "== ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "== mypy"
	@$(BIN)/mypy

pages: $(INSTALLED)  ## write the pages of docs/ that are generated from the code
	@echo "== generated pages"
	@for script in $(PAGE_SCRIPTS); do echo "-- $$script"; $(BIN)/python $$script || exit 1; done
	@$(BIN)/airflow-launchdarkly schema > docs/rollout.schema.json

docs: $(INSTALLED)  ## build the documentation site in build/docs; each warning is an error
	@echo "== documentation"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint $(CONSTRAINTS) --group docs
	@rm -rf docs/reference/api
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env docs build/docs
	@echo "built: build/docs/index.html"

constraints:  ## recompile the constraint files
	@echo "== constraints"
	@$(PYTHON) constraints/compile.py

clean:  ## remove what the other targets made
	@echo "== removing environments and caches"
	@rm -rf .venv .venv-* build dist docs/reference/api .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
