#!/usr/bin/env bash
# Builds the guests: every program of these packages becomes the component target/guests/NAME.wasm.
set -euo pipefail

packages=(sandsock-test-programs sandsock-examples)

cd "$(dirname "${BASH_SOURCE[0]}")/.."
toolchain=$(scripts/wasm-toolchain.sh)
eval "$toolchain"

# A target folder of its own: guests may be built by another rustc than the host's programs. Of cargo's
# messages only the names of the components are wanted; what no longer has a source is not among them.
built=$(cargo build --release --target wasm32-wasip2 --target-dir target/wasm \
    "${packages[@]/#/--package=}" --message-format json-render-diagnostics |
    grep -o '"[^"]*/release/[^"/]*\.wasm"' | tr -d '"' | sort -u)

mkdir -p target/guests
for old in target/guests/*.wasm; do
    [[ $built == *"/${old##*/}"* ]] || rm -f "$old"
done
count=0
while read -r guest; do
    # Unchanged files keep their time, and with it what was compiled from them.
    cmp -s "$guest" "target/guests/${guest##*/}" || cp "$guest" target/guests/
    count=$((count + 1))
done <<<"$built"
echo "$count guests in target/guests"
