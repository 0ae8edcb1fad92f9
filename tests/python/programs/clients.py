"""The clients of the standard library, against servers outside of the sandbox. The arguments are NAME=PORT."""

import ftplib
import http.client
import imaplib
import io
import poplib
import smtplib
import sys
import urllib.error
import urllib.request
import xmlrpc.client
from email.message import EmailMessage

ports = {name: int(port) for name, _, port in (word.partition("=") for word in sys.argv[1:])}
HOST = "127.0.0.1"

# http.client, with a connection that is kept, and a body in chunks
connection = http.client.HTTPConnection(HOST, ports["http"], timeout=5)
for body in (b"first", b"second" * 20_000):
    connection.request("POST", "/echo", body)
    answer = connection.getresponse()
    assert answer.status == 200 and answer.read() == body
connection.request("POST", "/echo", iter([b"one ", b"two"]), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
assert connection.getresponse().read() == b"one two"
connection.close()

# urllib.request, with an error status
with urllib.request.urlopen(f"http://{HOST}:{ports['http']}/hello", timeout=5) as answer:
    assert answer.read() == b"hello" and answer.headers["X-Test"] == "yes"
try:
    urllib.request.urlopen(f"http://{HOST}:{ports['http']}/absent", timeout=5)
except urllib.error.HTTPError as error:
    assert error.code == 404
else:
    raise AssertionError("an absent file is an error")

# xmlrpc.client
with xmlrpc.client.ServerProxy(f"http://{HOST}:{ports['xmlrpc']}", allow_none=True) as proxy:
    assert proxy.add(40, 2) == 42 and proxy.echo(["три", None, {"a": 1.5}]) == ["три", None, {"a": 1.5}]
    try:
        proxy.absent()
    except xmlrpc.client.Fault as fault:
        assert "absent" in fault.faultString

# smtplib
message = EmailMessage()
message["Subject"], message["From"], message["To"] = "a test", "a@sandbox.example", "b@sandbox.example"
message.set_content("a line\n.a line that begins with a dot\n")
with smtplib.SMTP(HOST, ports["smtp"], local_hostname="sandbox", timeout=5) as smtp:
    assert smtp.send_message(message) == {}

# poplib
pop = poplib.POP3(HOST, ports["pop"], timeout=5)
pop.user("a")
pop.pass_("b")
assert pop.stat() == (1, 12) and pop.retr(1)[1] == [b"Subject: a", b"", b".text"]
pop.quit()

# imaplib
imap = imaplib.IMAP4(HOST, ports["imap"], timeout=5)
assert imap.login("a", "b")[0] == "OK" and imap.select()[1] == [b"1"]
assert imap.fetch("1", "(BODY[])")[1][0][1] == b"Subject: a\r\n\r\ntext"
imap.logout()

# ftplib, with passive data connections
with ftplib.FTP(timeout=5) as ftp:
    ftp.connect(HOST, ports["ftp"])
    ftp.login()
    lines = []
    ftp.retrlines("LIST", lines.append)
    assert lines == ["file"], lines
    received = io.BytesIO()
    ftp.retrbinary("RETR file", received.write)
    assert received.getvalue() == b"x" * 100_000
    assert ftp.storbinary("STOR other", io.BytesIO(b"y" * 100_000)).startswith("226 100000")
print("ok")
