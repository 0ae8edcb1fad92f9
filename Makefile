# `make` lists the targets. Each of them works in a fresh clone.

.NOTPARALLEL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# The demo, the tests and the scripts look for the programs in target/.
unexport CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR

# The benchmarks that `make bench` runs. BENCH=transfers chooses one.
BENCH ?= transfers idle decisions instances guests serve tls

# The interpreter whose tests `make conformance` runs, and the modules. Without names, it runs all modules of run.py.
PYTHON ?= python3
MODULES ?=
# At most this many tests of test_socket may pass only natively: see docs/conformance.md.
MISSING := 2

# `make install` installs below this folder.
PREFIX ?= /usr/local

# wasmtime takes minutes to compile. It is compiled only once if every cargo command has the same profile and features. So all
# commands build the same packages. The tests' dependencies can add features, so a target that runs tests next builds sandsock
# together with them (WITH, below). Installed and measured programs have a profile of their own, which takes longer to build.
PROFILE := --release
DIST := --profile dist
test test-apps test-kernel test-tls attacks docs: WITH := --tests

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
	    printf '  make %-12s %s\n' "$$name" "$$text"; done

.PHONY: setup
setup: ## prepare the machine: Rust's std for wasm, and the tools that the tests use
	@scripts/setup.sh

.PHONY: build
build: setup ## build the sandsock command: target/release/sandsock
	@echo "building sandsock"
	@cargo build $(PROFILE) --bin sandsock $(WITH)

.PHONY: guests
guests: setup ## build the examples and test programs: target/guests/*.wasm
	@echo "building the guests"
	@scripts/guests.sh

.PHONY: apps
apps: build guests ## build apps in other languages and with stock libraries: target/apps/*.wasm
	@scripts/apps.sh

.PHONY: python
python: build ## build the Python runner: target/python/
	@scripts/python.sh

.PHONY: install
install: guests ## install the command, its provider and the Python runner below PREFIX (/usr/local)
	@echo "building sandsock"
	@cargo build $(DIST) --bin sandsock
	install -D target/dist/sandsock $(DESTDIR)$(PREFIX)/bin/sandsock
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/sandsock target/guests/provider.wasm target/guests/attack_policy_denied.wasm
	{ SANDSOCK=target/dist/sandsock scripts/python.sh $(DESTDIR)$(PREFIX)/lib/sandsock/python && \
	    scripts/python.sh parts $(DESTDIR)$(PREFIX)/lib/sandsock/parts; } || \
	    echo "install: without the Python runner, \`sandsock python\` does not work" >&2

.PHONY: uninstall
uninstall: ## remove what `make install` has installed below PREFIX
	rm -f $(DESTDIR)$(PREFIX)/bin/sandsock
	rm -rf $(DESTDIR)$(PREFIX)/lib/sandsock

.PHONY: demo
demo: build guests ## show a server and a client under their policies
	@scripts/python.sh || echo "demo: no Python program is shown" >&2
	@scripts/demo.sh

.PHONY: kernel
kernel: ## get the kernel that some tests boot (Debian's), and QEMU to run it
	@scripts/kernel.sh >/dev/null || echo "the tests that need this kernel cannot run" >&2

.PHONY: lint
lint: setup ## check the format and the lints
	@echo "checking format and lints"
	@cargo fmt --all --check
	@cargo clippy $(PROFILE) --workspace --all-targets -- -D warnings
	@cargo clippy $(PROFILE) --package sandsock --no-default-features --all-targets -- -D warnings
	@for tool in "deny check" machete; do \
	    if command -v "cargo-$${tool%% *}" >/dev/null; then cargo $$tool || exit; \
	    else echo "lint: cargo-$${tool%% *} is not installed, so \`cargo $$tool\` does not run"; fi; done

