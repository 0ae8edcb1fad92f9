"""CPython's own tests in the sandbox. The files are those of a Python that is installed here; this repository has none of them.

The runner is CPython 3.14, and takes the files of 3.13 or 3.14. The variable SANDSOCK_CPYTHON_TESTS names their folder (`.../test`).
"""

import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile

from harness import PATIENCE, Skip, command, has_threads, program

# These tests of test_socket pass descriptors of files. A file of WASI's is no descriptor of the kernel's, so the call is EBADF.
FILES_PASSED = {
    f"{case}StreamTest.{test}"
    for case in ("RecvmsgSCMRights", "RecvmsgIntoSCMRights")
    for test in (
        "testCmsgTrunc0", "testCmsgTrunc1", "testCmsgTrunc2Int", "testCmsgTruncLen0", "testCmsgTruncLen0Minus1",
        "testCmsgTruncLen0Plus1", "testCmsgTruncLen1", "testCmsgTruncLen2Minus1", "testCmsgTruncNoBufSize", "testFDPassCMSG_LEN",
        "testFDPassCMSG_SPACE", "testFDPassSeparate", "testFDPassSeparateMinSpace", "testFDPassSimple", "testMultipleFDPass",
    )  # fmt: skip
}

# The modules, and the tests of their 3.13 files that fail here. Without threads, the tests that start one fail too, and are counted.
MODULES = {
    "test_errno": set(),
    "test_select": set(),
    "test_poll": set(),
    "test_epoll": set(),
    "test_selectors": set(),
    "test_hmac": set(),
    "test_resource": set(),
    "test_asyncio.test_base_events": {
        # 3.14: a task factory gets the name too.
        "BaseEventLoopTests.test_create_named_task_with_custom_factory",
    },
    "test_asyncio.test_buffered_proto": set(),
    "test_asyncio.test_selector_events": {
        # 3.14: the loop accepts one connection more than the backlog.
        "BaseSelectorEventLoopTests.test_accept_connection_multiple",
    },
    "test_asyncio.test_server": set(),
    "test_asyncio.test_sock_lowlevel": set(),
    "test_asyncio.test_ssl": {
        # A session belongs to the open file description, so what a duplicate of the socket sends goes through it too.
        "TestSSL.test_start_tls_client_corrupted_ssl",
    },
    "test_asyncio.test_sslproto": {
        # As in test_ssl.
        "SelectorStartTLSTests.test_start_tls_client_corrupted_ssl",
    },
    "test_asyncio.test_streams": set(),
    "test_asyncio.test_threads": set(),
    "test_threading": {
        # ctypes can't load the interpreter's own library.
        "ThreadTests.test_PyThreadState_SetAsyncExc",
    },
    "test_thread": set(),
    "test_threading_local": set(),
    "test_queue": set(),
    "test_concurrent_futures.test_thread_pool": set(),
    "test_concurrent_futures.test_wait": set(),
    "test_concurrent_futures.test_as_completed": set(),
    "test_socketserver": set(),
    "test_httpservers": {
        # WASI: the name of a file is UTF-8.
        "SimpleHTTPServerTestCase.test_undecodable_filename",
        "SimpleHTTPServerTestCase.test_undecodable_parameter",
    },
    "test_httplib": {
        # 3.14: there are more statuses.
        "BasicTest.test_simple_httpstatus",
    },
    "test_ssl": {
        # rustls has no authentication after the handshake, and no finite-field groups. 3.14's HAS_PHA says so.
        "TestPostHandshakeAuth.test_bpo37428_pha_cert_none",
        "TestPostHandshakeAuth.test_pha_no_pha_server",
        "TestPostHandshakeAuth.test_pha_optional",
        "TestPostHandshakeAuth.test_pha_optional_nocert",
        "TestPostHandshakeAuth.test_pha_required",
        "ThreadedTests.test_dh_params",
        # The messages of the handshake stay in the host, and tls-unique too.
        "TestSSLDebug.test_msg_callback_tls12",
        "ThreadedTests.test_tls_unique_channel_binding",
    },
    "test_ftplib": set(),
    "test_smtplib": set(),
    "test_socket": {
        # 3.14: a negative index is a ValueError.
        "GeneralModuleTests.testInvalidInterfaceIndexToName",
        # The test knows by the name `linux` alone that an empty name binds to a name of the kernel's.
        "TestUnixDomain.testEmptyAddress",
        # CPython: on WASI, the pair that socket.py makes by TCP does not check who has connected. socketpair() makes none of these.
        "PurePythonSocketPairTest.test_injected_authentication_failure",
        *FILES_PASSED,
    },
}

