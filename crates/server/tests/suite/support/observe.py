"""What Python's imaplib sees in mailboxes: a line each, name, messages, seen ones, `gone` without it.

Arguments: port, then the mailboxes.
"""

import imaplib
import sys

client = imaplib.IMAP4("127.0.0.1", int(sys.argv[1]))
client.login("alice", "pass")
for mailbox in sys.argv[2:]:
    if client.select(f'"{mailbox}"', readonly=True)[0] != "OK":
        print(mailbox, "gone")
        continue
    kind, (found,) = client.search(None, "ALL")
    kind, (seen,) = client.search(None, "SEEN")
    print(mailbox, len(found.split()), len(seen.split()))
client.logout()
