"""An HTTP server on Python's own `http.server`: `http_server.wasm HOST PORT COUNT` answers COUNT requests."""

import encodings.idna  # getaddrinfo encodes host names with it, and the bundle has what was imported.
import http.server
import sys

from wit_world import exports


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"you asked for {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Run(exports.Run):
    def run(self) -> None:
        host, port, count = sys.argv[1:]
        try:
            with http.server.HTTPServer((host, int(port)), Handler) as server:
                print("listening on %s:%d" % server.server_address, flush=True)
                for _ in range(int(count)):
                    server.handle_request()
        except OSError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            sys.exit(1)
