# Two commands: `make demo` sets everything up and rewrites a talk with the embedded model; `make test` passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test quick lint types dist smoke clean

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev,local]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/rewriter local pull
	$(BIN)/rewriter rewrite examples/talk_zh.txt -o demo-out --glossary examples/glossary.yaml || test $$? -eq 3
	@echo
	@echo "The rewritten talk is demo-out/talk_zh.txt; what became of every passage is in demo-out/run.jsonl."

test: $(STAMP)
	$(BIN)/rewriter local pull
	$(BIN)/python -m pytest -q

quick: $(STAMP)
	$(BIN)/python -m pytest -q -m "not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy
	$(BIN)/pyright

dist: $(STAMP)
	rm -rf dist build
	$(BIN)/python -m build --quiet

smoke: dist
	PYTHON=$(PYTHON) sh .ci/smoke

clean:
	rm -rf $(VENV) build dist demo-out *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
