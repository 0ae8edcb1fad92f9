#!/usr/bin/env bash
# python.sh [FOLDER] | extension | parts FOLDER
#
# Builds the Python runner into target/python/, or into FOLDER: CPython as a component (runner.wasm), its standard library (stdlib/)
# and the modules that stand in for missing ones (lib/). Then `sandsock python-setup` compiles them. Each folder's runner has a secret
# of string hashes of its own. Needs target/release/sandsock, or the command that SANDSOCK names.
#
# With `extension`, builds only target/python/_socket.cpython-314-wasm32-wasi.so: the modules `_socket`, `select` and `_sandsock` for
# the CPython that componentize-py bundles (python/). cargo fetches what it needs.
#
# With `parts`, copies into FOLDER what other users need to build runners of their own: this script too. There it compiles nothing, and
# builds the runner into the user's own ~/.local/share/sandsock/python.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "python: $*" >&2; }
fail() { say "$*"; exit 1; }

# `make install` names the command that it installs, and puts the parts into lib/sandsock/parts beside bin/.
if [ -f parts ]; then
    command=${SANDSOCK:-../../../bin/sandsock}
    default=${XDG_DATA_HOME:-$HOME/.local/share}/sandsock/python
else
    command=${SANDSOCK:-target/release/sandsock}
    default=target/python
fi

# The extension is a position-independent side module. componentize-py links it into the component, and resolves its undefined
# symbols in libpython and in wasi-libc.
# --wrap: python/src/ffi/threads.rs has functions of its own in the place of these two.
extension() {
    side_module python sandsock_python target/python/_socket.cpython-314-wasm32-wasi.so \
        -Clink-arg=--wrap=PyEval_SaveThread -Clink-arg=--wrap=PyEval_RestoreThread
}

# The library of threads, and the module of the stack pointer that it needs. componentize-py takes every .so file as a library.
threads() {
    side_module python/threads sandsock_python_threads target/python/_sandsock_threads.cpython-314-wasm32-wasi.so
    "$command" python-assemble python/threads/stack_pointer.wat target/python/_sandsock_stack_pointer.cpython-314-wasm32-wasi.so
}

# side_module PACKAGE CRATE OUT [ARGUMENT OF RUSTC...]
side_module() {
    local toolchain libraries=$PWD/target/python/libraries package=$1 built=target/wasm/wasm32-wasip2/release/$2.wasm out=$3
    shift 3
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
        cargo rustc --quiet --release --manifest-path "$package/Cargo.toml" --target wasm32-wasip2 --target-dir target/wasm -- \
            -Clink-self-contained=no -L"$libraries" -Clink-arg=--skip-wit-component -Clink-arg=-shared \
            -Clink-arg=--experimental-pic -Clink-arg=--no-export-dynamic -Clink-arg=-Bsymbolic -Cstrip=symbols "$@"
    )
    # An unchanged file keeps its time.
    cmp -s "$built" "$out" || cp "$built" "$out"
    say "$out"
}

# Everything that runner.wasm is made of. It is built anew only if something has changed, because that takes a minute.
inputs() {
    cat scripts/python.sh scripts/python-stdlib.py scripts/componentize-py.sh wit/*.wit target/python/*.so
    find python/runner python/lib -type f -not -name '*.pyc' -print0 2>/dev/null | sort -z | xargs -0 cat
}

# component PLACE OUT
component() {
    local builder=$1/bin/componentize-py out=$2 modules
    modules=$(mktemp -d)
    # The folders of modules have nothing else in them, because componentize-py bundles all that it finds.
    cp target/python/*.so "$modules/"
    # The packages of the environment would be bundled too. An empty environment has none.
    VIRTUAL_ENV=$PWD/target/python/none "$builder" -d wit -d python/runner/world.wit -w sandsock:python/runner componentize \
        -p python/runner -p "$modules" -p "$out/lib" sandsock_runner -o "$out/runner.wasm" >"$out/log" 2>&1 ||
        { sed '/^Stack backtrace:/,$d' "$out/log" | tail -n 20 >&2; rm -rf "$modules"; fail "componentize-py can't build the runner"; }
    rm -rf "$modules"
}

runner() {
    local out place stamp
    out=$(realpath -m "$1")
    [ -x "$command" ] || fail "there is no $command: run \`make python\`"
    place=$(scripts/componentize-py.sh) || fail "without componentize-py there is no Python runner"
    if [ ! -f parts ]; then
        extension
        threads
    fi
    stamp=$(inputs | sha256sum)
    # Nobody else may read the runner: its snapshot has the secret of string hashes.
    umask 077
    mkdir -p "$out"
    chmod 700 "$out"
    if [ "$(cat "$out/stamp" 2>/dev/null)" != "$stamp" ]; then
        say "building ${out#"$PWD/"}/runner.wasm"
        rm -rf "$out"/{lib,stdlib,runner.wasm,stamp,version} "$out"/*.cwasm
        mkdir -p "$out/lib"
        [ ! -d python/lib ] || cp -r python/lib/. "$out/lib/"
        "$place/bin/python" scripts/python-stdlib.py "$out/stdlib" || fail "can't unpack the standard library that componentize-py carries"
        component "$place" "$out"
    fi
    "$command" python-setup "$out" || fail "can't prepare the Python runner"
    echo "$stamp" >"$out/stamp"
    say "${out#"$PWD/"} is ready"
}

# parts FOLDER: the runner was built before.
parts() {
    local out=$1 name
    rm -rf "$out"
    install -d "$out/target/python" "$out/wit" "$out/python" "$out/scripts"
    install -m 755 scripts/{python,componentize-py}.sh "$out/scripts/"
    install -m 644 scripts/python-stdlib.py "$out/scripts/"
    install -m 644 wit/*.wit "$out/wit/"
    install -m 644 target/python/*.so "$out/target/python/"
    (find python/runner python/lib -type f -not -name '*.pyc' -print0) | while IFS= read -r -d '' name; do
        install -D -m 644 "$name" "$out/$name"
    done
    echo "The parts of the Python runner: scripts/python.sh builds a runner of your own." >"$out/parts"
    chmod 644 "$out/parts"
    say "$out has the parts"
}

case ${1-} in
    extension) extension ;;
    parts) parts "${2?usage: scripts/python.sh parts FOLDER}" ;;
    -*) fail "usage: scripts/python.sh [FOLDER] | extension | parts FOLDER" ;;
    *) runner "${1-$default}" ;;
esac
