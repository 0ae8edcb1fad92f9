"""TLS of Python programs in the sandbox, with an authority that openssl makes for the test."""

import os
import shutil
import subprocess

from harness import need, program, sandbox


def make_certificates(folder):
    """Writes `ca.pem` and `server.pem`, which has the certificate and the key of `server.test` and 127.0.0.1."""
    openssl = need("openssl")

    def run(*words):
        subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)

    elliptic = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *elliptic, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test authority",
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    run("req", *elliptic, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server.test")
    with open(os.path.join(folder, "extensions"), "w") as file:
        file.write("subjectAltName=DNS:server.test,IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
    run("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
        "-extfile", "extensions", "-out", "server.crt")  # fmt: skip
    with open(os.path.join(folder, "server.pem"), "w") as whole:
        for name in ("server.crt", "server.key"):
            with open(os.path.join(folder, name)) as part:
                whole.write(part.read())


def tls_stdlib(folder):
    """The standard library's clients and servers, over TLS."""
    make_certificates(folder)
    sandbox(program("tls"), folder, allow=["tcp-connect=127.0.0.1:*", "tcp-listen=127.0.0.1:0"], options=["--dir", folder])


def tls_listen(folder):
    """Servers that move TLS alone, with an identity whose key the program never sees."""
    make_certificates(folder)
    identity = "web=" + ",".join(os.path.join(folder, name) for name in ("server.crt", "server.key"))
    roots = os.path.join(folder, "roots")
    os.mkdir(roots)
    shutil.copy(os.path.join(folder, "ca.pem"), roots)
    sandbox(
        program("tls_listen"),
        os.path.join(roots, "ca.pem"),
        allow=["tcp-connect=127.0.0.1:*", "tls-listen=127.0.0.1:0;identity=web"],
        options=["--tls-identity", identity, "--dir", roots + ":ro"],
    )


TESTS = {"tls_stdlib": tls_stdlib, "tls_listen": tls_listen}
