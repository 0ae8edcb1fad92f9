"""The program of the tests of `sandsock python --listen`. Its argument is the port of a service that it may connect to.

It answers each line of its connection: `count` with how often this interpreter was asked, `service` with what the service sends,
`other` with why it can't connect to the next port, `threads` with the sum of two threads, and `status N` by its end with this status.
"""

import socket
import sys
import threading

asked = 0


def answer(line: str, port: int) -> str:
    global asked
    asked += 1
    match line.split():
        case ["count"]:
            return str(asked)
        case ["service"]:
            with socket.create_connection(("127.0.0.1", port)) as service:
                return service.recv(100).decode()
        case ["other"]:
            try:
                socket.create_connection(("127.0.0.1", port ^ 1))
            except PermissionError as error:
                return str(error)
        case ["threads"]:
            sums = []
            threads = [threading.Thread(target=lambda end=end: sums.append(sum(range(end)))) for end in (10_000, 20_000)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            return str(sum(sums))
        case ["status", status]:
            sys.exit(int(status))
    return "what?"


with socket.socket(fileno=0) as connection, connection.makefile("rw") as file:
    for line in file:
        print(answer(line, int(sys.argv[1])), file=file, flush=True)
