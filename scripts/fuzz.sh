#!/usr/bin/env bash
# fuzz.sh SECONDS [TARGET...]
#
# Runs the fuzz targets of fuzz/, all or those that are named, for so many seconds each. The corpora are
# kept in the folder SANDSOCK_CORPORA, which is target/corpora if it is not set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { echo "fuzz: $*" >&2; exit 1; }

seconds=${1:?the seconds are missing: write fuzz.sh SECONDS [TARGET...]}
shift
cargo +nightly --version >/dev/null 2>&1 || fail "there is no nightly compiler; install it with rustup toolchain install nightly"
cargo fuzz --version >/dev/null 2>&1 || fail "cargo-fuzz is missing; install it with cargo install cargo-fuzz"
[ $# -gt 0 ] || set -- policy_text host_names addresses control_messages netlink option_values calls
corpora=${SANDSOCK_CORPORA:-$PWD/target/corpora}
for target; do
    echo "fuzz: $target" >&2
    case $target in
        # The targets of the policy alone leave the host out, and with it wasmtime.
        policy_text | host_names) features=() ;;
        *) features=(--features host) ;;
    esac
    mkdir -p "$corpora/$target"
    cargo +nightly fuzz run --sanitizer none "${features[@]}" "$target" "$corpora/$target" -- \
        -max_total_time="$seconds" -max_len=4096
done
