#!/usr/bin/env bash
# guests.sh [TARGET-FOLDER]
#
# Builds the guests: every program of the packages below, and the provider, as the component guests/NAME.wasm in the target
# folder. The build script of the tests runs it too.
set -euo pipefail

packages=(sandsock-test-programs sandsock-attacks sandsock-test-wasi sandsock-examples)

target=$(realpath -m "${1:-$(dirname "${BASH_SOURCE[0]}")/../target}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
toolchain=$(scripts/wasm-toolchain.sh)
eval "$toolchain"

# The programs on std::net need a wasi-libc with sockets, which Debian's is not.
features=()
libc=$("${RUSTC:-rustc}" --print sysroot)/lib/rustlib/wasm32-wasip2/lib/self-contained/libc.a
if ! grep -qsF wasip2_tcp "$libc"; then
    echo "guests: this toolchain's wasi-libc has no sockets, so the programs on std::net are not built" >&2
    features=(--no-default-features)
fi

# The guests have a target folder of their own, because another rustc may build them than the host's programs. cargo's messages
# name the components that still have a source.
built=$(cargo build --release --target wasm32-wasip2 --target-dir "$target/wasm" "${features[@]}" \
    "${packages[@]/#/--package=}" --message-format json-render-diagnostics |
    grep -o '"[^"]*/release/[^"/]*\.wasm"' | tr -d '"' | sort -u)

# The provider imports nothing of WASI, so its target has no libc. It uses the linker of wasm32-wasip2, which makes components.
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
    # An unchanged file keeps its time, so that the code compiled from it stays valid.
    cmp -s "$guest" "$target/guests/${guest##*/}" || cp "$guest" "$target/guests/"
    count=$((count + 1))
done <<<"$built"
echo "$count guests in ${target#"$PWD/"}/guests"
