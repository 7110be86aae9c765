# Two commands matter: `make demo` and `make test`. `make` alone lists the rest.
SHELL := bash
CARGO ?= cargo
.DEFAULT_GOAL := help

.PHONY: help demo test proof planted lint fmt build bench topics browser-tools

help: ## list what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: ## everything on this machine: both systems with sample companies, the pipeline, the dashboard (Ctrl-C ends it)
	@tests/need.sh build
	$(CARGO) build --release -p app
	@exec "$$($(CARGO) metadata --format-version 1 --no-deps | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')/release/concord" demo $(ARGS)

test: ## every test: unit, contract on Apache Kafka, end to end, kill -9, browser
	@tests/need.sh build servers browser
	$(CARGO) build -p app
	$(CARGO) test --workspace
	@$(MAKE) --no-print-directory proof

# The directory that cargo builds into, whatever says so.
TARGET = $$($(CARGO) metadata --format-version 1 --no-deps | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')

# Seeds in 50,000 that may break a promise: what is known and not mended (docs/proof.md, "Open"), and what half of them, which
# nobody has run before, may show. It goes up only when the simulation learns to do something new.
KNOWN = 5

proof: ## 100,000 simulated seeds, half of them the commit's own, and every planted bug (docs/proof.md)
	@tests/need.sh build
	$(CARGO) build --profile proof -p simulation
	$(TARGET)/proof/simulation --planted docs/proof.md --held
	$(TARGET)/proof/simulation --seeds 50000 --keep-going --at-most $(KNOWN)
	$(TARGET)/proof/simulation --seeds 50000 --fresh --keep-going --at-most $(KNOWN)

planted: ## measure how soon each planted bug is caught, and write it into docs/proof.md
	$(CARGO) build --profile proof -p simulation
	$(TARGET)/proof/simulation --planted docs/proof.md

lint: ## formatting and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

fmt: ## format the code
	$(CARGO) fmt --all

build: ## the release binary
	@tests/need.sh build
	$(CARGO) build --release -p app

bench: build ## latency, throughput and matching on private stacks, as in docs/benchmarks.md
	$(CARGO) run --release -p app -- bench latency --rate 200 --seconds 30
	$(CARGO) run --release -p app -- bench throughput --changes 200000
	$(CARGO) run --release -p app -- bench matching

topics: ## write docs/topics.md from the table of topics
	$(CARGO) run -p app -- topics --markdown > docs/topics.md
