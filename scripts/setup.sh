#!/usr/bin/env bash
# Prepares a machine: a C linker, the tools that some tests use, and Rust's std for wasm. It needs cargo.
# It is safe to run again at any time, and prints nothing if there is nothing to do.
set -euo pipefail

# The tools that the tests use, as command:package. If a tool is missing, the tests that need it are skipped.
tools=(python3:python3 ip:iproute2 nc:netcat-openbsd dnsmasq:dnsmasq-base tshark:tshark strace:strace faketime:faketime)

say() { echo "setup: $*" >&2; }
die() { say "$@"; exit 1; }

command -v cargo >/dev/null || die "cargo not found: install Rust with rustup (https://rustup.rs)"

. "$(dirname "${BASH_SOURCE[0]}")/apt.sh"

# Rust links with the system's C compiler.
if ! command -v cc >/dev/null; then
    can_install || die "no C compiler: install one (on Debian, as root: apt-get install gcc libc6-dev)"
    install gcc libc6-dev || die "apt could not install gcc and libc6-dev (above)"
fi

missing=()
for tool in "${tools[@]}"; do
    command -v "${tool%%:*}" >/dev/null || missing+=("${tool#*:}")
done
# CPython's own tests. Most installations include them; Debian has a package for them.
python3 -c 'import test.test_socket' >/dev/null 2>&1 || missing+=(libpython3-testsuite)
python3 -c 'import jsonschema' >/dev/null 2>&1 || missing+=(python3-jsonschema)
if [ ${#missing[@]} -gt 0 ]; then
    { can_install && install "${missing[@]}"; } ||
        say "some tests will be skipped: they need ${missing[*]} (on Debian, as root: apt-get install ${missing[*]})"
fi

"$(dirname "${BASH_SOURCE[0]}")/wasm-toolchain.sh" >/dev/null
