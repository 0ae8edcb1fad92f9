#!/usr/bin/env bash
# Builds the example apps in other languages, target/apps/*.wasm: the one in Python with componentize-py, and the one in
# JavaScript with componentize-js. pip and npm fetch both builders once, into the cache outside the source tree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "apps: $*" >&2; }

cache=${SANDSOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sandsock}/apps
mkdir -p "$cache" target/apps
log=$cache/log

# The example is written for the bindings of this version of componentize-py.
python() {
    local version=0.25.1 place=$cache/python
    if ! "$place/bin/componentize-py" --version 2>/dev/null | grep -qF "$version"; then
        command -v python3 >/dev/null || { say "no python3: the app in Python is not built"; return; }
        say "fetching componentize-py $version"
        { python3 -m venv "$place" && "$place/bin/pip" install --quiet "componentize-py==$version"; } >"$log" 2>&1 ||
            { tail -n 5 "$log" >&2; say "can't fetch componentize-py: the app in Python is not built"; return; }
    fi
    # The bundle includes the packages of the environment. An empty environment keeps them out.
    (cd examples/python && VIRTUAL_ENV=$cache/none "$place/bin/componentize-py" -d ../../wit -d world.wit \
        -w example:python/app componentize -p . composed_client -o ../../target/apps/composed_client_python.wasm) >"$log" 2>&1 ||
        { tail -n 20 "$log" >&2; exit 1; }
    say "target/apps/composed_client_python.wasm"
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

python
javascript
