#!/usr/bin/env bash
# Builds apps into target/apps/*.wasm: the examples that use the provider, in Python with componentize-py and in JavaScript with
# componentize-js; and programs for wasi:sockets that know nothing of sandsock, in Rust, C and Python (tests/apps). pip, npm and
# cargo fetch what they need once, into the cache outside the source tree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "apps: $*" >&2; }

cache=${SANDSOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sandsock}/apps
mkdir -p "$cache" target/apps
log=$cache/log

# The examples are written for the bindings of this version of componentize-py.
python() {
    local version=0.25.1 place=$cache/python
    if ! "$place/bin/componentize-py" --version 2>/dev/null | grep -qF "$version"; then
        command -v python3 >/dev/null || { say "no python3: the apps in Python are not built"; return; }
        say "fetching componentize-py $version"
        { python3 -m venv "$place" && "$place/bin/pip" install --quiet "componentize-py==$version"; } >"$log" 2>&1 ||
            { tail -n 5 "$log" >&2; say "can't fetch componentize-py: the apps in Python are not built"; return; }
    fi
    componentize "$place" examples/python composed_client composed_client_python -d ../../wit
    componentize "$place" tests/apps/python http_client http_client
    componentize "$place" tests/apps/python http_server http_server
}

# componentize PLACE FOLDER APP NAME OPTION...
componentize() {
    local builder=$1/bin/componentize-py folder=$2 app=$3 name=$4 out=$PWD/target/apps
    shift 4
    # The bundle includes the packages of the environment. An empty environment keeps them out.
    (cd "$folder" && VIRTUAL_ENV=$cache/none "$builder" "$@" -d world.wit -w example:python/app \
        componentize -p . "$app" -o "$out/$name.wasm") >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
    say "target/apps/$name.wasm"
}

# tokio supports sockets on this target only with its flag for unstable features.
rust() {
    local toolchain
    toolchain=$(scripts/wasm-toolchain.sh)
    (
        eval "$toolchain"
        RUSTFLAGS="--cfg tokio_unstable" cargo build --quiet --release --locked --manifest-path tests/apps/Cargo.toml \
            --target wasm32-wasip2 --target-dir target/wasm
    ) >"$log" 2>&1 || { tail -n 20 "$log" >&2; say "the apps in Rust are not built"; return; }
    cp target/wasm/wasm32-wasip2/release/{hyper_client,minreq_client,rsdns_client}.wasm target/apps/
    say "target/apps/{hyper_client,minreq_client,rsdns_client}.wasm"
}

# The compiler and wasi-libc's headers are Zig's. The library is the one of Rust's target wasm32-wasip2, which has its sockets.
c() {
    local version=0.17.1 place=$cache/zig toolchain sysroot tools
    if ! "$place/bin/python" -c "import importlib.metadata as m; assert m.version('ziglang') == '$version'" 2>/dev/null; then
        say "fetching ziglang $version"
        { python3 -m venv "$place" && "$place/bin/pip" install --quiet "ziglang==$version"; } >"$log" 2>&1 ||
            { tail -n 5 "$log" >&2; say "can't fetch ziglang: the app in C is not built"; return; }
    fi
    toolchain=$(scripts/wasm-toolchain.sh)
    sysroot=$(eval "$toolchain" && "${RUSTC:-rustc}" --print sysroot)/lib/rustlib
    tools=$(compgen -G "$(rustc --print sysroot)/lib/rustlib/*/bin/wasm-component-ld")
    tools=${tools%/*}
    grep -qF wasip2_tcp "$sysroot/wasm32-wasip2/lib/self-contained/libc.a" ||
        { say "this toolchain's wasi-libc has no sockets: the app in C is not built"; return; }
    {
        "$place/bin/python" -m ziglang cc -target wasm32-wasi -D__wasilibc_use_wasip2 -O2 -c tests/apps/c/poll_echo.c \
            -o target/apps/poll_echo.o &&
        "$tools/wasm-component-ld" --wasm-ld-path "$tools/gcc-ld/wasm-ld" \
            "$sysroot"/wasm32-wasip2/lib/self-contained/{crt1-command.o,libc.a} target/apps/poll_echo.o \
            "$sysroot"/wasm32-wasip2/lib/libcompiler_builtins-*.rlib -o target/apps/poll_echo.wasm &&
        rm target/apps/poll_echo.o
    } >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
    say "target/apps/poll_echo.wasm"
}

javascript() {
    local version=0.23.0 place=$cache/javascript
    if ! grep -qsF "\"version\": \"$version\"" "$place/node_modules/@bytecodealliance/componentize-js/package.json"; then
        command -v npm >/dev/null || { say "no npm: the app in JavaScript is not built"; return; }
        say "fetching componentize-js $version"
        mkdir -p "$place"
        npm install --prefix "$place" --no-audit --no-fund --silent "@bytecodealliance/componentize-js@$version" >"$log" 2>&1 ||
            { tail -n 5 "$log" >&2; say "can't fetch componentize-js: the app in JavaScript is not built"; return; }
    fi
    # componentize-js reads the world and its dependencies from one folder.
    rm -rf "$place/wit"
    mkdir -p "$place/wit/deps/socket"
    cp examples/javascript/world.wit "$place/wit/"
    cp wit/*.wit "$place/wit/deps/socket/"
    cp examples/javascript/build.mjs "$place/"
    node "$place/build.mjs" examples/javascript/composed_client.js "$place/wit" target/apps/composed_client_javascript.wasm \
        >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
    say "target/apps/composed_client_javascript.wasm"
}

rust
c
python
javascript
