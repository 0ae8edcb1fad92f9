"""TLS of Python programs in the sandbox, with an authority that openssl makes for the test."""

import contextlib
import functools
import os
import subprocess
from typing import NamedTuple

import daemons
import packages
import peers
from harness import PATIENCE, free_port, need, program, refused, sandbox
from stdlib import shared_file


def make_certificates(folder):
    """Writes `server.crt` and `server.key` of `server.test` and 127.0.0.1, both again as `server.pem`, and the authority `ca.pem`. Its
    copy in the folder `trust` may be read by programs. The authority `stranger.pem` has issued nothing."""
    openssl = need("openssl")

    def run(*words):
        subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)

    elliptic = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "stranger"):
        run("req", "-x509", *elliptic, "-keyout", name + ".key", "-out", name + ".pem", "-days", "2", "-subj", f"/CN=the authority {name}",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    run("req", *elliptic, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server.test")
    with open(os.path.join(folder, "extensions"), "w") as file:
        file.write("subjectAltName=DNS:server.test,IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
    run("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
        "-extfile", "extensions", "-out", "server.crt")  # fmt: skip
    os.mkdir(os.path.join(folder, "trust"))
    for whole, parts in (("server.pem", ("server.crt", "server.key")), ("trust/ca.pem", ("ca.pem",))):
        with open(os.path.join(folder, whole), "w") as file:
            for name in parts:
                with open(os.path.join(folder, name)) as part:
                    file.write(part.read())


def tls_stdlib(folder):
    """The standard library's clients and servers, over TLS."""
    make_certificates(folder)
    sandbox(program("tls"), folder, allow=["tcp-connect=127.0.0.1:*", "tcp-listen=127.0.0.1:0"], options=["--dir", folder])


def identity(folder):
    """Returns the options that name the certificate and its key `web`. The program never sees the key."""
    return ("--tls-identity", f"web={folder}/server.crt,{folder}/server.key")


def tls_listen(folder):
    """Servers that move TLS alone, with an identity of the command."""
    make_certificates(folder)
    allow = ["tcp-connect=127.0.0.1:*", "tls-listen=127.0.0.1:0;identity=web"]
    sandbox(program("tls_listen"), folder + "/trust/ca.pem", allow=allow, options=[*identity(folder), "--dir", folder + "/trust:ro"])


class Client(NamedTuple):
    """A program that reaches a server by one grant of TLS."""

    # Starts the server in a folder with certificates, and gives its port.
    server: object
    program: str
    # The arguments after the port and the trust.
    words: tuple = ()
    # The verb for the server's port.
    grant: str = "tls-connect"
    # Grants besides it.
    allow: tuple = ()
    address: str = "127.0.0.1"
    # The variable that names a file of roots to a package that brings roots of its own, and so never looks at the command's.
    roots: str = ""


def stdlib(server, name, **keywords):
    return Client(server, "tls_clients", (name,), **keywords)


def upgrading(server, name, **keywords):
    return stdlib(server, name, grant="tls-upgrade", **keywords)


def package(server, name, **keywords):
    return Client(server, "package_" + name, **keywords)


# A server of the program's own needs these.
SERVES = ("tls-listen=127.0.0.1:*;identity=web", "tls-connect=server.test:*")


def own(folder):
    """The program has the server itself, on a free port."""
    return contextlib.nullcontext(free_port())


vsftpd_reuse = functools.partial(daemons.vsftpd, reuse=True)
exim_implicit = functools.partial(daemons.exim, implicit=True)
CLIENTS = {
    "openssl_1_2": stdlib(functools.partial(daemons.s_server, "tls1_2"), "page_of_openssl"),
    "openssl_1_3": stdlib(functools.partial(daemons.s_server, "tls1_3"), "page_of_openssl"),
    "urllib": stdlib(daemons.nginx_tls, "urllib_request"),
    "urllib_identity": stdlib(daemons.nginx_asking, "urllib_identity", allow=("tls-identity=web",)),
    "http_client": stdlib(daemons.nginx_tls, "http_client"),
    "xmlrpc": stdlib(peers.rpc_tls, "xmlrpc_client"),
    "asyncio_streams": stdlib(daemons.nginx_tls, "asyncio_streams"),
    "asyncio_streams_1_2": stdlib(daemons.nginx_1_2, "asyncio_streams"),
    "asyncio_start_tls": upgrading(daemons.exim, "asyncio_start_tls"),
    "smtplib_starttls": upgrading(daemons.exim, "smtplib_starttls"),
    "smtplib_ssl": stdlib(exim_implicit, "smtplib_ssl"),
    "poplib_ssl": stdlib(functools.partial(daemons.dovecot, "pop3s"), "poplib_ssl"),
    "poplib_stls": upgrading(functools.partial(daemons.dovecot, "pop3"), "poplib_stls"),
    "imaplib_ssl": stdlib(functools.partial(daemons.dovecot, "imaps"), "imaplib_ssl"),
    "imaplib_starttls": upgrading(functools.partial(daemons.dovecot, "imap"), "imaplib_starttls"),
    # Each transfer has a connection of its own, to a port that the server chooses.
    "ftplib": upgrading(daemons.vsftpd, "ftplib_tls", allow=("tls-connect=server.test:*",)),
    "ftplib_resuming": upgrading(vsftpd_reuse, "ftplib_resuming", allow=("tls-connect=server.test:*",)),
    "urllib3": package(daemons.nginx_tls, "urllib3"),
    "requests": package(daemons.nginx_tls, "requests", roots="REQUESTS_CA_BUNDLE"),
    "httpx": package(daemons.nginx_tls, "httpx", roots="SSL_CERT_FILE"),
    "aiohttp": package(daemons.nginx_tls, "aiohttp", allow=SERVES),
    "websockets": package(own, "websockets", allow=SERVES),
    "redis": package(daemons.redis_tls, "redis"),
    "pg8000": package(daemons.postgres_tls, "pg8000", grant="tls-upgrade"),
    "pymysql": package(daemons.mariadb_tls, "pymysql", grant="tls-upgrade"),
    "paho": package(daemons.mosquitto_tls, "paho", allow=tuple(packages.PAHO), address="127.0.0.2"),
}


def client(row, folder):
    """Runs the program with the trust that it has by itself, and with a file of roots. Then it is refused: without the grant, with
    roots of the command that don't prove the server, and with its own roots if these don't."""
    make_certificates(folder)
    authority, trust = folder + "/ca.pem", folder + "/trust/ca.pem"
    with row.server(folder) as port:
        granted = (f"{row.grant}=server.test:{port}", *row.allow)
        given = ["--env", f"{row.roots}={trust}"] if row.roots else []

        def run(act, trusts, allow=granted, roots=authority, options=given):
            options = ["--resolve", f"server.test={row.address}", "--tls-roots", roots, "--dir", folder + "/trust:ro", *options]
            options += identity(folder)
            if row.program.startswith("package_"):
                options += ["--site", packages.site()]
            act(program(row.program), str(port), trusts, *row.words, allow=allow, options=options)

        ungranted = functools.partial(refused, "is not granted")
        unproven = functools.partial(refused, "CERTIFICATE_VERIFY_FAILED")
        run(sandbox, "default")
        run(sandbox, trust)
        run(ungranted, "default", allow=())
        run(unproven, "default", roots=folder + "/stranger.pem")
        run(unproven, trust, roots=folder + "/stranger.pem")
        if row.roots:
            run(unproven, "default", options=[])


def asked(folder, *words):
    """Runs a client outside of the sandbox, and returns what it got."""
    words = [need(words[0]), *words[1:]]
    return subprocess.run(words, cwd=folder, input=b"GET /file HTTP/1.0\r\n\r\n", capture_output=True, timeout=PATIENCE).stdout


def curl(port, scheme="https"):
    return ("curl", "--silent", "--max-time", "60", "--resolve", f"server.test:{port}:127.0.0.1", f"{scheme}://server.test:{port}/file")


def tls_server(folder):
    """-m http.server with an identity of the command, under curl and s_client, in both versions of TLS."""
    make_certificates(folder)
    shared = functools.partial(shared_file, folder + "/www", "--tls-cert", "identity:web")
    trusting, stranger = ("--cacert", "ca.pem"), ("--cacert", "stranger.pem")
    with shared(listen="tls-listen=127.0.0.1:{};identity=web", options=identity(folder)) as (port, whole):
        s_client = ("openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port}", "-servername", "server.test", "-verify_return_error")
        for version in ("1.2", "1.3"):
            page = asked(folder, *curl(port), *trusting, "--tlsv" + version, "--tls-max", version)
            assert page == whole, f"curl of TLS {version} got {len(page)} bytes"
            verifying = ("-CAfile", "ca.pem", "-verify_hostname", "server.test", "-tls" + version.replace(".", "_"))
            page = asked(folder, *s_client, *verifying)
            assert page.endswith(whole), f"s_client of TLS {version} got {len(page)} bytes"
        for words in (
            (*curl(port), *stranger),
            (*curl(port), *trusting, "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0"),
            curl(port, "http"),
            (*s_client, "-CAfile", "stranger.pem"),
        ):
            assert whole not in asked(folder, *words), words
        assert asked(folder, *curl(port), *trusting) == whole
    audit = folder + "/audit"
    with shared(options=[*identity(folder), "--audit", audit, "--audit-denied"]) as (port, whole):
        assert whole not in asked(folder, *curl(port), *trusting)
    with open(audit) as file:
        assert "tls-identity of web is not granted" in (text := file.read()), text


TESTS = {"tls_stdlib": tls_stdlib, "tls_listen": tls_listen, "tls_server": tls_server}
TESTS |= {f"tls_{name}": functools.partial(client, row) for name, row in CLIENTS.items()}
