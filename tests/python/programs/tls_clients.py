"""A client of the standard library, against a server of this machine that proves its name over TLS. The arguments are the port, the
trust (place.py) and the client's name. Without a file of roots, each client has the context that it makes by itself."""

import asyncio
import ftplib
import http.client
import imaplib
import io
import poplib
import smtplib
import ssl
import sys
import urllib.request
import xmlrpc.client
from email.message import EmailMessage

from place import HOST, PORT, context, url

PAGE = 300_000


def urllib_request():
    with urllib.request.urlopen(url("http") + "/file", timeout=10, context=context()) as answer:
        assert len(answer.read()) == PAGE


def page_of_openssl():
    with urllib.request.urlopen(url("http"), timeout=10, context=context()) as answer:
        assert b"Cipher" in answer.read()


def urllib_identity():
    trusting = context() or ssl.create_default_context()
    trusting.load_cert_chain("identity:web")
    with urllib.request.urlopen(url("http") + "/file", timeout=10, context=trusting) as answer:
        assert len(answer.read()) == PAGE


def http_client():
    connection = http.client.HTTPSConnection(HOST, PORT, timeout=10, context=context())
    for _ in range(3):
        connection.request("GET", "/file")
        assert len(connection.getresponse().read()) == PAGE
    connection.close()


def xmlrpc_client():
    with xmlrpc.client.ServerProxy(url("http"), context=context()) as proxy:
        assert proxy.add(40, 2) == 42 and proxy.echo(["три", {"a": 1.5}]) == ["три", {"a": 1.5}]


def asyncio_streams():
    async def fetch():
        reader, writer = await asyncio.open_connection(HOST, PORT, ssl=context() or True)
        writer.write(f"GET /file HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200") and len(body) == PAGE
        writer.close()
        await writer.wait_closed()

    async def fetches():
        await asyncio.gather(*[fetch() for _ in range(4)])

    asyncio.run(fetches())


def asyncio_start_tls():
    async def speak():
        reader, writer = await asyncio.open_connection(HOST, PORT)

        async def say(line, status):
            writer.write(line)
            while (answer := await reader.readline())[3:4] == b"-":
                pass
            assert answer.startswith(status), answer

        await say(b"", b"220")
        await say(b"EHLO sandbox\r\n", b"250")
        await say(b"STARTTLS\r\n", b"220")
        await writer.start_tls(context() or ssl.create_default_context(), server_hostname=HOST)
        await say(b"EHLO sandbox\r\n", b"250")
        await say(b"QUIT\r\n", b"221")
        writer.close()
        await writer.wait_closed()

    asyncio.run(speak())


def send(smtp):
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "a test", "a@sandbox.example", "b@sandbox.example"
    message.set_content("a line\n" * 10_000)
    assert smtp.send_message(message) == {}


def smtplib_starttls():
    with smtplib.SMTP(HOST, PORT, local_hostname="sandbox", timeout=10) as smtp:
        smtp.starttls(context=context())
        send(smtp)


def smtplib_ssl():
    with smtplib.SMTP_SSL(HOST, PORT, local_hostname="sandbox", timeout=10, context=context()) as smtp:
        send(smtp)


def read_pop(pop):
    pop.user("somebody")
    pop.pass_("secret")
    assert pop.stat()[0] == 1 and pop.retr(1)[1][-1] == b"text"
    pop.quit()


def poplib_ssl():
    read_pop(poplib.POP3_SSL(HOST, PORT, timeout=10, context=context()))


def poplib_stls():
    pop = poplib.POP3(HOST, PORT, timeout=10)
    pop.stls(context=context())
    read_pop(pop)


def read_imap(imap):
    assert imap.login("somebody", "secret")[0] == "OK" and imap.select()[1] == [b"1"]
    assert imap.fetch("1", "(BODY[TEXT])")[1][0][1] == b"text\r\n"
    imap.logout()


def imaplib_ssl():
    read_imap(imaplib.IMAP4_SSL(HOST, PORT, timeout=10, ssl_context=context()))


def imaplib_starttls():
    imap = imaplib.IMAP4(HOST, PORT, timeout=10)
    imap.starttls(ssl_context=context())
    read_imap(imap)


class Resuming(ftplib.FTP_TLS):
    """A client whose connections for data resume the session of the connection for commands."""

    def ntransfercmd(self, cmd, rest=None):
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        connection = self.context.wrap_socket(connection, server_hostname=self.host, session=self.sock.session)
        assert connection.session_reused
        return connection, size


def ftplib_resuming():
    ftplib_tls(Resuming)


def ftplib_tls(kind=ftplib.FTP_TLS):
    with kind(timeout=10, context=context()) as ftp:
        ftp.connect(HOST, PORT)
        ftp.login()
        ftp.prot_p()
        assert sorted(ftp.nlst()) == ["file", "up"]
        received = io.BytesIO()
        ftp.retrbinary("RETR file", received.write)
        assert received.getvalue() == b"x" * 100_000
        assert ftp.storbinary(f"STOR up/{PORT}-{id(ftp)}", io.BytesIO(b"y" * 100_000)).startswith("226")


globals()[sys.argv[3]]()
print("ok")
