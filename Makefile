# liege: build, install, check, test, demo, bench. `make help` lists them.
# Everything that makes namespaces and mounts needs root and says so; CARGO_TARGET_DIR, PREFIX and DESTDIR are honoured.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

CARGO   ?= cargo
PREFIX  ?= /usr/local
DESTDIR ?=
# Absolute, because scripts and stories run in other directories.
export CARGO_TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
BIN     := $(CARGO_TARGET_DIR)/release
# The binary that demo, stories and bench drive; liege-init lies beside it.
export LIEGE ?= $(BIN)/liege
# Where `make rootfs` keeps the Debian root that copy-on-write stories, demo and bench share: half a minute to make, then there.
export ROOTFS_CACHE := $(abspath $(or $(ROOTFS_CACHE),$(CARGO_TARGET_DIR)/rootfs))

# One story with its output, however long it takes: cargo's own runner, because nextest ends what lasts.
STORY   := $(CARGO) test --quiet -p liege-integration-tests --test

.PHONY: help build install check fmt lint doc borders test stories demo demo-cow bench faults soak vm check-vm rootfs deps deps-build root

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  \1\t/' | expand -t 14

build: deps-build ## the daemon, and its static pid 1, in release
	$(CARGO) build --release -p liege-cli
	# Static: it must run in a root that has no libc, or another one.
	$(CARGO) rustc --release -p liege-init --bin liege-init -- -C target-feature=+crt-static

# It builds nothing: root, who installs, often has no cargo.
install: ## what `make build` made, into DESTDIR/PREFIX: bin/liege, libexec/liege/liege-init, the unit, the samples, the manual pages
	@for made in $(BIN)/liege $(BIN)/liege-init; do \
	  [ -x "$$made" ] || { echo "There is no $$made: run make build first." >&2; exit 1; }; \
	done
	install -D -m 0755 $(BIN)/liege $(DESTDIR)$(PREFIX)/bin/liege
	install -D -m 0755 $(BIN)/liege-init $(DESTDIR)$(PREFIX)/libexec/liege/liege-init
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/share/doc/liege/vassals
	sed 's|/usr/local|$(PREFIX)|g' config/liege.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/liege.service
	install -D -m 0644 config/tmpfiles.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/liege.conf
	install -m 0644 config/emperor.ini config/prometheus.yml config/alerts.yml config/grafana-dashboard.json \
	  $(DESTDIR)$(PREFIX)/share/doc/liege/
	install -m 0644 config/vassals/*.ini $(DESTDIR)$(PREFIX)/share/doc/liege/vassals/
	$(BIN)/liege man $(DESTDIR)$(PREFIX)/share/man/man1

check: fmt lint doc borders ## formatting, lints and docs with warnings as errors, borders between the rooms

fmt:
	$(CARGO) fmt --all --check

lint: deps-build
	$(CARGO) clippy --workspace --all-targets -- -D warnings

doc: deps-build
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet

borders:
	integration-tests/scripts/borders.sh

test: root deps build rootfs ## unit, property and parity tests, and the stories with the real programs
	integration-tests/scripts/test.sh

stories: root deps build rootfs ## the stories alone; ONLY=word picks some
	integration-tests/scripts/test.sh -p liege-integration-tests $(ONLY)

demo: root deps build ## the zip tutorial, live: the page, the kill, the page again, nothing left
	integration-tests/scripts/demo.sh

demo-cow: root deps build rootfs ## the copy-on-write tutorial, live: two customers on one root, a write, the kill, an env line, nothing left
	integration-tests/scripts/demo_cow.sh

bench: root deps build rootfs ## recovery and a changed line beside the real Emperor, and start-up beside peers
	integration-tests/scripts/bench.sh

faults: root deps build ## every fault, three times each, and a crowd of 1000 hung mounts; prints the tables
	FAULT_ROUNDS=$${FAULT_ROUNDS:-3} $(STORY) every_fault_is_survived -- --nocapture
	CROWD_HUNG=$${CROWD_HUNG:-1000} CROWD_HEALTHY=$${CROWD_HEALTHY:-100} $(STORY) a_crowd_of_hung_mounts_delays_nobody -- --nocapture

soak: root deps build ## random faults for SOAK_SECONDS (900) or SOAK_FAULTS (10000), whichever comes first
	SOAK_SECONDS=$${SOAK_SECONDS:-900} SOAK_FAULTS=$${SOAK_FAULTS:-10000} $(STORY) random_faults_add_up_to_nothing -- --nocapture

vm: root deps build rootfs ## the life cycle under systemd and the stories that matter, on Debian's kernels 6.1 and 6.12, in QEMU; a table
	integration-tests/scripts/deps.sh vm
	integration-tests/vm/vm.sh all

check-vm: root deps build ## the short form of make vm: the life cycle under the unit, on 6.1
	integration-tests/scripts/deps.sh vm
	integration-tests/vm/vm.sh short bookworm

rootfs: root deps ## the Debian root of the copy-on-write vassals, by debootstrap into ROOTFS_CACHE, once
	integration-tests/scripts/rootfs.sh

deps: root ## install what is missing (Debian, Ubuntu)
	integration-tests/scripts/deps.sh all

deps-build:
	@integration-tests/scripts/deps.sh build

root:
	@[ "$$(id -u)" = 0 ] || { echo "This needs root: it makes namespaces and FUSE mounts and runs processes as other users. Try: sudo -E make ..." >&2; exit 1; }
