# Two commands matter: `make demo` and `make test`. `make` alone lists the rest.
SHELL := bash
CARGO ?= cargo
.DEFAULT_GOAL := help

.PHONY: help demo test lint fmt build bench topics browser-tools

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

lint: ## formatting and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

fmt: ## format the code
	$(CARGO) fmt --all

build: ## the release binary
	@tests/need.sh build
	$(CARGO) build --release -p app

bench: build ## latency and throughput on private stacks, as in docs/benchmarks.md
	$(CARGO) run --release -p app -- bench latency --rate 200 --seconds 30
	$(CARGO) run --release -p app -- bench throughput --changes 200000

topics: ## write docs/topics.md from the table of topics
	$(CARGO) run -p app -- topics --markdown > docs/topics.md
