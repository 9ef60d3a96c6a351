# make demo: train a small network in a minute.  make test: lint, types and the fast tests.  make test-all: all tests.
# make test-avx2: the numeric tests on an imitation of a processor without AVX-512.
# They set up .venv when it is missing or when pyproject.toml or requirements.lock have changed.
# make lock: choose versions anew for a changed pyproject.toml.  make audit: known weaknesses of the locked ones.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.complete
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-all test-avx2 check setup lock audit clean
.DEFAULT_GOAL := demo

# Three packages are built here (two that come as source, and this one): by the setuptools of the lock,
# which is therefore installed first, and by none that pip would fetch unchecked.
$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=<path>")'
	$(PYTHON) -m venv .venv
	sed -n '/^setuptools==/,/[^\\]$$/p' requirements.lock > .venv/setuptools.lock
	$(INSTALL) --require-hashes -r .venv/setuptools.lock
	$(INSTALL) --require-hashes --no-build-isolation -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $(STAMP)

setup: $(STAMP)

demo: $(STAMP)
	$(BIN)/python -m src.train experiment=quickstart

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

test-all: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

test-avx2: $(STAMP)
	ATEN_CPU_CAPABILITY=avx2 DNNL_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 OMP_NUM_THREADS=1 \
	  $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow" \
	  tests/attribution tests/data tests/engine tests/metrics tests/models tests/optim \
	  tests/test_find_lr.py tests/test_export.py

# Versions that are in the lock stay where they can; rm requirements.lock first, and all are the newest.
lock:
	uv pip compile pyproject.toml --quiet --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' -o requirements.lock

audit:
	pip-audit -r requirements.lock --require-hashes --disable-pip

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache *.egg-info
