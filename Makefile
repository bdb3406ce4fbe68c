# Each target prints what it does. Needs make and python3 (3.11 or newer); everything else goes into .venv.

PYTHON ?= python3
AIRFLOW ?= 3.3
VENV ?= .venv
SCENARIO ?= effect
RESULTS ?= endpoint
KEEP ?= 0
# Processes that run unit, dags and contract tests: auto takes one for each core, 0 runs them in pytest's own.
WORKERS ?= auto
# Airflows that run side by side for the stack tests, each with its own services, ports and folder. They mostly wait, so
# three keep two cores busy beside the unit tests. Each takes memory of its own.
STACKS ?= 3
# Dependency groups that `install` adds to the tools.
WITH ?=
SHORT ?= 0
COVERAGE ?= 0
# For `make soak`: after so many minutes no further round starts.
MINUTES ?= 60
ROLLOUTS ?= 200
# Each writes the pages of docs/ that are generated from the code.
PAGE_SCRIPTS = $(addprefix tests/support/,reference_pages.py cli_page.py emulated_page.py coverage_table.py) \
	tests/unit/decision/test_truth_table.py tests/benchmarks/promise_page.py
# The durations at the end of the log say which to begin with (`LONGEST` in tests/stack/conftest.py).
STACK_TESTS = tests/stack --numprocesses $(STACKS) --dist load --maxschedchunk 1 --durations 12

export UV_PYTHON_DOWNLOADS = never
# The certificates that the machine trusts, a company's own included (the second name is for older versions of uv).
export UV_SYSTEM_CERTS = 1
export UV_NATIVE_TLS = 1
unexport PYTHONDONTWRITEBYTECODE

BIN = $(VENV)/bin
CONSTRAINTS = constraints/airflow-$(AIRFLOW).txt
INSTALLED = $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test lint unit properties dags stack browser chaos soak contract crash calibrate prove benchmarks dist audit constraints pages docs clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(INSTALLED)  ## make .venv with Airflow and this provider

$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	@echo "== installing Airflow $(AIRFLOW) and the provider into $(VENV) (constraints: $(CONSTRAINTS))"
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"python3 is {v.major}.{v.minor}; 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --constraint $(CONSTRAINTS) $(addprefix --group ,dev $(WITH)) --editable '.[emulator,simulation]'
	@touch $@

demo: $(INSTALLED)  ## roll out an experiment on real Airflow (SCENARIO=effect|no-effect|broken-split, RESULTS=warehouse, KEEP=1 leaves it up)
	@$(BIN)/python tests/stack/demo.py --scenario $(SCENARIO) --results $(RESULTS) $(if $(filter 1,$(KEEP)),--keep)

# The real-stack tests mostly wait, so they run beside the others. Their output comes last, in one piece. Measuring branch
# coverage doubles the time.
COVERED = $(if $(filter 1,$(COVERAGE)),--cov --cov-report=)
test: $(INSTALLED)  ## run every tier: unit, dags, contract, stack (COVERAGE=1: with branch coverage)
	@echo "== unit, dags, contract and stack tests on Airflow $(AIRFLOW)$(if $(COVERED), (branch coverage is measured))"
	@COVERAGE_FILE=.coverage.stack $(BIN)/python -m pytest $(STACK_TESTS) $(COVERED) >.stack.log 2>&1 & stack=$$!; \
	COVERAGE_FILE=.coverage.rest $(BIN)/python -m pytest tests/unit tests/dags tests/contract --numprocesses $(WORKERS) --dist worksteal $(COVERED); \
	rest=$$?; wait $$stack; stack=$$?; cat .stack.log; \
	$(if $(COVERED),$(BIN)/coverage combine --quiet .coverage.stack .coverage.rest && $(BIN)/coverage report;) \
	exit $$((rest || stack))

unit: $(INSTALLED)  ## run the unit tests
	@echo "== unit tests"
	@$(BIN)/python -m pytest tests/unit --numprocesses $(WORKERS) --dist worksteal

properties: $(INSTALLED)  ## run the tests with drawn examples, 150 of each
	@echo "== properties, with Hypothesis's full profile"
	@HYPOTHESIS_PROFILE=full $(BIN)/python -m pytest tests/unit -m hypothesis --numprocesses $(WORKERS) --dist worksteal

dags: $(INSTALLED)  ## run the example DAGs through dag.test()
	@echo "== dag.test() tests"
	@$(BIN)/python -m pytest tests/dags --numprocesses $(WORKERS) --dist worksteal

stack: $(INSTALLED)  ## run the tests on a real scheduler, triggerer and API server (WITHOUT=NAME: but those of such a name)
	@echo "== real-stack tests on Airflow $(AIRFLOW), on $(STACKS) Airflows side by side"
	@$(BIN)/python -m pytest $(STACK_TESTS)$(if $(WITHOUT), -k 'not $(WITHOUT)')

