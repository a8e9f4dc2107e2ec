# `make` lists the targets. Those that run something set up .venv first, once.
VERSIONS := 3.11 to 3.14
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
# The first of these that is new enough; `make PYTHON=... TARGET` takes another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$python -c '$(SUPPORTED)' 2>/dev/null && { echo $$python; exit; }; done; echo python3)
POETRY ?= poetry
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
READY := .venv/.installed
UNFINISHED := .venv/.unfinished
# On all cores; each takes whole files while it can, so that what the tests of a file share is made once.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist worksteal

PAGES := http://127.0.0.1:5000
WAIT := import socket, sys, time; \
	sys.exit(all(socket.socket().connect_ex(("127.0.0.1", 5000)) and not time.sleep(1) for _ in range(60)))

# Runs every check, the tests given last, whether or not one fails: an unformatted file does not hide the tests.
define ALL
failed=; \
check() { echo "$$*"; "$$@" || failed="$$failed\n  $$*"; }; \
echo "$(BIN)/sdr report --check"; $(BIN)/sdr report --check & tables=$$!; \
check $(BIN)/ruff check .; \
check $(BIN)/ruff format --check .; \
check $(BIN)/mypy; \
wait $$tables || failed="$$failed\n  $(BIN)/sdr report --check"; \
check $(1); \
test -z "$$failed" || { printf "\nFailed:$$failed\n" >&2; exit 1; }
endef

.PHONY: help quickstart test test-all torture check results notebooks exercises demo tracking lock clean

help: ## list the targets
	@echo 'make TARGET, where TARGET is one of'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' Makefile

quickstart: $(READY) ## see it work: fetch the clips, train two models, test them on unseen speakers
	@$(BIN)/sdr quickstart

test: $(READY) ## what a change must pass: tables, lint, format, types, the fast tests
	@$(call ALL,$(PYTEST))

test-all: $(READY) ## the same, and the slow tests
	@$(call ALL,$(PYTEST) -m 'slow or not slow')

torture: $(READY) ## hostile inputs (10,000), kills, full disks: over an hour, counts by kind
	@TORTURE_INPUTS=$${TORTURE_INPUTS:-1350} TORTURE_KILLS=$${TORTURE_KILLS:-100} \
		$(BIN)/python -m pytest -m slow tests/torture

check: $(READY) ## one model: does it keep its contract? make check NAME=dscnn
	@test -n '$(NAME)' || { echo 'make check NAME=...: a model, such as cnn1d' >&2; exit 2; }
	@$(BIN)/python tools/check_model.py '$(NAME)'

results: $(READY) ## all tables: make the runs that are missing
	$(BIN)/sdr reproduce

notebooks: $(READY) ## run every notebook again and save it
	$(BIN)/python tools/run_notebooks.py

exercises: $(READY) ## the students' notebooks, from the solutions
	$(BIN)/python tools/make_exercises.py

demo: $(READY) ## speak a digit: build the page that hears you, and open it
	@$(BIN)/sdr demo --build

tracking: export MLFLOW_DISABLE_TELEMETRY = true
tracking: $(READY) ## MLflow's pages of all runs of `sdr train`
	@$(BIN)/python -c 'import mlflow' 2>/dev/null || $(PIP) install 'mlflow>=3.1'
	@mkdir -p runs/mlflow
	@echo '$(PAGES) opens when MLflow is ready; Ctrl-C ends it'
	@{ $(BIN)/python -c '$(WAIT)' && $(BIN)/python -m webbrowser $(PAGES); } >/dev/null 2>&1 & \
		$(BIN)/mlflow ui --port 5000 --backend-store-uri sqlite:///runs/mlflow/runs.db

lock: ## after a change of the dependencies: poetry.lock and requirements.txt
	@$(POETRY) help export >/dev/null 2>&1 || \
		{ echo 'make lock needs Poetry 2.2 or newer with poetry-plugin-export' >&2; exit 1; }
	$(POETRY) lock
	$(POETRY) export --with dev --without-hashes --output requirements.txt

clean: ## remove .venv and every cache; data, runs and results stay
	rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp appears last. What an interrupted install left is told by UNFINISHED, and replaced.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c '$(SUPPORTED)' 2>/dev/null || { \
		found="$$($(PYTHON) --version 2>/dev/null || echo missing)"; \
		echo "This needs Python $(VERSIONS), and $(PYTHON) is $$found; try: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo 'Installing into .venv; the first time it takes about 3 minutes and 6 GB.'
	@if [ -e $(UNFINISHED) ]; then $(PYTHON) -m venv --clear .venv; else $(PYTHON) -m venv .venv; fi
	@rm -f $@ && touch $(UNFINISHED)
	@$(PIP) install --no-compile -r requirements.txt
	@$(PIP) install --no-deps -e .
	@$(BIN)/python -m compileall -qq -j 0 .venv/lib || true # on all cores, which pip would do on one
	@mv $(UNFINISHED) $@
