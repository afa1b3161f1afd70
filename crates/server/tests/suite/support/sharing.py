"""Two users of IMAPClient and one shared folder. Arguments: port, a file with a message."""

import sys

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

PORT, MESSAGE = int(sys.argv[1]), open(sys.argv[2], "rb").read()
TEAM = "Other Users/alice/Team"


def login(user):
    client = IMAPClient("127.0.0.1", PORT, ssl=False)
    client.login(user, "pass")
    return client


def refused(code, action, *arguments):
    try:
        action(*arguments)
    except IMAPClientError as error:
        assert code in str(error), error
    else:
        raise AssertionError("not refused: " + code)


def names(client):
    return [name for _, _, name in client.list_folders()]


alice, bob = login("alice"), login("bob")
assert {b"ACL", b"RIGHTS=TEXK", b"LIST-MYRIGHTS"} <= set(bob.capabilities())
assert bob.namespace().other == (("Other Users/", "/"),), bob.namespace()

# Nothing is shared before it is.
alice.create_folder("Team")
alice.append("Team", MESSAGE)
refused("NONEXISTENT", bob.select_folder, TEAM)
assert not any(name.startswith("Other Users") for name in names(bob))
alice.setacl("Team", "bob", "lr")
assert (b"bob", b"lr") in alice.getacl("Team"), alice.getacl("Team")
assert TEAM in names(bob)

# To read is not to write.
info = bob.select_folder(TEAM, readonly=True)
assert info[b"EXISTS"] == 1 and info[b"READ-ONLY"], info
assert bob.fetch([1], ["BODY[]"])[1][b"BODY[]"] == MESSAGE
refused("CANNOT", bob.add_flags, [1], [b"\\Seen"])
refused("NOPERM", bob.append, TEAM, MESSAGE)
assert alice.folder_status("Team", ["UNSEEN"])[b"UNSEEN"] == 1

# With more rights it is, and both see it at once.
alice.setacl("Team", "bob", "lrswite")
bob.select_folder(TEAM)
bob.add_flags([1], [b"\\Seen", b"$Work"])
alice.select_folder("Team")
assert set(alice.get_flags([1])[1]) >= {b"\\Seen", b"$Work"}
bob.idle()
alice.append("Team", MESSAGE, [b"\\Flagged"])
assert (2, b"EXISTS") in bob.idle_check(timeout=20)
bob.idle_done()

# Between two accounts, there and back.
bob.copy([2], "INBOX")
bob.append(TEAM, MESSAGE)
bob.move([1], "INBOX")
bob.select_folder("INBOX")
kept = bob.search()
assert len(kept) == 2
assert all(data[b"BODY[]"] == MESSAGE for data in bob.fetch(kept, ["BODY.PEEK[]"]).values())
bob.move(kept[:1], TEAM)
bob.select_folder(TEAM)
uids = bob.search()
assert uids == [2, 3, 4], uids
bob.delete_messages([3])
bob.expunge()
alice.noop()
assert alice.search() == [2, 4]

# Taken back.
alice.setacl("Team", "bob", "-lrswited")
assert TEAM not in names(login("bob"))
refused("", bob.noop)
alice.setacl("Team", "bob", "lr")
