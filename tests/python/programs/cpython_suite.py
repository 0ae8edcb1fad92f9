"""Runs a module of CPython's tests, and prints the outcome as a line of JSON. The arguments are the module and a folder to write to."""

import importlib
import json
import os
import sys
import tempfile
import unittest

name, folder = sys.argv[1:]
tempfile.tempdir = folder
os.chdir(folder)

import test.support

# The modules skip themselves for a WASI without sockets.
test.support.is_wasi = False
test.support.has_socket_support = True
test.support.verbose = 0
module = importlib.import_module(name)
result = unittest.TextTestRunner(stream=sys.stderr, verbosity=2).run(unittest.defaultTestLoader.loadTestsFromModule(module))


def identity(test):
    """Returns a test's name. That of a fixture or a subtest is in parentheses."""
    name = test.id()
    return name.rpartition(" (")[2].rstrip(")") if " (" in name else name


wrong = result.failures + result.errors + [(test, "") for test in result.unexpectedSuccesses]
failed = [identity(test) for test, _ in wrong]
# A runner without threads can't run these.
threaded = [identity(test) for test, text in wrong if "RuntimeError: can't start new thread" in text]
print(json.dumps({"ran": result.testsRun, "failed": failed, "skipped": len(result.skipped), "threaded": threaded}))
