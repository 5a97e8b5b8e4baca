# Each target does all it needs, on a machine with Python 3.11 or later, make and git: it makes .venv
# and installs into it what is missing there. A second run installs nothing.

VENV := .venv
# The interpreter that makes .venv; by default the first of python3, python3.14, … that is new enough.
PYTHON ?=
# More arguments for pytest, as in: make test ARGS='-k sigmoid'
ARGS ?=

python := $(CURDIR)/$(VENV)/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo examples test lint style types layers docs bench package format clean tree
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

# --- .venv: a stamp file tells what has been installed since pyproject.toml last changed ------------

# A checkout that was moved or copied takes .venv along, but the paths inside still name the old place.
ifneq ($(CURDIR),$(shell cat $(VENV)/.made 2>/dev/null))
.PHONY: $(VENV)/.made
endif

$(VENV)/.made: tools/venv.sh
	@sh tools/venv.sh '$(VENV)' '$(PYTHON)'
	@printf '%s\n' '$(CURDIR)' > $@

installed := $(addprefix $(VENV)/.installed-,jit demo examples test dev)

$(installed): $(VENV)/.installed-%: pyproject.toml setup.py $(VENV)/.made
	@echo "Installing minigrad[$*] into $(VENV)"
	@"$(python)" -m pip install --quiet --editable '.[$*]'
	@touch $@

# --- what it is for --------------------------------------------------------------------------------

demo: $(VENV)/.installed-demo ## train a classifier of handwritten digits; draws its graph into out/
	@"$(python)" examples/digits.py

# One thread for BLAS: products as small as these are not worth two, which spin against each other.
examples: export OPENBLAS_NUM_THREADS ?= 1
examples: export OMP_NUM_THREADS ?= 1
examples: $(VENV)/.installed-examples ## run the other examples: networks of all kinds, a minute each; pictures into out/
	@for name in convnet batchnorm autoencoder char_lstm transformer; do \
	    printf '\n=== examples/%s.py\n' "$$name"; "$(python)" "examples/$$name.py" || exit 1; done

bench: $(VENV)/.installed-jit ## measure speed, beside peers (ARGS='--only W1,W4'; or ARGS='core chain')
	@"$(python)" -m benchmarks $(ARGS)

# --- checks ----------------------------------------------------------------------------------------

# One thread for BLAS in each of pytest's processes: more would spin against each other.
test: export OPENBLAS_NUM_THREADS ?= 1
test: export OMP_NUM_THREADS ?= 1
test: $(VENV)/.installed-test ## run the tests (ARGS='-k sigmoid' picks some)
	@"$(python)" -m pytest -n auto $(ARGS)

lint: style types layers ## style, types and layers together

style: $(VENV)/.installed-dev ## ruff: rules and format
	@"$(python)" -m ruff check .
	@"$(python)" -m ruff format --check .

format: $(VENV)/.installed-dev ## let ruff mend what it can
	@"$(python)" -m ruff check --fix .
	@"$(python)" -m ruff format .

# mypy, import-linter and the doctests follow folders, not imports, and so would not see that nn/ is
# minigrad.nn. build/tree shows them the package as it is once installed, through links; it is brought
# up to date every time.
tree:
	@mkdir -p build/tree/minigrad
	@cd build/tree/minigrad && for link in *; do [ -e "$$link" ] || rm -f "$$link"; done
	@for entry in minigrad/* nn optim; do ln -sfn "../../../$$entry" build/tree/minigrad/; done

types: $(VENV)/.installed-dev tree ## mypy --strict
	@cd build/tree && "$(python)" -m mypy --strict --config-file ../../pyproject.toml \
	    --cache-dir ../../.mypy_cache -p minigrad

layers: $(VENV)/.installed-dev tree ## import-linter: imports point downwards only
	@cd build/tree && "$(python)" -c 'from importlinter.cli import lint_imports_command as main; main()' \
	    --config ../../.importlinter --cache-dir ../../.import_linter_cache --no-logo

docs: $(VENV)/.installed-test tree ## run the examples in docstrings, README.md and docs/
	@cd build/tree && PYTHONPATH=../../tests "$(python)" -m pytest -q --import-mode=prepend -p doctests \
	    --doctest-modules $(ARGS) minigrad
	@PYTHONPATH=tests "$(python)" -m pytest -q -p doctests $(ARGS) README.md $(wildcard docs)

# --- the rest --------------------------------------------------------------------------------------

package: $(VENV)/.installed-dev ## build the sdist and the wheel into dist/
	@rm -rf build/lib dist
	@"$(python)" -m build

clean: ## remove what was built, and caches; keep .venv
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
