"""An app in Python that uses the provider's sockets: `composed_client.wasm HOST PORT TEXT...` talks to an echo server.

`make apps` builds it with componentize-py. The bindings are generated from the WIT package. Records and variants are classes.
Where Python would raise an exception, the bindings raise `Err` with the contract's error in it.
"""

import sys

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import sockets


class Run(exports.Run):
    def run(self) -> None:
        host, port, *texts = sys.argv[1:]
        try:
            talk(host, int(port), texts)
        except Err as error:
            match error.value:
                # The text names the missing grant.
                case sockets.Error_Denied(denial):
                    print("PermissionError:", denial.reason, file=sys.stderr)
                case sockets.Error_Os(os):
                    print("OSError:", os.text, file=sys.stderr)
                case other:
                    print(other, file=sys.stderr)
            sys.exit(1)


def talk(host: str, port: int, texts: list[str]) -> None:
    service = sockets.Service_Number(port)
    timeout = sockets.ConnectionTimeout_Seconds(5.0)
    with sockets.create_connection(host, service, timeout, None, False, None) as socket:
        for text in texts:
            data = text.encode()
            socket.sendall(data, 0, None)
            back = b""
            while len(back) < len(data):
                part = socket.recv(len(data) - len(back), 0, None)
                if not part:
                    sys.exit("the server closed the connection")
                back += part
            print(back.decode())
