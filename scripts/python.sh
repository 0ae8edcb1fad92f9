#!/usr/bin/env bash
# python.sh extension
#
# Builds target/python/_socket.cpython-314-wasm32-wasi.so: the modules `_socket`, `select` and `_sandsock` for the CPython that
# componentize-py bundles (python/). cargo fetches what it needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "python: $*" >&2; }

# The extension is a position-independent side module. componentize-py links it into the component, and resolves its undefined
# symbols in libpython and in wasi-libc.
extension() {
    local toolchain libraries=$PWD/target/python/libraries built=target/wasm/wasm32-wasip2/release/sandsock_python.wasm
    local out=target/python/_socket.cpython-314-wasm32-wasi.so
    mkdir -p "$libraries"
    # std asks for -lc. The real one would bring in a second malloc.
    printf '!<arch>\n' >"$libraries/libc.a"
    toolchain=$(scripts/wasm-toolchain.sh)
    (
        eval "$toolchain"
        # There is no interpreter to ask: the package's features say which CPython it is for.
        export PYO3_NO_PYTHON=1 PYO3_BUILD_EXTENSION_MODULE=1
        # --skip-wit-component: wasm-ld's output is not made a component. --no-export-dynamic: only the modules' functions are
        # exported, not all of std.
        cargo rustc --quiet --release --manifest-path python/Cargo.toml --target wasm32-wasip2 --target-dir target/wasm -- \
            -Clink-self-contained=no -L"$libraries" -Clink-arg=--skip-wit-component -Clink-arg=-shared \
            -Clink-arg=--experimental-pic -Clink-arg=--no-export-dynamic -Clink-arg=-Bsymbolic -Cstrip=symbols
    )
    # An unchanged file keeps its time.
    cmp -s "$built" "$out" || cp "$built" "$out"
    say "$out"
}

case ${1-} in
    extension) extension ;;
    *) say "usage: scripts/python.sh extension"; exit 2 ;;
esac
