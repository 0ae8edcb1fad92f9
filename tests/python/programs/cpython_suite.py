"""Runs a module of CPython's tests, in the sandbox or natively, and prints the outcome as a line of JSON. The arguments are the module
and a folder to write to."""

import _thread
import asyncio.events
import importlib
import json
import os
import sys
import tempfile
import unittest

import test.support
import test.support.threading_helper


def can_start_thread():
    try:
        _thread.start_new_thread(int, ())
    except RuntimeError:
        return False
    return True


def get_child_watcher(self):
    # The helpers of 3.13's tests ask for a child watcher, which 3.14 does not have. They allow for a policy without one.
    raise NotImplementedError


def identity(test):
    """Returns a test's name. That of a fixture or a subtest is in parentheses."""
    name, _, owner = test.id().partition(" [")[0].partition(" (")
    return owner.rstrip(")") if name.startswith(("setUp", "tearDown")) else name


def main(name, folder):
    tempfile.tempdir = folder
    os.chdir(folder)
    # The modules skip themselves for a WASI without sockets.
    test.support.is_wasi = False
    test.support.has_socket_support = True
    # Its tests of TLS are marked as for subprocesses, and start none.
    if name == "test.test_ftplib":
        test.support.has_subprocess_support = True
    test.support.verbose = 0
    test.support.threading_helper.can_start_thread = can_start_thread()
    if sys.version_info >= (3, 14):
        type(asyncio.events._get_event_loop_policy()).get_child_watcher = get_child_watcher
    module = importlib.import_module(name)
    result = unittest.TextTestRunner(stream=sys.stderr, verbosity=2).run(unittest.defaultTestLoader.loadTestsFromModule(module))
    wrong = result.failures + result.errors + [(case, "") for case in result.unexpectedSuccesses]
    failed = [identity(case) for case, _ in wrong]
    # A runner without threads can't run these.
    threaded = [identity(case) for case, text in wrong if "RuntimeError: can't start new thread" in text]
    print(json.dumps({"ran": result.testsRun, "failed": failed, "skipped": len(result.skipped), "threaded": threaded}))


# A native test of processes imports this file in each of them.
if __name__ == "__main__":
    main(*sys.argv[1:])
