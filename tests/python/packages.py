"""Packages of PyPI in the sandbox, against servers that are installed here."""

import contextlib
import functools
import glob
import os
import subprocess
import sys

from harness import HERE, PATIENCE, TARGET, Skip, free_port, need, program, sandbox, server

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
    port = free_port()
    words = [need("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    with server(words, port, folder + "/log"):
        package("redis", port, allow=[f"tcp-connect=127.0.0.1:{port}", "resolve=localhost", f"tcp-connect=localhost:{port}"])


def as_user(name, folder):
    """Returns the options that start a program as a user, because some servers refuse to run as root."""
    if os.getuid() != 0:
        return {}
    try:
        import pwd

        entry = pwd.getpwnam(name)
    except KeyError:
        raise Skip(f"there is no user {name}") from None
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def pg8000(folder):
    places = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    initdb, postgres = (need(tool, *places) for tool in ("initdb", "postgres"))
    options = {**as_user("postgres", folder), "cwd": folder}
    port = free_port()
    with open(folder + "/password", "w") as file:
        file.write("secret\n")
    made = subprocess.run(
        [initdb, "-D", folder + "/data", "-U", "guest", "-A", "scram-sha-256", "--pwfile", folder + "/password", "-N"],
        capture_output=True,
        text=True,
        **options,
    )
    if made.returncode != 0:
        raise AssertionError(f"initdb: {made.stderr}")
    words = [postgres, "-D", folder + "/data", "-p", str(port), "-c", f"unix_socket_directories={folder}", "-h", "127.0.0.1", "-F"]
    with server(words, port, folder + "/log", **options):
        package("pg8000", port, allow=[f"tcp-connect=127.0.0.1:{port}"])


def pymysql(folder):
    install, mariadbd, client = need("mariadb-install-db"), need("mariadbd"), need("mariadb")
    options = as_user("mysql", folder)
    port, socket = free_port(), folder + "/socket"
    made = subprocess.run(
        [install, "--no-defaults", f"--datadir={folder}/data", "--auth-root-authentication-method=normal", "--skip-test-db"],
        capture_output=True,
        text=True,
        **options,
    )
    if made.returncode != 0:
        raise AssertionError(f"mariadb-install-db: {made.stdout}{made.stderr}")
    words = [mariadbd, "--no-defaults", f"--datadir={folder}/data", f"--port={port}", "--bind-address=127.0.0.1"]
    words.append(f"--socket={socket}")
    with server(words, port, folder + "/log", **options):
        setup = "CREATE DATABASE test CHARACTER SET utf8mb4; CREATE USER guest@localhost IDENTIFIED BY 'secret';"
        setup += "GRANT ALL ON test.* TO guest@localhost;"
        subprocess.run([client, "--no-defaults", f"--socket={socket}", "-u", "root", "-e", setup], check=True, timeout=PATIENCE)
        package("pymysql", port, allow=[f"tcp-connect=127.0.0.1:{port}"])


def paho(folder):
    port = free_port()
    with open(folder + "/conf", "w") as file:
        file.write(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with server([need("mosquitto"), "-c", folder + "/conf"], port, folder + "/log"):
        # The package binds each socket to 0.0.0.0:0 before it connects, and wakes itself by a TCP connection of its own.
        package("paho", port, allow=["tcp-connect=127.0.0.1:*", "tcp-listen=0.0.0.0:0", "tcp-listen=127.0.0.1:0"])


def dnspython(folder):
    port = free_port()
    words = [
        need("dnsmasq"), "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces",
        "--listen-address=127.0.0.1", f"--port={port}", f"--pid-file={folder}/pid", "--local=/example/",
        "--host-record=sandbox.example,192.0.2.7,2001:db8::7", "--txt-record=sandbox.example,a text",
    ]  # fmt: skip
    with server(words, port, folder + "/log"):
        package("dnspython", port, allow=[f"tcp-connect=127.0.0.1:{port}", f"udp-send=127.0.0.1:{port}", "udp-bind=0.0.0.0:0"])


@contextlib.contextmanager
def nginx(folder):
    """Starts nginx, and returns its port."""
    port = free_port()
    os.mkdir(folder + "/www")
    with open(folder + "/www/file", "w") as file:
        file.write("x" * 300_000)
    with open(folder + "/conf", "w") as file:
        file.write(
            f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{}}\nhttp {{\n"
            f"  access_log off; client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;\n"
            f"  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;\n"
            f"  server {{ listen 127.0.0.1:{port}; root {folder}/www; absolute_redirect off;\n"
            "    location = /moved { return 302 /file; }\n  }\n}\n"
        )
    with server([need("nginx"), "-p", folder, "-c", folder + "/conf", "-e", "stderr"], port, folder + "/log"):
        yield port


def requests(folder):
    with nginx(folder) as port:
        package("requests", port, allow=[f"tcp-connect=127.0.0.1:{port}"])


def httpx(folder):
    with nginx(folder) as port:
        package("httpx", port, allow=[f"tcp-connect=127.0.0.1:{port}"])


def aiohttp(folder):
    package("aiohttp", allow=["tcp-listen=127.0.0.1:0", "tcp-connect=127.0.0.1:*"])


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


PACKAGES = (redis, pg8000, pymysql, paho, dnspython, requests, httpx, aiohttp, python_can, zeroconf, scapy, pyroute2)
TESTS = {f"package_{test.__name__}": test for test in PACKAGES}


if __name__ == "__main__":
    # The tests in the booted kernel take some of the packages along.
    try:
        print(site())
    except Skip as reason:
        sys.exit(f"packages.py: {reason}")