.PHONY: test
test: guests build lint kernel ## run all tests, and list the skipped ones
	@scripts/python.sh || echo "the tests of \`sandsock python\` cannot run" >&2
	@echo "running the tests"
	@rm -f target/skipped.txt target/kernel.txt
	@status=0; cargo test $(PROFILE) || status=$$?; \
	cargo test $(PROFILE) --package sandsock --no-default-features || status=$$?; \
	if python3 -c 'import test.test_socket' 2>target/conformance.txt; then \
	    echo "running CPython's test_socket through the provider"; \
	    python3 tests/conformance/run.py --missing $(MISSING) test.test_socket || status=$$?; \
	else echo "conformance: $$(tail -n 1 target/conformance.txt)" >>target/skipped.txt; fi; \
	if [ -s target/kernel.txt ]; then echo "in the booted kernel:"; sed 's/^/  /' target/kernel.txt; fi; \
	if [ -s target/skipped.txt ]; then echo "skipped here:"; sed 's/^/  /' target/skipped.txt; fi; \
	exit $$status

.PHONY: conformance
conformance: build guests ## run CPython's own tests natively and through the provider
	@cargo build $(PROFILE) --example _sandsock
	@$(PYTHON) tests/conformance/run.py $(MODULES)

.PHONY: test-python
test-python: python ## run the standard library, packages of PyPI and CPython's own tests in `sandsock python`
	@$(PYTHON) tests/python/run.py

.PHONY: test-tls
test-tls: guests python ## run programs with TLS alone: curl, openssl, the standard library and packages against real servers
	@rm -f target/skipped.txt
	@status=0; cargo test $(PROFILE) --test all -- tls:: || status=$$?; \
	$(PYTHON) tests/python/run.py 'tls_*' || status=$$?; \
	if [ -s target/skipped.txt ]; then echo "skipped here:"; sed 's/^/  /' target/skipped.txt; fi; \
	exit $$status

.PHONY: docs
docs: guests build ## write the documentation's tables from the code's
	@SANDSOCK_WRITE=1 cargo test $(PROFILE) docs_

.PHONY: test-apps
test-apps: apps ## build the apps, and run the tests that need them
	@cargo test $(PROFILE) --test all -- apps::

.PHONY: attacks
attacks: guests build ## run the tests of docs/attacks.md, one line each, and list the skipped ones
	@scripts/python.sh || echo "attacks: nothing is tried in Python" >&2
	@rm -f target/skipped.txt
	@status=0; cargo test $(PROFILE) --test all -- attacks:: $$(grep '^|' docs/attacks.md | grep -o '`[a-z0-9_]*`' | tr -d '`' | sort -u) || status=$$?; \
	cargo test $(PROFILE) --test refusals || status=$$?; \
	echo "running all tests under strace, and comparing their system calls with the permits"; \
	cargo test $(PROFILE) --test permits -- --include-ignored --nocapture recorded || status=$$?; \
	echo "acts that a policy without a grant refuses, and by which interfaces they were tried:"; \
	target/release/sandsock policy attack || status=$$?; \
	if [ -s target/skipped.txt ]; then echo "skipped here:"; sed 's/^/  /' target/skipped.txt; fi; \
	exit $$status

.PHONY: fuzz-smoke
fuzz-smoke: guests ## run each fuzz target for half a minute; needs a nightly compiler and cargo-fuzz
	@scripts/fuzz.sh 30

.PHONY: test-kernel
test-kernel: guests build kernel ## test families that this machine's kernel may lack, in a kernel that it boots
	@scripts/python.sh || echo "the Python programs cannot run in it" >&2
	@SANDSOCK_KERNEL=required cargo test $(PROFILE) --test all -- kernel:: --nocapture

.PHONY: bench
bench: guests ## measure against native sockets and others (BENCH=NAME runs one)
	@echo "building sandsock and the benchmarks"
	@cargo build $(DIST) --bin sandsock $(BENCH:%=--bench %)
	@echo "measuring: $(BENCH)"
	@cargo bench $(DIST) $(BENCH:%=--bench %)
	@scripts/bench-report.py target/bench target/bench

.PHONY: bench-python
bench-python: python ## measure `sandsock python` against this machine's python3 (PYTHON=NAME: another one)
	@echo "building sandsock"
	@cargo build $(DIST) --bin sandsock
	@$(PYTHON) tests/benches/sandbox.py
	@scripts/bench-report.py target/bench target/bench

.PHONY: clean
clean: ## remove everything that was built here (not the cache)
	@cargo clean
