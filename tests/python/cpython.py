"""CPython's own tests in the sandbox. The files are those of a Python that is installed here; this repository has none of them.

The runner is CPython 3.14, and takes the files of 3.13 or 3.14. The variable SANDSOCK_CPYTHON_TESTS names their folder (`.../test`).
"""

import glob
import json
import os
import shutil
import subprocess
import tempfile

from harness import PATIENCE, Skip, command, has_threads, program

# The modules, and the tests that fail where the runner has no threads.
MODULES = {
    "test_errno": (),
    "test_select": (),
    "test_poll": ("PollTests.test_poll_blocks_with_negative_ms", "PollTests.test_threaded_poll"),
    "test_epoll": (),
    "test_selectors": (),
    "test_socket": (),
}

# The tests of 3.13 that fail here, and why.
OTHERWISE = {
    "test_socket": {
        # 3.14: a negative index is a ValueError.
        "GeneralModuleTests.testInvalidInterfaceIndexToName",
        # The test knows by the name `linux` alone that an empty name binds to a name of the kernel's.
        "TestUnixDomain.testEmptyAddress",
    },
}

# What the modules above need besides themselves.
SUPPORT = ("__init__.py", "support", "archivetestdata", "certdata")


def folder_of_tests():
    """Returns the folder `test` of CPython's library, or skips the test."""
    named = os.environ.get("SANDSOCK_CPYTHON_TESTS")
    places = [named] if named else []
    for version in ("3.14", "3.13"):
        places += [f"/usr/lib/python{version}/test", f"/usr/local/lib/python{version}/test"]
        places += sorted(glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*/lib/python{version}/test")), reverse=True)
    for place in places:
        if os.path.exists(os.path.join(place, "test_selectors.py")):
            return place
    raise Skip("the tests of CPython 3.13 or 3.14 are not installed; name their folder with SANDSOCK_CPYTHON_TESTS")


def run_module(name, need_threads, folder):
    """Runs one module, and returns the counts."""
    tests = folder_of_tests()
    site = os.path.join(folder, "site")
    os.makedirs(os.path.join(site, "test"))
    wanted = [name + ".py"] if os.path.exists(os.path.join(tests, name + ".py")) else [name]
    for file in (*SUPPORT, *wanted):
        source, target = os.path.join(tests, file), os.path.join(site, "test", file)
        if os.path.isdir(source):
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif os.path.exists(source):
            shutil.copy(source, target)
    work = os.path.join(folder, "work")
    os.mkdir(work)
    with tempfile.TemporaryFile("w+") as errors:
        ran = subprocess.run(
            command(program("cpython_suite"), "test." + name, work, options=["--site", site, "--dir", work, "--allow-all"]),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, timeout=5 * PATIENCE, cwd=work,
        )  # fmt: skip
        errors.seek(0)
        text = errors.read()
    if not ran.stdout.strip():
        raise AssertionError(f"no result, status {ran.returncode}\n{text[-3000:]}")
    result = json.loads(ran.stdout.splitlines()[-1])
    failed = {test.removeprefix(f"test.{name}.") for test in result["failed"]}
    named = {test.removeprefix(f"test.{name}.") for test in result["threaded"]}
    expected = set() if has_threads() else failed & (named | set(need_threads))
    failed -= expected | OTHERWISE.get(name, set())
    if failed:
        raise AssertionError(f"{len(failed)} of {result['ran']} failed: {' '.join(sorted(failed))}\n{text[-6000:]}")
    without = f", {len(expected)} failed for want of threads" if expected else ""
    return f"{result['ran']} ran, {result['skipped']} skipped{without}"


TESTS = {
    f"cpython_{name.replace('.', '_')}": lambda folder, name=name, need_threads=need_threads: run_module(name, need_threads, folder)
    for name, need_threads in MODULES.items()
}