# A module in which tests without a thread fail because of what the tests with one left behind.
NEEDS_THREADS = {"test_asyncio.test_ssl", "test_asyncio.test_sslproto", "test_asyncio.test_streams", "test_ssl"}

# What the modules above need besides themselves.
SUPPORT = ("__init__.py", "support", "lock_tests.py", "mock_socket.py", "archivetestdata", "certdata", "ssl_servers.py")


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


def native(tests):
    """Returns the interpreter that the tests belong to, or None."""
    library = os.path.dirname(os.path.realpath(tests))
    program = os.path.join(os.path.dirname(os.path.dirname(library)), "bin", os.path.basename(library))
    return program if os.access(program, os.X_OK) else None


def counts_of(words, folder):
    """Runs a module's tests, and returns their outcome and what was written beside it. They and all that they start end in time."""
    with tempfile.TemporaryFile("w+") as errors:
        ran = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=folder, start_new_session=True
        )
        try:
            output, _ = ran.communicate(timeout=3 * PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(ran.pid, signal.SIGKILL)
            output, _ = ran.communicate()
        errors.seek(0)
        text = errors.read()
    if not output.strip():
        raise AssertionError(f"no result, status {ran.returncode}\n{text[-3000:]}")
    return json.loads(output.splitlines()[-1]), text


def native_counts(tests, name, folder):
    """Returns the outcome of a module's tests in the interpreter that they belong to, or None if there is none."""
    interpreter = native(tests)
    if interpreter is None:
        return None
    try:
        return counts_of([interpreter, program("cpython_suite"), "test." + name, folder], folder)[0]
    except AssertionError as error:
        print(f"{name}, natively: {error}", flush=True)
        return None


# The counts of each module that has run: its name, those of the native run or None, and those in the sandbox.
TABLE = []


def table():
    """Returns the lines of a table: tests run, failed and skipped, natively and in the sandbox."""
    if not TABLE:
        return []

    def cell(result):
        # A test whose clean-up fails too is there twice.
        return f"{result['ran']}, {len(set(result['failed']))}, {result['skipped']}" if result else "-"

    version = os.path.basename(os.path.dirname(folder_of_tests()))
    lines = ["Tests of CPython's that ran, failed and were skipped:", f"| module | {version} | sandbox |", "| --- | --- | --- |"]
    return [*lines, *(f"| {name} | {cell(natively)} | {cell(guest)} |" for name, natively, guest in TABLE)]


def run_module(name, otherwise, folder):
    """Runs one module, and returns the counts."""
    tests = folder_of_tests()
    if name in NEEDS_THREADS and not has_threads():
        raise Skip("this runner has no threads")
    site = os.path.join(folder, "site")
    os.makedirs(os.path.join(site, "test"))
    # A module of a package comes with the package.
    wanted = [name.partition(".")[0]] if "." in name else [name + ".py"]
    for file in (*SUPPORT, *wanted):
        source, target = os.path.join(tests, file), os.path.join(site, "test", file)
        if os.path.isdir(source):
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif os.path.exists(source):
            shutil.copy(source, target)
    work, own = os.path.join(folder, "work"), os.path.join(folder, "native")
    os.mkdir(work)
    os.mkdir(own)
    words = command(program("cpython_suite"), "test." + name, work, options=["--site", site, "--dir", work, "--allow-all"])
    result, text = counts_of(words, work)
    TABLE.append((name, native_counts(tests, name, own), result))
    failed = {test.removeprefix(f"test.{name}.") for test in result["failed"]}
    passed = sorted(otherwise - failed)
    failed -= otherwise
    threaded = set() if has_threads() else failed & {test.removeprefix(f"test.{name}.") for test in result["threaded"]}
    failed -= threaded
    if failed:
        raise AssertionError(f"{len(failed)} of {result['ran']} failed: {' '.join(sorted(failed))}\n{text[-6000:]}")
    without = f", {len(threaded)} failed for want of threads" if threaded else ""
    # Their reason has gone, and so can their lines in MODULES.
    surprising = f", passed against expectation: {' '.join(passed)}" if passed else ""
    return f"{result['ran']} ran, {result['skipped']} skipped{without}{surprising}"


TESTS = {
    f"cpython_{name.replace('.', '_')}": lambda folder, name=name, otherwise=otherwise: run_module(name, otherwise, folder)
    for name, otherwise in MODULES.items()
}
