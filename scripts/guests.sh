#!/usr/bin/env bash
# Builds the guests: every program of these packages becomes the component guests/NAME.wasm in the target
# folder, and so does the provider. The build script of the tests runs it too:
#
#     scripts/guests.sh [TARGET-FOLDER]
set -euo pipefail

packages=(sandsock-test-programs sandsock-attacks sandsock-test-wasi sandsock-examples)

target=$(realpath -m "${1:-$(dirname "${BASH_SOURCE[0]}")/../target}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
toolchain=$(scripts/wasm-toolchain.sh)
eval "$toolchain"

# A target folder of its own: guests may be built by another rustc than the host's programs. Of cargo's
# messages only the names of the components are wanted; what no longer has a source is not among them.
built=$(cargo build --release --target wasm32-wasip2 --target-dir "$target/wasm" \
    "${packages[@]/#/--package=}" --message-format json-render-diagnostics |
    grep -o '"[^"]*/release/[^"/]*\.wasm"' | tr -d '"' | sort -u)

# The provider imports nothing of WASI: its target has no libc. The linker that makes components of
# wasm32-wasip2's programs does so for it too.
built+=$'\n'$(CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-component-ld \
    cargo build --release --target wasm32-unknown-unknown --target-dir "$target/wasm" \
    --package sandsock-provider --message-format json-render-diagnostics |
    grep -o '"[^"]*/release/provider\.wasm"' | tr -d '"' | sort -u)

mkdir -p "$target/guests"
for old in "$target"/guests/*.wasm; do
    [[ $built == *"/${old##*/}"* ]] || rm -f "$old"
done
count=0
while read -r guest; do
    # Unchanged files keep their time, and with it what was compiled from them.
    cmp -s "$guest" "$target/guests/${guest##*/}" || cp "$guest" "$target/guests/"
    count=$((count + 1))
done <<<"$built"
echo "$count guests in ${target#"$PWD/"}/guests"
