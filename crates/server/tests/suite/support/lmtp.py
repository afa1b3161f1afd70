"""Python's smtplib against a server, over TCP, TLS and its socket.

Arguments: LMTP port, path of the socket, certificate, messages to send once each way.
"""

import pathlib
import smtplib
import ssl
import sys

port, path, certificate = int(sys.argv[1]), sys.argv[2], sys.argv[3]
messages = [pathlib.Path(name).read_bytes() for name in sys.argv[4:]]
context = ssl.create_default_context(cafile=certificate)

for host, port, tls in (("127.0.0.1", port, False), ("127.0.0.1", port, True), (path, 0, False)):
    with smtplib.LMTP(host, port) as client:
        client.ehlo()
        if tls:
            client.starttls(context=context)
            client.ehlo()
        for name in ("8bitmime", "pipelining", "enhancedstatuscodes", "smtputf8", "size"):
            assert client.has_extn(name), name
        try:
            client.sendmail("sender@example.org", ["nobody"], b"Subject: x\r\n\r\n")
            raise SystemExit("an unknown recipient was taken")
        except smtplib.SMTPRecipientsRefused as refused:
            code, text = refused.recipients["nobody"]
            assert code == 550 and text.startswith(b"5.1.1"), refused
        for message in messages:
            # smtplib reads one reply after the data, so one recipient must be all that is taken.
            refused = client.sendmail("sender@example.org", ["alice", "nobody"], message)
            assert list(refused) == ["nobody"], refused
