"""Packages of PyPI in the sandbox, against the servers of daemons.py."""

import contextlib
import functools
import os
import subprocess
import sys

import daemons
from harness import HERE, TARGET, Skip, free_port, need, program, sandbox

SITE = os.path.join(TARGET, "packages")
REQUIREMENTS = os.path.join(HERE, "requirements.txt")

# Without these variables the packages would build native parts.
WITHOUT_NATIVE = {"SKIP_CYTHON": "1", "AIOHTTP_NO_EXTENSIONS": "1"}
SOURCES = ("aiohttp", "zeroconf")


@functools.cache
def site():
    """Installs the packages into a folder of their own, once. Skips the test if that fails."""
    mark = os.path.join(SITE, ".installed")
    with open(REQUIREMENTS) as file:
        wanted = file.read()
    with contextlib.suppress(FileNotFoundError), open(mark) as file:
        if file.read() == wanted:
            return SITE
    names = [line for line in wanted.splitlines() if not line.startswith("#")]
    sources = [name for name in names if name.partition("==")[0] in SOURCES]
    pure = [name for name in names if name not in sources]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps", "--target", SITE, "--upgrade"]
    for words in (
        [*pip, "--only-binary", ":all:", "--implementation", "py", "--abi", "none", "--platform", "any", "--python-version", "3.14", *pure],
        [*pip, "--no-binary", ",".join(SOURCES), *sources],
    ):
        done = subprocess.run(words, env=os.environ | WITHOUT_NATIVE, capture_output=True, text=True)
        if done.returncode != 0:
            raise Skip(f"pip can't install the packages: {done.stderr.strip().splitlines()[-1]}")
    with open(mark, "w") as file:
        file.write(wanted)
    return SITE


def package(name, *arguments, allow=(), options=()):
    """Runs the program of a package."""
    sandbox(program(f"package_{name}"), *map(str, arguments), allow=allow, options=["--site", site(), *options])


def redis(folder):
    with daemons.redis(folder) as port:
        package("redis", port, allow=[f"tcp-connect=127.0.0.1:{port}"])


def pg8000(folder):
    with daemons.postgres(folder) as port:
        package("pg8000", port, allow=[f"tcp-connect=127.0.0.1:{port}"])


def pymysql(folder):
    with daemons.mariadb(folder) as port:
        package("pymysql", port, allow=[f"tcp-connect=127.0.0.1:{port}"])


# paho-mqtt binds each socket to 0.0.0.0:0 before it connects, and wakes itself by a TCP connection of its own.
PAHO = ["tcp-connect=127.0.0.1:*", "tcp-listen=0.0.0.0:0", "tcp-listen=127.0.0.1:0"]


def paho(folder):
    with daemons.mosquitto(folder) as port:
        package("paho", port, allow=PAHO)


def dnspython(folder):
    with daemons.dnsmasq(folder) as port:
        package("dnspython", port, allow=[f"tcp-connect=127.0.0.1:{port}", f"udp-send=127.0.0.1:{port}", "udp-bind=0.0.0.0:0"])


def requests(folder):
    with daemons.nginx(folder) as port:
        package("requests", port, allow=[f"tcp-connect=127.0.0.1:{port}"])


def httpx(folder):
    with daemons.nginx(folder) as port:
        package("httpx", port, allow=[f"tcp-connect=127.0.0.1:{port}"])


def urllib3(folder):
    with daemons.nginx(folder) as port:
        package("urllib3", port, allow=[f"tcp-connect=127.0.0.1:{port}"])


def aiohttp(folder):
    with daemons.nginx(folder) as port:
        package("aiohttp", port, allow=["tcp-listen=127.0.0.1:0", "tcp-connect=127.0.0.1:*"])


def websockets(folder):
    port = free_port()
    package("websockets", port, allow=[f"tcp-listen=127.0.0.1:{port}", f"tcp-connect=127.0.0.1:{port}"])


def pyroute2(folder):
    package("pyroute2", allow=["netlink=route:read", "interfaces"], options=["--as-linux"])


def zeroconf(folder):
    allow = ["udp-bind=0.0.0.0:5353", "udp-bind=127.0.0.1:5353", "multicast=224.0.0.251", "udp-send=224.0.0.251:5353"]
    allow += ["udp-receive=127.0.0.1:5353", "option=SOL_SOCKET/SO_REUSEADDR", "option=SOL_SOCKET/SO_REUSEPORT"]
    package("zeroconf", allow=allow)


def scapy(folder):
    if os.geteuid() != 0:
        raise Skip("raw sockets need root")
    allow = ["netlink=route:read", "interfaces", "raw=icmp:127.0.0.1", "raw=header", "packet=lo"]
    # scapy reads the kernel's 16 bytes of a time as two of C's long, which have 4 bytes each here. Without the option it does not.
    options = ["--as-linux", "--deny", "option=SOL_SOCKET/SO_TIMESTAMPNS", "--dir", folder]
    # In a namespace of its own, scapy does not see the traffic of this machine.
    name = f"sandsock-scapy-{os.getpid()}"
    made = subprocess.run([need("ip"), "netns", "add", name], capture_output=True, text=True)
    if made.returncode != 0:
        raise Skip(f"there can be no network namespace: {made.stderr.strip()}")
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        package("scapy", folder, allow=allow, options=[*options, "--netns", name])
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def python_can(folder):
    name = "vcansandsock"
    made = subprocess.run([need("ip"), "link", "add", name, "type", "vcan"], capture_output=True, text=True)
    if made.returncode != 0:
        raise Skip(f"this kernel has no virtual CAN interface: {made.stderr.strip()}")
    try:
        subprocess.run(["ip", "link", "set", name, "up", "mtu", "72"], check=True)
        package("can", name, allow=[f"can={name}"])
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)


PACKAGES = (redis, pg8000, pymysql, paho, dnspython, requests, httpx, urllib3, aiohttp, websockets, python_can, zeroconf, scapy, pyroute2)
TESTS = {f"package_{test.__name__}": test for test in PACKAGES}


if __name__ == "__main__":
    # The tests in the booted kernel take some of the packages along.
    try:
        print(site())
    except Skip as reason:
        sys.exit(f"packages.py: {reason}")
