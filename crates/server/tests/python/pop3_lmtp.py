"""poplib and smtplib.LMTP against the server: reading, TOP, UIDL, DELE, RSET, TLS, delivery."""
import poplib
import smtplib
import ssl
import sys
from pathlib import Path

user, password, folder = sys.argv[1:4]
pop3_port, pop3s_port, lmtp_port = (int(port) for port in sys.argv[6:9])
messages = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE


def stls():
    client = poplib.POP3("127.0.0.1", pop3_port)
    client.stls(context)
    return client


def login(client):
    client.user(user)
    client.pass_(password)
    return client


def retr(client, number):
    return b"".join(line + b"\r\n" for line in client.retr(number)[1])


ways = [
    lambda: poplib.POP3("127.0.0.1", pop3_port),
    stls,
    lambda: poplib.POP3_SSL("127.0.0.1", pop3s_port, context=context),
]
ids = []
for connect in ways:
    client = connect()
    assert "UIDL" in client.capa() and "TOP" in client.capa(), client.capa()
    login(client)
    assert client.stat() == (len(messages), sum(map(len, messages)))
    sizes = [int(row.split()[1]) for row in client.list()[1]]
    assert sizes == [len(message) for message in messages]
    assert [retr(client, number + 1) for number in range(len(messages))] == messages
    ids.append(client.uidl()[1])
    client.quit()
assert ids[0] == ids[1] == ids[2], "UIDL is not stable"

client = login(poplib.POP3("127.0.0.1", pop3_port))
top = b"".join(line + b"\r\n" for line in client.top(1, 0)[1])
assert top == messages[0][: messages[0].index(b"\r\n\r\n") + 4], top
client.dele(1)
client.rset()
assert client.stat()[0] == len(messages)
client.dele(2)
try:
    client.retr(2)
    raise SystemExit("a deleted message was read")
except poplib.error_proto:
    pass
client.quit()

with smtplib.LMTP("127.0.0.1", lmtp_port) as lmtp:
    refused = lmtp.sendmail("s@example.org", [user, "nobody-here"], b"Subject: hi\r\n\r\n.dot\r\n")
    assert list(refused) == ["nobody-here"] and refused["nobody-here"][0] == 550, refused

client = login(poplib.POP3("127.0.0.1", pop3_port))
assert client.stat()[0] == len(messages)
assert retr(client, 1) == messages[0]
assert retr(client, 2) == messages[2]
assert retr(client, len(messages)).endswith(b"Subject: hi\r\n\r\n.dot\r\n")
client.quit()
