# The doors of wgan-bench. `make quickstart` and `make test` do all the set-up they need, once, into .venv.
# A .venv whose pyproject.toml or constraints.txt has changed is brought up to date.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help install quickstart test test-slow test-slurm test-browser check bench bench-harness clean

help:
	@echo "make quickstart  train four GANs on real digits over three seeds and write reports/quickstart/report.html"
	@echo "make test        the default test suite"
	@echo "make test-slow   the slower tests"
	@echo "make test-slurm  tests on a real SLURM, made on this host from Debian's packages"
	@echo "make test-browser  reports in headless Chromium, installed from Debian's packages"
	@echo "make check       lint, format and types"
	@echo "make bench       speed, as ratios in one run: measures every figure of reports/speed (25 minutes)"
	@echo "make bench-harness  seconds of dispatch, of large results folders and of large reports"
	@echo "make clean       remove .venv and caches; results and reports stay"

install: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "wgan-bench needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[slurm,dev]'
	@touch $(READY)

quickstart: $(READY)
	$(BIN)/wgan-bench run sweeps/quickstart.yaml
	$(BIN)/wgan-bench report sweeps/quickstart.yaml

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'slow or mnist' --timeout 600

test-slurm: $(READY)
	tests/slurm/install.sh
	$(BIN)/python -m pytest -m slurm tests/slurm --timeout 600

test-browser: $(READY)
	tests/browser/install.sh
	$(BIN)/python -m pytest -m browser tests/browser --timeout 300

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# ONLY=conv_step measures one group of figures, ONLY=table writes the report from those that are kept.
bench: $(READY)
	$(BIN)/python -m tests.speed $(ONLY)

bench-harness: $(READY)
	$(BIN)/python -m pytest -m bench -s --timeout 1200

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache build *.egg-info
