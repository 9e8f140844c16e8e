# Two commands for a newcomer: make demo, make test.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
BENCHMARKS := zonal extraction durability jp2 remote scaling chips lookup exporting server foi foi_truth qa validation markers markers_truth guard loading

.PHONY: demo test test-slow lint docs bench clean

demo: $(INSTALLED)  ## the main job end to end on a generated sample, in ./demo
	CBM_LAKE_HOME=demo $(BIN)/cbm-lake demo demo

test: $(INSTALLED)  ## lint, types, import layers and the tests
	$(MAKE) lint
	$(BIN)/pytest -q -n auto --dist loadfile

test-slow: $(INSTALLED)  ## the tests that take long: many processes, kills at any moment, long histories
	$(BIN)/pytest -q -n auto --dist loadfile -m "slow and not exhaustive"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	CBM_LAKE_HOME=.venv/workspace $(BIN)/mypy
	CBM_LAKE_HOME=.venv/workspace $(BIN)/lint-imports

docs: $(INSTALLED)  ## the documentation as a site in .venv/site, links checked
	$(BIN)/mkdocs build

bench: $(INSTALLED)  ## the figures of docs/performance.md; takes an hour or two
	set -e; for name in $(BENCHMARKS); do echo "== $$name"; CBM_LAKE_HOME=.venv/workspace $(BIN)/python -m benchmarks.$$name; done

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet -c constraints.txt --group dev -e ".[exact,foi,migrate,notebook,report,s3,server,weather]"
	touch $@

clean:
	rm -rf .venv demo
