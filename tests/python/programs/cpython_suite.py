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
failed = [test.id() for test, _ in result.failures + result.errors] + [test.id() for test in result.unexpectedSuccesses]
failed = [name.rpartition(" (")[2].rstrip(")") if " (" in name else name for name in failed]
print(json.dumps({"ran": result.testsRun, "failed": failed, "skipped": len(result.skipped)}))
