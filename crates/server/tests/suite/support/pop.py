"""Python's poplib against a server that holds at least four messages.

Arguments: port, folder for the bytes read. Leaves all messages but the third.
"""

import pathlib
import poplib
import sys

port, out = int(sys.argv[1]), pathlib.Path(sys.argv[2])


def login():
    client = poplib.POP3("127.0.0.1", port)
    client.user("alice")
    client.pass_("pass")
    return client


def uidl(client):
    return [line.split()[1] for line in client.uidl()[1]]


client = poplib.POP3("127.0.0.1", port)
client.user("alice")
try:
    client.pass_("wrong")
    raise SystemExit("a wrong password was taken")
except poplib.error_proto as error:
    assert b"[AUTH]" in error.args[0], error
client.close()

client = login()
assert "UIDL" in client.capa() and "PIPELINING" in client.capa()
count, octets = client.stat()
sizes = [int(line.split()[1]) for line in client.list()[1]]
assert len(sizes) == count and sum(sizes) == octets
ids = uidl(client)
assert len(set(ids)) == count
for number in range(1, count + 1):
    lines = client.retr(number)[1]
    body = b"".join(line + b"\r\n" for line in lines)
    assert len(body) == sizes[number - 1]
    (out / str(number)).write_bytes(body)
    top = client.top(number, 2)[1]
    assert top == lines[: lines.index(b"") + 3], number

client.dele(1)
client.dele(2)
assert client.stat()[0] == count - 2
client.rset()
assert client.stat() == (count, octets)
client.dele(4)
try:
    client.retr(4)
    raise SystemExit("a deleted message was read")
except poplib.error_proto:
    pass
# The connection drops: nothing is deleted.
client.close()

client = login()
assert uidl(client) == ids
client.dele(3)
client.quit()
client = login()
assert uidl(client) == ids[:2] + ids[3:]
client.quit()
