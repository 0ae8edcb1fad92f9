"""Where a program finds its server. Its arguments are the port of a plain server at 127.0.0.1. Or they are a port and a trust, for a
server that proves `server.test` over TLS: a file of roots, or `default` for what the package trusts by itself."""

import ssl
import sys

PORT = int(sys.argv[1])
TLS = len(sys.argv) > 2
HOST = "server.test" if TLS else "127.0.0.1"
ROOTS = sys.argv[2] if TLS and sys.argv[2] != "default" else None


def context():
    """Returns a context for the file of roots. Without one, returns None, for which each package makes its own context."""
    return ssl.create_default_context(cafile=ROOTS) if ROOTS else None


def identity():
    """Returns the context of a server that shows the identity `web`, or None for a plain server."""
    if not TLS:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("identity:web")
    return context


def url(scheme, port=PORT):
    """Returns the URL of the server, or of another port of its host."""
    return f"{scheme}{'s' if TLS else ''}://{HOST}:{port}"
