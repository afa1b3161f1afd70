"""imaplib against the server: reading, flags, folders, IDLE-free polling, TLS."""
import imaplib
import ssl
import sys
from pathlib import Path

user, password, folder = sys.argv[1:4]
imap_port, imaps_port = (int(port) for port in sys.argv[4:6])
messages = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE


def ok(result):
    status, data = result
    assert status == "OK", result
    return data


def bodies(client):
    data = ok(client.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])"))
    return [part[1] for part in data if isinstance(part, tuple)]


def starttls():
    client = imaplib.IMAP4("127.0.0.1", imap_port)
    ok(client.starttls(context))
    return client


ways = [
    lambda: imaplib.IMAP4("127.0.0.1", imap_port),
    starttls,
    lambda: imaplib.IMAP4_SSL("127.0.0.1", imaps_port, ssl_context=context),
]
for connect in ways:
    client = connect()
    try:
        client.login(user, "wrong")
        raise SystemExit("a wrong password was accepted")
    except imaplib.IMAP4.error:
        pass
    ok(client.login(user, password))
    assert int(ok(client.select("INBOX", readonly=True))[0]) == len(messages)
    assert bodies(client) == messages
    assert client.logout()[0] == "BYE"

# PLAIN by AUTHENTICATE.
client = imaplib.IMAP4("127.0.0.1", imap_port)
ok(client.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode()))

# Folders.
ok(client.create("Work"))
ok(client.create('"With space"'))
ok(client.rename("Work", "Work2"))
names = b" ".join(ok(client.list()))
assert b"Work2" in names and b"With space" in names, names
ok(client.subscribe("Work2"))
assert b"Work2" in b" ".join(ok(client.lsub())), "LSUB"

# APPEND gives back its bytes.
ok(client.append("Work2", r"(\Flagged)", imaplib.Time2Internaldate(1_700_000_000), messages[0]))
ok(client.select("Work2"))
assert bodies(client) == messages[:1]
assert b"Flagged" in ok(client.fetch("1", "(FLAGS)"))[0]

# Flags, COPY, EXPUNGE and what a second session is told.
second = imaplib.IMAP4("127.0.0.1", imap_port)
ok(second.login(user, password))
ok(second.select("INBOX"))
ok(client.select("INBOX"))
ok(client.store("2", "+FLAGS", r"(\Seen \Deleted)"))
ok(client.copy("1:3", "Work2"))
assert ok(client.expunge()) == [b"2"]
ok(second.noop())
assert second.response("EXPUNGE")[1] == [b"2"], "the second session was not told"
assert int(ok(client.select("Work2"))[0]) == 4
assert ok(client.search(None, "UNFLAGGED")) == [b"2 3 4"]
try:
    ok(client.select("Nowhere"))
    raise SystemExit("a missing mailbox was selected")
except AssertionError:
    pass
ok(client.delete("Work2"))
assert client.logout()[0] == "BYE"
assert second.logout()[0] == "BYE"
