"""An HTTP client on Python's own `http.client` and `socket`: `http_client.wasm HOST PORT PATH` prints the answer."""

import encodings.idna  # getaddrinfo encodes host names with it, and the bundle has what was imported.
import http.client
import sys

from wit_world import exports


class Run(exports.Run):
    def run(self) -> None:
        host, port, path = sys.argv[1:]
        try:
            connection = http.client.HTTPConnection(host, int(port), timeout=5)
            connection.request("GET", path)
            response = connection.getresponse()
            print(response.status, response.read().decode(), end="")
        except OSError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            sys.exit(1)
