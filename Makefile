# Two commands: `make demo` and `make test`. Both need Python 3.11 to 3.13 with venv and pip, and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check clean

demo: $(VENV)/.demo
	@$(BIN)/python -m tests.demo

# The node's tests wait more than they compute: they run beside all others and are printed after them.
test: $(VENV)/.dev check
	@log=$$(mktemp); $(BIN)/python -m pytest tests/node >$$log 2>&1 & node=$$!; trap "kill $$node" INT TERM; \
	$(BIN)/python -m pytest --ignore=tests/node; others=$$?; \
	wait $$node; waits=$$?; cat $$log; rm -f $$log; exit $$((others || waits))

check: $(VENV)/.dev
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

$(VENV)/.demo: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Osteon into $(VENV) (once; torch is the large part)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Osteon and its tools into $(VENV) (once; torch is the large part)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

clean:
	rm -rf demo .mypy_cache .ruff_cache .pytest_cache