browser: $(INSTALLED)  ## look at what people see in a headless Chromium: light and dark, by keyboard, with axe-core (WRITE=1: pictures into docs/)
	@echo "== what people see, in a real browser"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint $(CONSTRAINTS) --group browser
	@WRITE=$(filter 1,$(WRITE)) $(BIN)/python -m pytest tests/browser

# Celery and PostgreSQL's drivers change what Airflow offers, so these have an environment of their own.
chaos:  ## kill and freeze the parts of two real stacks while rollouts run on them (SHORT=1: the form that CI runs)
	@$(MAKE) --no-print-directory VENV=.venv-chaos WITH=chaos install
	@echo "== rollouts under attack, on LocalExecutor with SQLite and on Celery with PostgreSQL and Redis"
	@.venv-chaos/bin/python -m pytest tests/chaos --numprocesses 2 --dist loadgroup $(if $(filter 1,$(SHORT)),-k short)

soak:  ## an hour of rollouts under random faults: memory, looks, what is left behind (MINUTES=60, ROLLOUTS=200)
	@$(MAKE) --no-print-directory VENV=.venv-chaos WITH=chaos install
	@echo "== soak: $(ROLLOUTS) rollouts within about $(MINUTES) minutes"
	@.venv-chaos/bin/python tests/chaos/soak.py --minutes $(MINUTES) --rollouts $(ROLLOUTS)

contract: $(INSTALLED)  ## run LaunchDarkly's official clients against the emulator
	@echo "== contract tests: the official clients, each in an environment of its own"
	@$(BIN)/python -m pytest tests/contract --numprocesses $(WORKERS) --dist worksteal

crash: $(INSTALLED)  ## kill tasks at every point and pair of points, and at random (N=10000: more rollouts, that many schedules)
	@echo "== crash tests: every operator and rollout step killed everywhere, and $(or $(N),200) random schedules of each kind"
	@N=$(N) $(BIN)/python -m pytest tests/crash --numprocesses $(WORKERS) --dist worksteal

calibrate: $(INSTALLED)  ## hold the decision engine to its promise (FULL=1: 100,000 experiments a row; WRITE=1: into docs/)
	@echo "== calibration: every row of the promise"
	@$(BIN)/python tests/benchmarks/calibrate.py $(if $(filter 1,$(FULL)),--full) $(if $(filter 1,$(WRITE)),--write)
	@echo "== calibration beside two public libraries"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint $(CONSTRAINTS) --group comparison
	@$(BIN)/python tests/benchmarks/calibrate_peers.py $(if $(filter 1,$(WRITE)),--docs docs/concepts/how-we-decide.md)
	@echo "== calibration of portfolios: quarters of 200 experiments"
	@$(BIN)/python tests/benchmarks/calibrate_portfolio.py $(if $(filter 1,$(FULL)),--full) $(if $(filter 1,$(WRITE)),--docs docs/concepts/how-we-decide.md)
	@echo "== calibration of the watch over questions: 40,000 harmless experiments a row"
	@$(BIN)/python tests/benchmarks/calibrate_waiting.py $(if $(filter 1,$(WRITE)),--docs docs/concepts/how-we-decide.md)
	@echo "== calibration end to end: 200 experiments through sensor code and emulator"
	@$(BIN)/python tests/benchmarks/calibrate_end_to_end.py

prove: $(INSTALLED)  ## compare results from exported rows with a computation in numpy, on 1,000 simulated experiments
	@echo "== units, means, deviations and verdicts from raw rows"
	@$(BIN)/python tests/benchmarks/prove_export.py

benchmarks: $(INSTALLED)  ## what things cost, beside what one would use instead
	@echo "== benchmarks"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --constraint $(CONSTRAINTS) --group comparison --group browser
	@for benchmark in tests/benchmarks/bench_*.py; do echo "-- $$benchmark"; $(BIN)/python $$benchmark; done
	@$(BIN)/python tests/benchmarks/bench_waiting.py --waiting 10000

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
	@$(BIN)/airflow-launchdarkly schema --metrics > docs/metrics.schema.json

docs: $(INSTALLED)  ## build the documentation site in build/docs; each warning is an error
	@echo "== documentation"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint $(CONSTRAINTS) --group docs
	@rm -rf docs/reference/api
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env docs build/docs
	@echo "built: build/docs/index.html"

dist: $(INSTALLED)  ## build and check wheel, sdist and bill of materials, and run the demo from them (TAG=v0.1.0: all that publishing needs)
	@echo "== distributions"
	@$(BIN)/python tests/release/make_dist.py --constraints $(CONSTRAINTS) --scenario $(SCENARIO) $(if $(TAG),--tag $(TAG))

audit: $(INSTALLED)  ## ask an index of advisories about all pinned packages (INDEX=https://…: another that answers as OSV does)
	@echo "== advisories"
	@$(BIN)/python tests/release/audit.py $(if $(INDEX),--index $(INDEX))

constraints: $(INSTALLED)  ## recompile the constraint files
	@echo "== constraints"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python constraints/compile.py

clean:  ## remove what the other targets made
	@echo "== removing environments and caches"
	@rm -rf .venv .venv-* build dist docs/reference/api .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
