"""Tests of `sandsock python` with two runners, the standard library, packages of PyPI against real servers, and CPython's own tests.

    run.py [NAME...]

NAME may be a pattern, as `tls_*`.
Prints one line for each test, the table of CPython's tests, and the counts. A test whose server, package or interpreter is missing is skipped, and its line says what
is missing. Ends with status 1 if a test fails. The variable SANDSOCK names the command; the default is target/release/sandsock.
"""

import fnmatch
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import cpython
import packages
import runner
import stdlib
import tls
import tls_grants
from harness import Skip


def main(names):
    tests = {**runner.TESTS, **stdlib.TESTS, **tls.TESTS, **tls_grants.TESTS, **packages.TESTS, **cpython.TESTS}
    chosen = list(tests)
    if names:
        found = {name: fnmatch.filter(tests, name) for name in names}
        for name in found:
            if not found[name]:
                sys.exit(f"run.py: there is no test {name}; the tests are: {', '.join(tests)}")
        chosen = list(dict.fromkeys(test for name in names for test in found[name]))
    passed, failed, skipped = [], [], []
    for name in chosen:
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="sandsock-python-") as folder:
            os.chmod(folder, 0o755)
            try:
                detail = tests[name](folder)
            except Skip as reason:
                skipped.append(name)
                print(f"{name}: skipped: {reason}", flush=True)
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                failed.append(name)
                print(f"{name}: FAILED: {error}", flush=True)
            else:
                passed.append(name)
                print(f"{name}: ok{f', {detail}' if detail else ''} ({time.monotonic() - start:.1f} s)", flush=True)
    print(*cpython.table(), sep="\n")
    print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")
    if failed:
        print("failed:", *failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
