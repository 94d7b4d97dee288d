# Everything a newcomer needs: `make demo` shows it, `make build` makes it, `make test` checks it.
# Each target is a command that you could type yourself; set-up is done by the targets that need it.

export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
# The majors of Postgres that the tests run against: installed ones, else downloaded once.
MAJORS ?= $(or $(PGSTREAM_TEST_MAJORS),15 17)
export PGSTREAM_TEST_MAJORS := $(MAJORS)
export KEEP
target := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help setup guests build demo test faults bench lint
.DEFAULT_GOAL := help

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

demo: build ## Stream between two throw-away servers and prove it (KEEP=1: stay)
	@cargo build --quiet --release --locked -p testbed --bin demo
	@PGSTREAM_BIN=$(target)/release/pgstream $(target)/release/demo

build: guests ## The release binary: target/release/pgstream
	cargo build --release --locked -p pgstream
	@[ $(target) -ef target ] || { mkdir -p target/release && ln -sfn $(abspath $(target))/release/pgstream target/release/pgstream; }

test: setup ## All tests, real servers included (MAJORS="14 15 16 17 18": more)
	@guests/build.sh --test-plugins
	cargo build --locked --workspace --all-targets
	@if cargo nextest --version >/dev/null 2>&1; \
	then set -x; cargo nextest run --locked --workspace && cargo test --locked --workspace --doc; \
	else set -x; cargo test --locked --workspace; fi

faults: setup ## Every fault with many seeds: kills, cut networks, crashes (SEEDS=100)
	@guests/build.sh --test-plugins
	cargo build --locked --workspace --all-targets
	PGSTREAM_SEEDS=$(or $(SEEDS),100) cargo test --locked --workspace --test main -- faults:: positions:: snapshot::killed

guests: setup ## The standard plugins as WebAssembly components
	@guests/build.sh

bench: guests ## Every figure, beside Postgres's own replication (BENCH=--quick: smoke)
	cargo build --release --locked -p pgstream -p bench
	@PGSTREAM_BIN=$(target)/release/pgstream $(target)/release/bench --json $(target)/bench.json $(BENCH)

lint: guests ## Formatting and lints
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

setup:
	@tests/testbed/setup.sh
