# fastserve. `make` alone lists what there is.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PY     := $(BIN)/python
ARGS   ?=
# Processes that run test files beside each other. One more than there are cores, since many tests
# wait; none for a choice of tests (ARGS), whose output can then be watched.
WORKERS ?= $(if $(ARGS),0,$(shell echo $$(($$(nproc) + 1))))

# Python packages, by purpose: extras of pyproject.toml.
INSTALL_DEMO := .[demo]
INSTALL_DEV  := .[demo,test,lint,bench]
# What comes from Debian, by purpose (names of Debian 12).
APT_BUILD := g++ libnghttp2-dev libasio-dev libssl-dev zlib1g-dev
APT_TEST  := ccache clang doctest-dev libclang-rt-14-dev nghttp2-client prometheus valgrind
APT_BENCH := nghttp2-client nghttp2-server
APT_TIDY  := clang-tidy
# Only where $(PYTHON) is Debian's, which ships headers and venv apart.
APT_PYTHON = $(shell $(PYTHON) -c 'import os, sysconfig as s; \
  print("" if os.path.exists(s.get_path("include") + "/Python.h") else "python3-dev")'; \
  $(PYTHON) -c 'import ensurepip' 2>/dev/null || echo python3-venv)
# The build backend's requirements, installed beforehand so that builds are incremental.
BUILD_REQUIRES = $(shell $(PYTHON) -c 'import tomllib; \
  print(*(f"\"{r}\"" for r in tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"]))')

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help build build-dev demo test lint lint-python lint-types lint-cython lint-cpp lint-words \
        lint-proto format tidy bench locust peers scaling soak fuzz clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# $(call apt,packages): installs those that are missing, or says which. Without dpkg the build goes
# on, and CMake names what it does not find.
define apt
@command -v dpkg-query >/dev/null || exit 0; \
missing=""; \
for package in $(1); do \
  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q '^install ok installed' \
    || missing="$$missing $$package"; \
done; \
[ -n "$$missing" ] || exit 0; \
if [ "$$(id -u)" = 0 ]; then as_root=""; \
elif sudo -n true 2>/dev/null; then as_root="sudo"; \
else \
  echo "fastserve: missing Debian packages:$$missing;" \
       "install them with: sudo apt-get install -y$$missing" >&2; \
  exit 1; \
fi; \
echo "installing Debian packages:$$missing"; \
mkdir -p build; \
{ $$as_root apt-get update \
  && $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$missing; \
} >build/apt.log 2>&1 || { cat build/apt.log; exit 1; }
endef

# $(call quiet,log,command): prints the log only when the command fails.
define quiet
@mkdir -p build; { $(2); } >build/$(1).log 2>&1 || { cat build/$(1).log; exit 1; }
endef

$(PY):
	$(call apt,$(APT_PYTHON))
	$(call quiet,venv,$(PYTHON) -m venv $(VENV))

# pip is asked for everything of a purpose at once: it then finds versions that agree (protobuf for
# the newest tritonclient above all).
$(VENV)/.installed-demo: $(PY) pyproject.toml setup.py
	$(call apt,$(APT_BUILD))
	@echo "installing Python packages into $(VENV)"
	$(call quiet,pip-build,$(PY) -m pip install -q $(BUILD_REQUIRES))
	$(call quiet,pip-demo,$(PY) -m pip install -q --no-build-isolation -e '$(INSTALL_DEMO)')
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-demo
	$(call apt,$(APT_TEST))
	@echo "installing development packages into $(VENV)"
	$(call quiet,pip-dev,$(PY) -m pip install -q --no-build-isolation -e '$(INSTALL_DEV)')
	@touch $@

build: $(VENV)/.installed-demo  ## Install what is missing, create .venv, build the core into it
	$(call quiet,build,$(PY) setup.py build_ext --inplace)

build-dev: $(VENV)/.installed-dev build  ## The same with everything that tests and lint need

demo: build  ## Train models, serve them, send real rows (KEEP=1 leaves the server running)
	@KEEP=$(KEEP) $(PY) examples/demo/demo.py $(ARGS)

test: build-dev  ## All tests, Python and C++ (ARGS="-k name" to choose)
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: lint-python lint-types lint-cython lint-cpp lint-words lint-proto  ## What pre-commit and CI check

lint-python: build-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

lint-types: build-dev
	@$(BIN)/mypy

lint-cython: build-dev
	@PATH="$(abspath $(BIN)):$$PATH" cython-lint src/fastserve/_core

lint-cpp: build-dev
	@git ls-files --cached --others --exclude-standard 'csrc/*.h' 'csrc/*.cc' \
	  | xargs -r $(BIN)/clang-format --dry-run -Werror

lint-words: build-dev
	@git ls-files --cached --others --exclude-standard | xargs $(BIN)/codespell

lint-proto: build-dev
	@$(PY) proto/generate.py --check

format: build-dev  ## Rewrite Python and C++ in the project's format
	@$(BIN)/ruff check --fix-only -q .
	@$(BIN)/ruff format -q .
	@git ls-files --cached --others --exclude-standard 'csrc/*.h' 'csrc/*.cc' \
	  | xargs -r $(BIN)/clang-format -i

tidy: build-dev  ## clang-tidy over the core (minutes)
	$(call apt,$(APT_TIDY))
	@run-clang-tidy -quiet -p build/release 'csrc/fastserve/.*\.cc$$'

bench: build-dev  ## The table of speed and memory, each figure beside its partner
	$(call apt,$(APT_BENCH))
	@$(PY) bench/run.py $(ARGS)

peers: build-dev  ## Other model servers beside fastserve, each in an environment of its own (half an hour)
	$(call apt,nghttp2-client)
	@$(PY) bench/peers/run.py $(ARGS)

locust: build-dev  ## Locust's users against a real server, held against bench/locust/budgets.toml
	@$(PY) bench/locust/guard.py --html build/locust $(ARGS)

scaling: build-dev  ## What a request costs as connections, models, features and threads grow
	$(call apt,$(APT_BENCH))
	@$(PY) bench/scaling.py $(ARGS)

soak: build-dev  ## Lifecycle at full scale: 1,000 swaps, reloads, models; races (an hour or so)
	$(call apt,$(APT_BENCH))
	@$(PY) bench/lifecycle.py --scale 1 $(ARGS)
	@FASTSERVE_SOAK=1 $(PY) -m pytest tests/models tests/lifecycle tests/durable tests/observe tests/cpp -q

fuzz: build-dev  ## Fuzz every target for SECONDS (default 300) each
	@FASTSERVE_FUZZ_SECONDS=$(or $(SECONDS),300) $(PY) -m pytest tests/cpp -k fuzz $(ARGS)

clean:  ## Remove what was built; .venv stays
	rm -rf build dist src/*.egg-info
	find src -name '*.so' -delete
