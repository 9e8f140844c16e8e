# Two commands for a newcomer: make demo, make test.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
SLOW ?= tests
BENCHMARKS := zonal extraction durability jp2 remote scaling chips lookup verbs exporting server foi foi_truth qa validation markers markers_truth guard loading load crops_lake lineage worklist evidence openeo
DEMO_BENCHMARKS := scenemap workbench

.PHONY: demo test test-thorough test-slow lint docs shape bench lock pictures clean

demo: $(INSTALLED)  ## the main job end to end on a generated sample, in ./demo
	CBM_LAKE_HOME=demo $(BIN)/cbm-lake demo demo

test: $(INSTALLED)  ## lint, types, import layers and the tests
	$(MAKE) lint
	$(BIN)/pytest -q -n auto --dist loadfile

test-thorough: $(INSTALLED)  ## the tests that take seconds: extractions, processes, servers, pages in a browser
	$(BIN)/pytest -q -n auto --dist loadfile -m "thorough and not slow and not exhaustive"

test-slow: $(INSTALLED)  ## the tests that take long: many processes, kills at any moment, long histories
	$(BIN)/pytest -q -n auto --dist loadfile -m "slow and not exhaustive" $(SLOW)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	CBM_LAKE_HOME=.venv/workspace $(BIN)/mypy
	CBM_LAKE_HOME=.venv/workspace $(BIN)/lint-imports

docs: $(INSTALLED)  ## the documentation as a site in .venv/site, links checked
	$(BIN)/mkdocs build

pictures: $(INSTALLED)  ## the pictures of the page in the documentation, taken from ./demo in Chromium
	CBM_LAKE_HOME=.venv/workspace $(BIN)/python docs/pictures.py

shape: $(INSTALLED)  ## the shape of the code in numbers: functions, modules, names, lakes and questions of each verb
	$(BIN)/python -m benchmarks.shape
	$(BIN)/python -m benchmarks.verbs

bench: $(INSTALLED)  ## the figures of docs/performance.md; takes an hour or two
	set -e; for name in $(BENCHMARKS); do echo "== $$name"; CBM_LAKE_HOME=.venv/workspace $(BIN)/python -m benchmarks.$$name; done
	set -e; for name in $(DEMO_BENCHMARKS); do echo "== $$name"; CBM_LAKE_HOME=demo $(BIN)/python -m benchmarks.$$name; done

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	sed -n '/^setuptools==/,/[^\\]$$/p' constraints.txt > .venv/build.txt  # first what builds the others
	$(BIN)/python -m pip install --quiet --require-hashes -r .venv/build.txt
	$(BIN)/python -m pip install --quiet --require-hashes --no-build-isolation --no-deps -r constraints.txt  # all of them, as uv resolved them
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

lock: $(INSTALLED)  ## write constraints.txt anew after a change of pyproject.toml; UPGRADE=--upgrade takes newer versions too
	$(BIN)/uv pip compile pyproject.toml $(UPGRADE) --quiet --all-extras --group dev --universal --python-version 3.11 \
		--generate-hashes --no-annotate --custom-compile-command "make lock" --output-file constraints.txt

clean:
	rm -rf .venv demo
