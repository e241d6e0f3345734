# Every command sets up what it needs first; none needs anything but make and a network.
PYTHON := .venv/bin/python
SETUP := @scripts/bootstrap
# Many tests wait for programs, so there are more processes than processors. Each process
# collects all tests, which takes as long as many of them.
TEST_PROCESSES ?= 3
PYTEST := TMPDIR="$$(scripts/test-folder)" $(PYTHON) -m pytest --numprocesses $(TEST_PROCESSES) \
	--dist loadscope --no-loadscope-reorder
CHECKS := check-format check-types check-imports check-static
# Images for containers forbid bytecode files; without them each of the many programs that
# tests start compiles all modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-fast check bench soak setup clean

help: ## List these commands
	@echo 'Usage: make COMMAND'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' Makefile

demo: ## Show the statistics of a sample database; EXAMPLE=bf1942 shows another product's
	$(SETUP) --no-dev $(if $(EXAMPLE),--group examples)
	@exec $(PYTHON) -m demo $(if $(EXAMPLE),--example '$(EXAMPLE)')

test: ## Run every check, and tests of every behaviour; installs MariaDB where that is possible
	$(SETUP)
	@scripts/test-services
	@scripts/biome --version >/dev/null
	@echo '▸ Checking format, lint and types, and running the tests (it may take a few minutes)'
	@$(MAKE) --no-print-directory --jobs $(CHECKS) run-tests

test-all: ## The same with the long tests, as CI does: rarer variants, larger samples
	@$(MAKE) --no-print-directory test TEST_EFFORT=full

test-fast: ## Run the tests that need no server, browser or other program
	$(SETUP)
	@$(PYTEST) -m 'not external'

check: ## Check format, lint and types only
	$(SETUP)
	@echo '▸ Checking format, lint and types'
	@scripts/biome --version >/dev/null
	@$(MAKE) --no-print-directory --jobs $(CHECKS)

# Beside the checks: in a new clone, mypy alone takes half a minute of one processor.
.PHONY: run-tests $(CHECKS)
run-tests:
	@PATH="$$PATH:/usr/local/sbin:/usr/sbin:/sbin" $(PYTEST)

check-format:
	@$(PYTHON) -m ruff format --check --quiet .
	@$(PYTHON) -m ruff check --quiet .

check-types:
	@$(PYTHON) -m mypy --no-error-summary .

check-imports:
	@output=$$($(PYTHON) -m deptry . 2>&1) || { printf '%s\n' "$$output"; exit 1; }

check-static:
	@scripts/biome ci static

bench: ## Measure sync and answers; SCALE=100 for a hundred times the sample
	$(SETUP) --group bench-sync
	@exec $(PYTHON) -m bench

soak: ## Everything at once for an hour: writers, kills, damage, floods; SOAK_SECONDS=300 for less
	$(SETUP) --group bench-sync
	@exec $(PYTHON) -m bench.soak

setup: ## Only set up: uv, Python and the packages
	$(SETUP)

clean: ## Remove all that these commands made (data/ stays)
	rm -rf .bench .demo .venv .tools node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
