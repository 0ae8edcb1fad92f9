"""Runs test modules of the installed CPython twice, with its own `_socket` and with the provider's, and compares the outcomes.

    run.py [--missing N] [--details] [--python PATH] [MODULE...]

The modules are the interpreter's own files (`test.test_socket`); this repository has none of them. Prints how many tests passed,
failed and were skipped in both runs, and each test that passes only natively. Ends with status 1 if there are more of these than
`--missing`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.path.join(HERE, "..", "..", "target")
PROVIDER = os.path.join(TARGET, "guests", "provider.wasm")
LIBRARY = os.path.join(TARGET, "release", "examples", "lib_sandsock.so")

MODULES = """
test.test_socket test.test_select test.test_selectors test.test_socketserver test.test_ftplib test.test_smtplib
test.test_httplib test.test_asyncio.test_sock_lowlevel test.test_asyncio.test_streams
test.test_asyncio.test_selector_events
""".split()

# A module that hangs or crashes is run at most this often.
ATTEMPTS = 20


def read(results):
    """Returns the outcome of each test. A test that has begun and has no outcome hung, or ended the process."""
    outcomes = {}
    if os.path.exists(results):
        with open(results) as file:
            for line in file:
                name, outcome, detail = json.loads(line)
                outcomes[name] = (outcome, detail)
    return {name: ("failed", "hung or crashed") if one[0] == "begun" else one for name, one in outcomes.items()}


def run(python, how, module, folder):
    """Returns the outcomes of one module, and the time that it took."""
    results = os.path.join(folder, "results")
    start = time.monotonic()
    log = b""
    for _ in range(ATTEMPTS):
        with tempfile.TemporaryDirectory(dir=folder) as work:
            command = [python, os.path.join(HERE, "child.py"), how, module, results, PROVIDER]
            environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", PYTHONWARNINGS="default")
            child = subprocess.run(command, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        log += child.stdout
        if child.returncode == 0:
            break
    outcomes = read(results)
    if child.returncode != 0:
        outcomes[module] = ("failed", log.decode(errors="replace")[-4000:])
    with open(os.path.join(folder, "log"), "wb") as file:
        file.write(log)
    return outcomes, time.monotonic() - start


def count(outcomes, wanted):
    return sum(outcome == wanted for outcome, _ in outcomes.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--missing", type=int, help="the largest number of tests that may pass only natively")
    parser.add_argument("--python", default=sys.executable, help="the interpreter whose tests to run")
    parser.add_argument("--details", action="store_true", help="print why each test failed")
    parser.add_argument("modules", nargs="*", default=MODULES, help="the modules, for example test.test_socket")
    args = parser.parse_args()
    probe = "import sys, test.test_socket; print('%d.%d.%d' % sys.version_info[:3])"
    probed = subprocess.run([args.python, "-c", probe], stdout=subprocess.PIPE, text=True)
    if probed.returncode != 0:
        sys.exit(f"{args.python} has no test modules (on Debian they are in the package libpython3-testsuite)")
    version = probed.stdout.strip()
    missing = 0
    print(f"CPython {version}: passed, failed, skipped (seconds)", flush=True)
    for module in args.modules:
        with tempfile.TemporaryDirectory() as folder:
            sides = {}
            for side in ("native", "provider"):
                place = os.path.join(folder, side)
                os.mkdir(place)
                how = side
                if side == "provider":
                    how = os.path.join(folder, "module")
                    os.mkdir(how)
                    shutil.copy(LIBRARY, os.path.join(how, "_sandsock.so"))
                    shutil.copy(os.path.join(HERE, "shim.py"), how)
                sides[side], seconds = run(args.python, how, module, place)
                numbers = [count(sides[side], one) for one in ("passed", "failed", "skipped")]
                print(f"{module:32} {side:9} {numbers[0]:5} {numbers[1]:5} {numbers[2]:5}  ({seconds:.0f})", flush=True)
            native, provider = sides["native"], sides["provider"]
            for name in sorted(set(native) | set(provider)):
                one, other = native.get(name, ("absent", "")), provider.get(name, ("absent", ""))
                missing += one[0] == "passed" and other[0] != "passed"
                if one[0] != other[0] != "passed":
                    print(f"  {name}: {other[0]} (natively {one[0]})")
                    if args.details:
                        print("    " + other[1].rstrip().replace("\n", "\n    "))
    print(f"{missing} tests pass only natively")
    if args.missing is not None and missing > args.missing:
        sys.exit(f"at most {args.missing} may")


if __name__ == "__main__":
    main()
