# Functions for the scripts that need Debian's packages.

can_install() { command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; }

# A fresh machine has no package lists yet, so the second attempt fetches them first.
with_lists() { # COMMAND...
    "$@" </dev/null >/dev/null 2>&1 || { apt-get update -qq >/dev/null 2>&1 && "$@" </dev/null >/dev/null; }
}

install() {
    say "installing $*"
    with_lists env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}
