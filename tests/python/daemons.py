"""Servers that are installed here. Each function starts one on a free port, and gives the port. With `tls`, the server shows the
certificate `server.crt` of its folder, and speaks TLS alone, or asks for it before anything else."""

import contextlib
import functools
import glob
import os
import subprocess

from harness import PATIENCE, Skip, free_port, need, server


def as_user(name, folder):
    """Returns the options that start a program as a user, because some servers refuse to run as root. Gives the user the folder."""
    if os.getuid() != 0:
        return {}
    try:
        import pwd

        entry = pwd.getpwnam(name)
    except KeyError:
        raise Skip(f"there is no user {name}") from None
    for path in (folder, *glob.glob(folder + "/*")):
        os.chown(path, entry.pw_uid, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def needs_root(name):
    """Skips the test if the server could not change its user."""
    if os.geteuid() != 0:
        raise Skip(f"{name} needs root")


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


@contextlib.contextmanager
def redis(folder, tls=False):
    port = free_port()
    words = [need("redis-server"), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    if tls:
        words += ["--port", "0", "--tls-port", str(port), "--tls-cert-file", folder + "/server.crt"]
        words += ["--tls-key-file", folder + "/server.key", "--tls-ca-cert-file", folder + "/ca.pem", "--tls-auth-clients", "no"]
    else:
        words += ["--port", str(port)]
    with server(words, port, folder + "/log"):
        yield port


@contextlib.contextmanager
def postgres(folder, tls=False):
    places = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    initdb, postgres = (need(tool, *places) for tool in ("initdb", "postgres"))
    write(folder + "/password", "secret\n")
    options = {**as_user("postgres", folder), "cwd": folder}
    port = free_port()
    made = subprocess.run(
        [initdb, "-D", folder + "/data", "-U", "guest", "-A", "scram-sha-256", "--pwfile", folder + "/password", "-N"],
        capture_output=True,
        text=True,
        **options,
    )
    if made.returncode != 0:
        raise AssertionError(f"initdb: {made.stderr}")
    words = [postgres, "-D", folder + "/data", "-p", str(port), "-c", f"unix_socket_directories={folder}", "-h", "127.0.0.1", "-F"]
    if tls:
        words += ["-c", "ssl=on", "-c", f"ssl_cert_file={folder}/server.crt", "-c", f"ssl_key_file={folder}/server.key"]
    with server(words, port, folder + "/log", **options):
        yield port


@contextlib.contextmanager
def mariadb(folder, tls=False):
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
    if tls:
        words += [f"--ssl-cert={folder}/server.crt", f"--ssl-key={folder}/server.key", "--require-secure-transport=on"]
    with server(words, port, folder + "/log", **options):
        setup = "CREATE DATABASE test CHARACTER SET utf8mb4; CREATE USER guest@localhost IDENTIFIED BY 'secret';"
        setup += "GRANT ALL ON test.* TO guest@localhost;"
        subprocess.run([client, "--no-defaults", f"--socket={socket}", "-u", "root", "-e", setup], check=True, timeout=PATIENCE)
        yield port


@contextlib.contextmanager
def mosquitto(folder, tls=False):
    port = free_port()
    conf = f"listener {port} 127.0.0.1\n"
    if tls:
        # A grant for 127.0.0.1 opens nothing at the second address.
        secure = f"certfile {folder}/server.crt\nkeyfile {folder}/server.key\n"
        conf += f"{secure}listener {port} 127.0.0.2\n{secure}"
        as_user("mosquitto", folder)
    write(folder + "/conf", f"allow_anonymous true\n{conf}")
    with server([need("mosquitto"), "-c", folder + "/conf"], port, folder + "/log"):
        yield port


@contextlib.contextmanager
def dnsmasq(folder):
    port = free_port()
    words = [
        need("dnsmasq"), "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces",
        "--listen-address=127.0.0.1", f"--port={port}", f"--pid-file={folder}/pid", "--local=/example/",
        "--host-record=sandbox.example,192.0.2.7,2001:db8::7", "--txt-record=sandbox.example,a text",
    ]  # fmt: skip
    with server(words, port, folder + "/log"):
        yield port


@contextlib.contextmanager
def nginx(folder, tls="", asking=False):
    """nginx with a page `file`, in the clear or in these versions of TLS. With `asking`, it serves only clients that show a certificate
    of the authority."""
    port = free_port()
    os.mkdir(folder + "/www")
    write(folder + "/www/file", "x" * 300_000)
    secure = f"ssl_protocols {tls}; ssl_certificate {folder}/server.crt; ssl_certificate_key {folder}/server.key;" if tls else ""
    if asking:
        secure += f" ssl_client_certificate {folder}/ca.pem; ssl_verify_client on;"
    write(
        folder + "/conf",
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{}}\nhttp {{\n"
        f"  access_log off; client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;\n"
        f"  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;\n"
        f"  server {{ listen 127.0.0.1:{port} {'ssl' if tls else ''}; {secure} root {folder}/www; absolute_redirect off;\n"
        "    location = /moved { return 302 /file; }\n  }\n}\n",
    )
    with server([need("nginx"), "-p", folder, "-c", folder + "/conf", "-e", "stderr"], port, folder + "/log"):
        yield port


@contextlib.contextmanager
def s_server(version, folder):
    """OpenSSL's own server, which answers each request with a page, in one version of TLS."""
    port = free_port()
    words = [need("openssl"), "s_server", "-www", "-quiet", "-cert", "server.crt", "-key", "server.key", f"-{version}"]
    with server([*words, "-accept", f"127.0.0.1:{port}"], port, folder + "/log", cwd=folder):
        yield port


@contextlib.contextmanager
def dovecot(service, folder):
    """Dovecot with one service: imap, imaps, pop3 or pop3s. imap and pop3 let nobody log in without TLS. It has one message."""
    needs_root("dovecot")
    dovecot, port = need("dovecot"), free_port()
    os.makedirs(folder + "/mail/new")
    write(folder + "/mail/new/1", "Subject: a\n\ntext\n")
    as_user("nobody", folder + "/mail")
    listeners = "".join(
        f"service {name}-login {{\n"
        + "".join(f"  inet_listener {each} {{\n    port = {port if each == service else 0}\n  }}\n" for each in (name, name + "s"))
        + "}\n"
        for name in ("imap", "pop3")
    )
    write(
        folder + "/conf",
        f"base_dir = {folder}/run\nstate_dir = {folder}/state\nlog_path = /dev/stderr\nlisten = 127.0.0.1\n"
        f"protocols = {service.rstrip('s')}\n{listeners}mail_location = maildir:{folder}/mail\nfirst_valid_uid = 1\n"
        f"ssl = required\nssl_cert = <{folder}/server.crt\nssl_key = <{folder}/server.key\n"
        "passdb {\n  driver = static\n  args = password=secret\n}\n"
        f"userdb {{\n  driver = static\n  args = uid=nobody gid=nogroup home={folder}/mail\n}}\n",
    )
    with server([dovecot, "-F", "-c", folder + "/conf"], port, folder + "/log"):
        yield port


@contextlib.contextmanager
def exim(folder, implicit=False):
    """Exim, whose TLS is GnuTLS's. It takes every message that comes over TLS, and keeps none. With `implicit`, TLS comes first."""
    needs_root("exim")
    exim, port = need("exim4"), free_port()
    os.mkdir(folder + "/spool")
    as_user("Debian-exim", folder + "/spool")
    as_user("Debian-exim", folder)
    write(
        folder + "/conf",
        f"primary_hostname = server.test\nlocal_interfaces = 127.0.0.1\ndaemon_smtp_ports = {port}\n"
        f"tls_on_connect_ports = {port if implicit else ''}\ntls_advertise_hosts = *\n"
        f"tls_certificate = {folder}/server.crt\ntls_privatekey = {folder}/server.key\n"
        f"spool_directory = {folder}/spool\nlog_file_path = {folder}/%slog\nacl_smtp_rcpt = rcpt\nhost_lookup =\n"
        "begin acl\nrcpt:\n  accept\n    encrypted = *\nbegin routers\nhole:\n  driver = redirect\n  data = :blackhole:\n",
    )
    with server([exim, "-bdf", "-C", folder + "/conf"], port, folder + "/log"):
        yield port


@contextlib.contextmanager
def vsftpd(folder, reuse=False):
    """vsftpd for anybody, with a file `file` and a folder `up` to write to. Commands and data need TLS. With `reuse`, a connection for
    data has to resume the session of the connection for commands."""
    needs_root("vsftpd")
    vsftpd, port = need("vsftpd"), free_port()
    os.makedirs(folder + "/ftp/up")
    write(folder + "/ftp/file", "x" * 100_000)
    as_user("ftp", folder + "/ftp/up")
    settings = {
        "listen": "YES", "listen_address": "127.0.0.1", "listen_port": port, "background": "NO", "seccomp_sandbox": "NO",
        "anonymous_enable": "YES", "no_anon_password": "YES", "anon_root": folder + "/ftp", "write_enable": "YES",
        "anon_upload_enable": "YES", "ssl_enable": "YES", "allow_anon_ssl": "YES", "force_anon_logins_ssl": "YES",
        "force_anon_data_ssl": "YES", "require_ssl_reuse": "YES" if reuse else "NO", "ssl_ciphers": "HIGH",
        "rsa_cert_file": folder + "/server.crt", "rsa_private_key_file": folder + "/server.key",
        "secure_chroot_dir": folder + "/empty",
    }  # fmt: skip
    os.mkdir(folder + "/empty")
    write(folder + "/conf", "".join(f"{name}={value}\n" for name, value in settings.items()))
    with server([vsftpd, folder + "/conf"], port, folder + "/log"):
        yield port


redis_tls, postgres_tls, mariadb_tls, mosquitto_tls = (
    functools.partial(function, tls=True) for function in (redis, postgres, mariadb, mosquitto)
)
nginx_tls, nginx_1_2 = (functools.partial(nginx, tls=versions) for versions in ("TLSv1.2 TLSv1.3", "TLSv1.2"))
nginx_asking = functools.partial(nginx_tls, asking=True)
