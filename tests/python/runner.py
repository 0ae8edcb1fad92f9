"""The runner itself: what differs between runs, and between builds."""

import os
import subprocess

from harness import COMMAND, HERE, PATIENCE, ROOT, command

# Kept, because a build takes a minute. python.sh builds it anew if something has changed.
SECOND = os.path.join(ROOT, "target", "python-second")


def lines(*options):
    """Returns the secrets of one run."""
    words = command(os.path.join(HERE, "secrets_of_run.py"), options=options)
    ran = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout.splitlines()


def secrets(folder):
    """Two runs differ in all but the hash of a string, and two builds in the hash too."""
    build = [os.path.join(ROOT, "scripts", "python.sh"), SECOND]
    done = subprocess.run(build, env=os.environ | {"SANDSOCK": os.path.abspath(COMMAND)}, capture_output=True, text=True)
    assert done.returncode == 0, f"the second runner can't be built: {done.stderr[-2000:]}"
    first, again, second = lines(), lines(), lines("--runner", SECOND)
    assert len(first) == 8, first
    same = [at for at in range(8) if first[at] == again[at]]
    assert same == [7], f"equal in two runs: {same}"
    same = [at for at in range(8) if first[at] == second[at]]
    assert not same, f"equal in two builds: {same}"


TESTS = {"runner_secrets": secrets}
