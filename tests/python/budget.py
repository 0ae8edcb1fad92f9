"""A rate of 20,000 bytes a second: what is above it waits, and stops no other thread. Argument: the peer's port."""

import select, socket, sys, threading, time

start = time.monotonic()
first = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
first.sendall(b"x" * 40_000)
took = time.monotonic() - start
assert 0.8 < took < 8, took
# Readiness is withheld, also of a thread.
first.setblocking(False)
poll = select.poll()
poll.register(first, select.POLLOUT)
sent = rounds = 0
def send():
    global sent, rounds
    while sent < 20_000:
        poll.poll()
        rounds += 1
        try:
            sent += first.send(b"x" * 5_000)
        except BlockingIOError:
            pass
thread = threading.Thread(target=send)
thread.start()
ticks = 0
while thread.is_alive():
    time.sleep(0.01)
    ticks += 1
assert rounds < 60 and ticks > 20, (rounds, ticks)
print("ok", rounds, ticks)
