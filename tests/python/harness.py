"""What the tests share: the sandbox, and servers of this machine."""

import contextlib
import functools
import os
import shutil
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
TARGET = os.path.join(ROOT, "target", "python")
COMMAND = os.environ.get("SANDSOCK") or os.path.join(ROOT, "target", "release", "sandsock")
PROGRAMS = os.path.join(HERE, "programs")

# Long enough for a slow machine with other work.
PATIENCE = 180


class Skip(Exception):
    """The reason why a test can't run here."""


def need(tool, *places):
    """Returns the path of a program, or skips the test."""
    found = shutil.which(tool, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin", *places]))
    if found is None:
        raise Skip(f"{tool} is not installed")
    return found


def free_port(kind=socket.SOCK_STREAM):
    """Returns a port of the loopback address that is free now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program(name):
    """Returns the path of a guest's program."""
    return os.path.join(PROGRAMS, name + ".py")


def command(*words, allow=(), options=()):
    """Returns the command line that runs a program in the sandbox."""
    grants = [word for grant in allow for word in ("--allow", grant)]
    return [COMMAND, "python", *grants, *options, *words]


def ended(*words, allow=(), options=(), patience=PATIENCE):
    """Runs a program in the sandbox to its end."""
    words = command(*words, allow=allow, options=options)
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=patience)


def sandbox(*words, **keywords):
    """Runs a program in the sandbox to its end, and returns its output. Fails if it does not say `ok` at the end."""
    ran = ended(*words, **keywords)
    lines = ran.stdout.splitlines()
    if ran.returncode != 0 or not lines or lines[-1] != "ok":
        raise AssertionError(f"status {ran.returncode}\n{ran.stdout[-2000:]}{ran.stderr[-4000:]}")
    return lines


def refused(reason, *words, **keywords):
    """Runs a program in the sandbox that has to fail, and to give this reason in its errors."""
    ran = ended(*words, **keywords)
    if ran.returncode == 0 or reason not in ran.stderr:
        raise AssertionError(f"not refused by `{reason}`: status {ran.returncode}\n{ran.stdout[-2000:]}{ran.stderr[-4000:]}")


@functools.cache
def has_threads():
    """Whether a program in the sandbox can start a thread."""
    ran = ended("-c", "import threading; thread = threading.Thread(target=print, args=('ok',)); thread.start(); thread.join()")
    if ran.returncode != 0 and "can't start new thread" not in ran.stderr:
        raise AssertionError(f"the runner does not run: {ran.stderr}")
    return ran.stdout == "ok\n"


@contextlib.contextmanager
def started(words, **options):
    """Starts a program, and stops it at the end."""
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def server(words, port, log, **options):
    """Starts a server, and waits until it listens."""
    with open(log, "wb") as output, started(words, stdout=output, stderr=output, **options) as process:
        wait_for(port, process, log)
        yield process


def wait_for(port, process, log=None):
    """Waits until a port of the loopback address takes connections."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    text = ""
    if log:
        with open(log, errors="replace") as file:
            text = file.read()[-2000:]
    raise AssertionError(f"{process.args[0]} does not listen\n{text}")
