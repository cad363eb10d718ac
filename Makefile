# Everything a person types. `make demo` and `make test` set up what they need, on a machine with Python >= 3.11.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-deep lint docs bench study study-quick study-methods clean

setup: .venv/.done

.venv/.done: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,dev]'
	@touch $@

demo: setup
	tools/demo.sh

# A process of tests per core, each with one thread; many tests start processes of their own.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --maxprocesses 8 --dist worksteal

test: setup
	$(PYTEST) -m 'not slow'

test-deep: setup
	HYPOTHESIS_PROFILE=deep $(PYTEST)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(MAKE) --no-print-directory docs

# The reference, build/reference/index.html, from docstrings; a docstring that is no reStructuredText is an error.
docs: setup
	$(BIN)/pydoctor --quiet

bench: setup
	for bench in $(basename $(notdir $(wildcard tools/bench_*.py))); do $(BIN)/python -m tools.$$bench || exit 1; done

# All resume where they were stopped. `make study` writes docs/study/results and the tables of STUDY.md.
study: setup
	$(BIN)/python -m tools.study tools/study/cpu.toml -o study --results docs/study/results --page STUDY.md

study-methods: setup
	$(BIN)/python -m tools.study tools/study/methods.toml -o study-methods --results docs/study/methods/results --page docs/study/methods/README.md

study-quick: setup
	$(BIN)/python -m tools.study tools/study/quick.toml -o build/study-quick

clean:
	rm -rf demo study study-* build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
