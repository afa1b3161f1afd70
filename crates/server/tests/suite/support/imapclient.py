"""IMAPClient against a server, as a script that files mail uses it.

Arguments: port, file to append. IMAPClient lies where PYTHONPATH says.
"""

import datetime
import pathlib
import sys

from imapclient import IMAPClient

port, extra = int(sys.argv[1]), pathlib.Path(sys.argv[2])


def connect():
    client = IMAPClient("127.0.0.1", port, ssl=False, use_uid=True)
    client.login("alice", "pass")
    return client


client = connect()
for name in ("IDLE", "MOVE", "QUOTA", "SORT", "THREAD=REFERENCES", "CONDSTORE", "ID"):
    assert client.has_capability(name), name
assert client.id_({"name": "IMAPClient"})
assert client.namespace().personal == (("", "/"),)
assert {"INBOX", "Trash"} <= {name for _, _, name in client.list_folders()}
assert client.find_special_folder(b"\\Trash") == "Trash"

# Names that are no ASCII.
client.create_folder("Entw\u00fcrfe & mehr")
client.subscribe_folder("Entw\u00fcrfe & mehr")
assert "Entw\u00fcrfe & mehr" in {name for _, _, name in client.list_sub_folders()}

chosen = client.select_folder("INBOX")
count = chosen[b"EXISTS"]
uids = client.search("ALL")
assert len(uids) == count > 10
found = client.fetch(uids, ["ENVELOPE", "BODYSTRUCTURE", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "BODY.PEEK[]"])
for uid in uids:
    message = found[uid]
    assert len(message[b"BODY[]"]) == message[b"RFC822.SIZE"], uid
    assert message[b"ENVELOPE"].from_ and message[b"BODYSTRUCTURE"], uid
assert sorted(client.sort("REVERSE DATE")) == uids
assert sorted(client.sort(["SUBJECT"], ["NOT", "DELETED"])) == uids


def flat(thread):
    for part in thread:
        if isinstance(part, int):
            yield part
        else:
            yield from flat(part)


assert sorted(flat(client.thread("REFERENCES"))) == uids
assert client.search(["SUBJECT", "nobody \u00fc writes this"], charset="UTF-8") == []
assert client.search(["SINCE", datetime.date(1990, 1, 1), "LARGER", 1]) == uids

client.add_flags(uids[:4], [b"\\Flagged", b"Important"])
client.remove_flags(uids[:1], [b"\\Flagged"])
assert client.search(["FLAGGED"]) == uids[1:4]
assert b"Important" in client.get_flags(uids[:1])[uids[0]]
client.copy(uids[:2], "Entw\u00fcrfe & mehr")
client.move(uids[2:4], "Entw\u00fcrfe & mehr")
client.append("Entw\u00fcrfe & mehr", extra.read_bytes(), [b"\\Seen"], datetime.datetime(2024, 1, 1))
status = client.folder_status("Entw\u00fcrfe & mehr", ["MESSAGES", "UNSEEN"])
assert status == {b"MESSAGES": 5, b"UNSEEN": 4}, status
assert client.get_quota_root("INBOX")

# Another session's changes, in IDLE.
other = connect()
other.select_folder("INBOX")
client.idle()
other.append("INBOX", extra.read_bytes())
other.delete_messages(uids[4:5])
other.expunge(uids[4:5])
told = []
while not (any(b"EXISTS" in line for line in told) and any(b"EXPUNGE" in line for line in told)):
    more = client.idle_check(timeout=30)
    assert more, told
    told += more
client.idle_done()
assert len(client.search("ALL")) == count - 2
other.logout()

client.unselect_folder()
client.rename_folder("Entw\u00fcrfe & mehr", "Abgelegt")
client.delete_folder("Abgelegt")
client.logout()
