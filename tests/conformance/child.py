"""Runs one of CPython's own test modules in this process, and writes the outcome of each test as a line of JSON.

    child.py native|FOLDER-OF-_sandsock MODULE RESULTS PROVIDER

A test whose name is already in RESULTS is left out. So a run that a hanging test ended can go on.
"""

import faulthandler
import fnmatch
import json
import os
import sys
import unittest

# The longest time that a test may take, in seconds.
LIMIT = 120

# The tests of AF_VSOCK need two ends, which a machine rarely has. On some machines one of them waits forever.
IGNORED = ["*VSOCK*"]


def tests(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests(test)
        else:
            yield test


class Result(unittest.TestResult):
    """Writes one line when a test begins, and one when its outcome is known."""

    def __init__(self, file):
        super().__init__()
        self.file = file

    def write(self, test, outcome, detail=""):
        self.file.write(json.dumps([test.id(), outcome, detail]) + "\n")
        self.file.flush()

    def startTest(self, test):
        super().startTest(test)
        self.outcome = "passed", ""
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        self.write(test, "begun")

    def stopTest(self, test):
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()
        self.write(test, *self.outcome)

    def addFailure(self, test, err):
        self.outcome = "failed", self._exc_info_to_string(err, test)

    def addError(self, test, err):
        detail = self._exc_info_to_string(err, test)
        if isinstance(test, unittest.TestCase):
            self.outcome = "failed", detail
        else:
            # This is setUpModule or setUpClass.
            self.write(test, "failed", detail)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.outcome = "failed", f"{subtest}\n" + self._exc_info_to_string(err, test)

    def addSkip(self, test, reason):
        self.outcome = "skipped", reason
        if not isinstance(test, unittest.TestCase):
            self.write(test, *self.outcome)

    def addUnexpectedSuccess(self, test):
        self.outcome = "failed", "unexpected success"


def main():
    how, module, results, provider = sys.argv[1:]
    if how == "native":
        # Neither side has TLS, so both have the same tests.
        sys.modules["_ssl"] = None
    else:
        sys.path.insert(0, how)
        import shim

        shim.install(provider)
    known = set()
    if os.path.exists(results):
        with open(results) as file:
            known = {json.loads(line)[0] for line in file}
    import test.support

    test.support.use_resources = ["network"]
    test.support.verbose = 0
    everything = unittest.defaultTestLoader.loadTestsFromName(module)
    wanted = [
        test
        for test in tests(everything)
        if test.id() not in known and not any(fnmatch.fnmatchcase(test.id(), pattern) for pattern in IGNORED)
    ]
    with open(results, "a") as file:
        unittest.TestSuite(wanted).run(Result(file))


if __name__ == "__main__":
    main()
