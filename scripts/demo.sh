#!/usr/bin/env bash
# Shows sandsock at work: a server and a client, each a component under its own policy, and the refusals that they get if they
# try more than was granted. Needs `make build guests`. Ends with status 0 if everything went as expected.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
for built in release/sandsock guests/{echo_server,echo_client,udp_client,restricted_server,hello_http}.wasm; do
    [ -e "target/$built" ] || { echo "demo: target/$built is missing: run \`make demo\`" >&2; exit 1; }
done
PATH=$PWD/target/release:$PATH

work=$(mktemp -d "${TMPDIR:-/tmp}/sandsock-demo.XXXXXX")
server=
failed=0
cleanup() {
    status=$?
    trap - EXIT
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

heading() { printf '\n== %s\n\n' "$*"; }
# Prints a command as one would type it in a shell.
show() {
    local word line='$'
    for word in "$@"; do
        [[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]] || word="'${word//\'/\'\\\'\'}'"
        line+=" $word"
    done
    echo "$line"
}
fail() { echo "demo: WRONG: $*" >&2; failed=1; }

# Runs a command that ends by itself, and reports if its status or its output is not the expected one.
expect() { # STATUS WORDS COMMAND...
    local wanted=$1 words=$2 status=0
    shift 2
    show "$@"
    timeout 60 "$@" >"$work/output" 2>&1 </dev/null || status=$?
    cat "$work/output"
    [ "$status" -eq "$wanted" ] || fail "the status is $status, and not $wanted"
    grep -qF -- "$words" "$work/output" || fail "the output does not contain: $words"
}

# Starts a server, and waits for the line with its port, which the guest or `sandsock serve` prints.
start() { # COMMAND...
    echo "$(show "$@") &"
    : >"$work/server"
    timeout 120 "$@" >"$work/server" 2>&1 </dev/null &
    server=$!
    port=
    while [ -z "$port" ]; do
        kill -0 "$server" 2>/dev/null || { cat "$work/server"; server=; fail "the server has ended"; exit 1; }
        sleep 0.02
        port=$(sed -n -e "s/^listening on ('127.0.0.1', \([0-9]*\))$/\1/p" \
            -e 's/^listening on port \([0-9]*\)$/\1/p' -e 's/^sandsock: listening on 127.0.0.1:\([0-9]*\)$/\1/p' "$work/server")
    done
    cat "$work/server"
}

# Waits for the server to end, which happens after its last client.
ended() {
    local status=0
    wait "$server" || status=$?
    server=
    echo "The server ended with status $status. Its output:"
    sed 's/^/    /' "$work/server"
    [ "$status" -eq 0 ] || fail "the server's status must be 0"
}

policy() { # NAME GRANT
    echo "allow = [\"$2\"]" >"$work/$1.toml"
    show cat "$work/$1.toml"
    cat "$work/$1.toml"
}

# A client outside any sandbox. It sends TEXT, if given, and prints the answer.
system_client() { # EXPECTED [TEXT]
    local program='
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as s:
    s.sendall(sys.argv[2].encode())
    s.shutdown(socket.SHUT_WR)
    print(s.makefile().read())'
    if command -v python3 >/dev/null; then
        expect 0 "$1" python3 -c "$program" "$port" "${2:-}"
    else
        expect 0 "$1" bash -c 'exec 3<>/dev/tcp/127.0.0.1/$0; printf "%s" "$1" >&3; timeout 2 cat <&3 || true' "$port" "${2:-}"
    fi
}

if [ -e target/python/version ]; then
    heading "An echo server in Python. It may listen on all addresses, on a port that the kernel chooses (0)"
    start sandsock python --allow 'tcp-listen=*:0' examples/python/echo_server.py 0 1

    heading "A client in Python. It may connect to that port"
    expect 0 "hello from Python" \
        sandsock python --allow "tcp-connect=127.0.0.1:$port" examples/python/echo_client.py 127.0.0.1 "$port" "hello from Python"
    ended

    heading "Without a grant, the server can't listen"
    expect 1 "allow it with --allow 'tcp-listen=[::]:50007'" sandsock python examples/python/echo_server.py
else
    echo "demo: there is no Python runner in target/python, so no Python program is shown" >&2
fi

heading "An echo server in a sandbox. It may listen on the loopback, on a port that the kernel chooses (0)"
policy server tcp-listen=127.0.0.1:0
start sandsock run --policy "$work/server.toml" target/guests/echo_server.wasm 127.0.0.1 0 2

heading "An echo client in a sandbox. It may connect to that port"
policy client "tcp-connect=127.0.0.1:$port"
expect 0 "hello from one sandbox to another" \
    sandsock run --policy "$work/client.toml" target/guests/echo_client.wasm 127.0.0.1 "$port" "hello from one sandbox to another"

heading "A program outside any sandbox can talk to the server too"
system_client "hello from outside" "hello from outside"
ended

heading "The client tries what was not granted: another port, another address, a name, a datagram"
refused="Permission denied"
expect 1 "$refused: tcp-connect to 127.0.0.1:22 is not granted" \
    sandsock run --policy "$work/client.toml" target/guests/echo_client.wasm 127.0.0.1 22 hello
expect 1 "$refused: tcp-connect to 192.0.2.1:$port is not granted" \
    sandsock run --policy "$work/client.toml" target/guests/echo_client.wasm 192.0.2.1 "$port" hello
expect 1 "$refused: resolve of example.com is not granted" \
    sandsock run --policy "$work/client.toml" target/guests/echo_client.wasm example.com "$port" hello
expect 1 "$refused: udp-send to 127.0.0.1:53 is not granted" \
    sandsock run --policy "$work/client.toml" target/guests/udp_client.wasm 127.0.0.1 53 hello

heading "Without a policy, the client can reach nothing"
expect 1 "$refused: tcp-connect to 127.0.0.1:$port is not granted" \
    sandsock run target/guests/echo_client.wasm 127.0.0.1 "$port" hello

heading "A server tries six things that were not granted, and sends its client a report"
start sandsock run --policy "$work/server.toml" target/guests/restricted_server.wasm 127.0.0.1 0 1
system_client "option SOL_SOCKET/SO_MARK is not granted"
ended

heading "As under inetd, each connection gets a fresh instance that can use nothing else"
start sandsock serve --listen 127.0.0.1:0 target/guests/hello_http.wasm
system_client "hello ('127.0.0.1', " $'GET /demo HTTP/1.0\r\n\r\n'
kill -TERM "$server"
ended

echo
if [ "$failed" -ne 0 ]; then
    echo "demo: something went wrong (above)" >&2
    exit 1
fi
echo "Everything went as expected."
