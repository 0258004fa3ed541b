# farmqueue: every command a newcomer needs. `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
# Compiled once, here: each process of the tests would do it again where Python may write no bytecode.
INSTALL = $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes
# The project itself comes after the lock: editable, without a resolver.
PROJECT = $(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .

# uv trusts the certificates of the system, as pip does: a house may have its own.
export UV_SYSTEM_CERTS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo run test check fmt lint types imports migrations-lint alerts-check bench lock browser faketime image-check hooks clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- installation: each stamp is newer than the lock it was made from, so a second run does nothing ---

$(UV): requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "farmqueue needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $(UV)

$(VENV)/.run: $(UV) requirements/run.txt pyproject.toml
	@echo "Installing what the service needs into $(VENV) …"
	@$(INSTALL) -r requirements/run.txt
	@$(PROJECT)
	@touch $@

$(VENV)/.dev: $(UV) requirements/dev.txt pyproject.toml
	@echo "Installing what the tests need into $(VENV) …"
	@$(INSTALL) -r requirements/dev.txt
	@$(PROJECT)
	@touch $@ $(VENV)/.run

setup: $(VENV)/.dev ## install everything for development into .venv

# --- running ---

demo: $(VENV)/.run ## a farm on this machine: service, tree, four agents, an animation rendered
	@$(BIN)/python -m examples.demo

run: $(VENV)/.run ## the service alone, settings from FARMQUEUE_*
	@$(BIN)/farmqueue serve

# --- proof ---

# A file's tests share what it sets up.
# Bytecode is kept also where the environment asks for none: the tests start the service many times.
WRITING = PYTHONDONTWRITEBYTECODE=

test: $(VENV)/.dev ## the whole test suite, with its own PostgreSQL
	@$(WRITING) $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: chaos
chaos: $(VENV)/.dev faketime ## every fault of docs/faults.md; FARMQUEUE_CHAOS_SEED=… draws the same again
	@$(WRITING) $(BIN)/python -m pytest -m "chaos or not chaos" tests/chaos tests/upgrades \
	  tests/api/test_leases.py tests/scheduler/test_clash.py tests/scheduler/test_kept_equals_fresh.py $(ARGS)

check: static test ## what CI runs: all that only reads, then the tests

.PHONY: static
static: fmt-check ## all that only reads, side by side
	@$(MAKE) --no-print-directory -j 2 types lint imports migrations-lint

fmt: $(VENV)/.dev ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix-only --quiet .

.PHONY: fmt-check
fmt-check: $(VENV)/.dev
	@$(BIN)/ruff format --check .

lint: $(VENV)/.dev bandit ## ruff, bandit, and declared dependencies against imports
	@$(BIN)/ruff check .
	@$(BIN)/deptry .

.PHONY: audit
audit: $(VENV)/.dev bandit ## bandit, and known vulnerabilities of what the lock files name, asked of PyPI
	@$(BIN)/python requirements/audit.py

.PHONY: bandit
bandit: $(VENV)/.dev
	@$(BIN)/bandit --quiet --recursive --configfile pyproject.toml app farmqueue alembic

types: $(VENV)/.dev ## mypy --strict, tests too
	@$(BIN)/mypy

imports: $(VENV)/.dev ## imports go one way
	@$(BIN)/lint-imports

migrations-lint: $(VENV)/.dev ## squawk on the SQL of every revision
	@PYTHONPATH=. $(BIN)/python alembic/sql.py $(VENV)/sql 2> $(VENV)/sql.log || { cat $(VENV)/sql.log; exit 1; }
	@$(BIN)/squawk $(VENV)/sql/*.sql

alerts-check: ## promtool on the alert rules and their tests (Debian: apt-get install prometheus)
	@command -v promtool >/dev/null || { echo "promtool is missing: apt-get install --no-install-recommends prometheus" >&2; exit 1; }
	@promtool check rules deploy/prometheus/alerts.yml
	@promtool test rules deploy/prometheus/alerts_test.yml

bench: $(VENV)/.dev $(VENV)/peers/.made ## figures against their targets, as a table; ARGS="--only loop,hold"
	@$(BIN)/python -m benchmarks $(ARGS)

$(VENV)/peers/.made: $(UV) benchmarks/peers-requirements.txt
	@$(UV) venv --quiet --clear --python $(BIN)/python $(VENV)/peers
	@$(UV) pip install --quiet --python $(VENV)/peers/bin/python --require-hashes -r benchmarks/peers-requirements.txt
	@touch $@

bench-peers: $(VENV)/peers/.made ## install the queues that the farm is measured beside

bench-peers-lock: $(UV) ## renew their lock file
	@$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	  --custom-compile-command "make bench-peers-lock" benchmarks/peers-requirements.in -o benchmarks/peers-requirements.txt

bench-report: $(VENV)/.dev ## the kept figures as Markdown
	@$(BIN)/python -m benchmarks.report

lock: $(UV) ## renew the lock files from pyproject.toml
	@sh requirements/lock.sh $(UV)

browser: ## a Chromium for the tests of the docs pages, where there is none
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	  as_root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$as_root apt-get update -qq && \
	  $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium

faketime: ## a clock that can be wrong, for `make chaos`, where there is none
	@command -v faketime >/dev/null && exit 0; \
	  as_root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$as_root apt-get update -qq && \
	  $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends faketime

image-check: $(VENV)/.dev ## build the container image and run it for real (root on Debian, needs buildah)
	@tests/container/build_and_run.sh

.PHONY: screenshots
screenshots: $(VENV)/.dev ## pictures of the page into docs/images (needs chromium: make browser)
	@$(BIN)/python -m tests.page.screenshots

hooks: ## run format, lint and types before each commit
	@git config core.hooksPath .githooks
	@echo "git hooks: .githooks"

clean: ## remove what the targets made
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist .farmqueue demo-result
