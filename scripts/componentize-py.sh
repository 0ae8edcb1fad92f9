#!/usr/bin/env bash
# Prints the folder of a Python environment with componentize-py. pip fetches it once, into the cache outside the source tree. Ends
# with status 1 and one sentence if that is not possible.
set -euo pipefail

# The runner and the examples are written for the bindings and the linker of this version.
version=0.25.1
cache=${SANDSOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sandsock}/apps
place=$cache/python
mkdir -p "$cache"
say() { echo "componentize-py: $*" >&2; }

# zstandard unpacks the standard library that componentize-py carries.
if ! "$place/bin/componentize-py" --version 2>/dev/null | grep -qF "$version" || ! "$place/bin/python" -c 'import zstandard' 2>/dev/null; then
    command -v python3 >/dev/null || { say "there is no python3, with which pip could fetch it"; exit 1; }
    say "fetching componentize-py $version"
    { python3 -m venv "$place" && "$place/bin/pip" install --quiet "componentize-py==$version" zstandard; } >"$cache/log" 2>&1 ||
        { tail -n 5 "$cache/log" >&2; say "pip can't fetch it"; exit 1; }
fi
echo "$place"
