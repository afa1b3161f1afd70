"""Python's imaplib against a server: every message read, filed, flagged, copied, removed.

Arguments: port, folder for the bytes read, file to append.
"""

import imaplib
import pathlib
import sys

port, out, extra = int(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])


def ok(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


def bodies(client, mailbox):
    ok(client.select(mailbox, readonly=True))
    found = ok(client.uid("FETCH", "1:*", "(BODY.PEEK[])"))
    return [part[1] for part in found if isinstance(part, tuple)]


client = imaplib.IMAP4("127.0.0.1", port)
try:
    client.login("alice", "wrong")
    raise SystemExit("a wrong password was taken")
except imaplib.IMAP4.error:
    pass
client.shutdown()

client = imaplib.IMAP4("127.0.0.1", port)
ok(client.login("alice", "pass"))
for name in ("UIDPLUS", "IDLE", "CONDSTORE"):
    assert name in ok(client.capability())[0].decode().split(), name

read = bodies(client, "INBOX")
for number, body in enumerate(read):
    (out / str(number)).write_bytes(body)

ok(client.create("Projects/2024"))
assert any(b"Projects/2024" in line for line in ok(client.list()))
ok(client.append("Projects/2024", r"(\Seen)", imaplib.Time2Internaldate(1e9), extra.read_bytes()))
assert bodies(client, "Projects/2024") == [extra.read_bytes()]

count = len(read)
assert ok(client.select("INBOX")) == [str(count).encode()]
numbers = " ".join(str(number + 1) for number in range(count)).encode()
assert ok(client.search(None, "SUBJECT", '""')) == [numbers]
assert ok(client.uid("SEARCH", "HEADER", "Message-ID", '"no such message"')) == [b""]
ok(client.uid("COPY", "1:*", "Projects/2024"))
ok(client.store("1:2", "+FLAGS", r"(\Deleted)"))
assert len(ok(client.expunge())) == 2
assert len(ok(client.fetch("1:*", "(FLAGS)"))) == count - 2
ok(client.close())
ok(client.rename("Projects/2024", "Projects/Old"))
assert bodies(client, "Projects/Old") == [extra.read_bytes(), *read]
client.logout()
