"""Runs a command in a new terminal and answers it: terminal.py STEPS COMMAND...

STEPS is a list in JSON of pairs: a text to wait for, and what is typed then. A step without a text is typed at once. The whole output
is printed, and the status is the command's.
"""

import json
import os
import pty
import select
import sys
import time

steps = json.loads(sys.argv[1])
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
seen, at = b"", 0
end = time.monotonic() + 60
while time.monotonic() < end:
    while steps:
        text, typed = steps[0]
        found = seen.find(text.encode(), at)
        if found < 0:
            break
        at = found + len(text.encode())
        steps.pop(0)
        os.write(terminal, typed.encode())
    if not select.select([terminal], [], [], 0.2)[0]:
        continue
    try:
        more = os.read(terminal, 65536)
    except OSError:
        break  # All of the command's ends are closed.
    if not more:
        break
    seen += more
sys.stdout.buffer.write(seen)
sys.stdout.flush()
if time.monotonic() >= end:
    os.kill(pid, 9)
    sys.exit("the command did not end")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
