//! Formatting FETCH responses, with everything they need in memory.

use std::hint::black_box;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::Bytes;
use imap::FetchMessage;
use imap::grammar::Cursor;
use imap::registry;
use imap::view::{Selection, begin_fetch};
use mail::{Account, Mail, NewMessage, Options, Provenance};
use net::{Conn, Metrics, Shutdown, Timeouts, Wire};
use storage::{MemoryBlobs, MemoryMeta};
use types::{Flags, MailboxName, Uid, UidSet};

use crate::messages::{COUNT, corpus};
use crate::{Amount, Piece, Ready};

pub(crate) const PIECES: &[Piece] = &[
    Piece {
        name: "format UID FLAGS",
        prepare: || format(&[("UID", ""), ("FLAGS", "")]),
    },
    Piece {
        name: "format ENVELOPE BODYSTRUCTURE",
        prepare: || format(&[("ENVELOPE", ""), ("BODYSTRUCTURE", "")]),
    },
    Piece {
        name: "format nine header fields",
        prepare: || {
            let fields = "[HEADER.FIELDS (DATE FROM TO CC SUBJECT MESSAGE-ID REFERENCES \
                          IN-REPLY-TO CONTENT-TYPE)]";
            format(&[("BODY.PEEK", fields)])
        },
    },
];

/// What FETCH does for each message once its email record is there.
fn format(items: &[(&str, &str)]) -> Ready {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let items: Vec<_> = items
        .iter()
        .map(|(name, rest)| {
            let item = registry::fetch_item(name.as_bytes()).unwrap();
            (item.parse)(&mut Cursor::of(rest.as_bytes())).ok().unwrap()
        })
        .collect();
    let (account, selection, mut wire) = runtime.block_on(async {
        let (account, selection) = inbox().await;
        (account, selection, wire())
    });
    let (mut rows, mut batch) = (
        selection.rows(&UidSet::range(Uid::FIRST, Uid::MAX)),
        Vec::new(),
    );
    rows.next_batch(COUNT, &mut batch);
    let ids: Vec<_> = batch.iter().map(|(_, row)| row.email).collect();
    let emails = runtime.block_on(account.emails(&ids)).unwrap();
    let run = move || {
        for ((seq, row), email) in batch.iter().zip(&emails) {
            let message = FetchMessage {
                row: *row,
                recent: false,
                view: selection.told(),
                email: email.as_ref(),
                content: None,
            };
            begin_fetch(*seq, row.uid, false, wire.buffer());
            for (at, item) in items.iter().enumerate() {
                item.send(black_box(&message), at, &mut wire);
            }
            wire.write(b")\r\n");
        }
        assert!(wire.buffer().len() > 20 * COUNT, "written elsewhere");
        wire.buffer().clear();
        // The engine's tasks live as long as this.
        black_box(&runtime);
    };
    Ready {
        amount: Amount::Items(COUNT, "message"),
        run: Box::new(run),
    }
}

/// The corpus in an INBOX in memory.
async fn inbox() -> (Account, Selection) {
    let (meta, blobs) = (Arc::new(MemoryMeta::new()), Arc::new(MemoryBlobs::new()));
    let mail = Mail::open(meta, blobs, Options::default()).await.unwrap();
    let info = mail.ensure_account("bench").await.unwrap();
    let account = mail.account(info.id).await.unwrap();
    let inbox = account.tree().find(&MailboxName::inbox()).unwrap().id;
    for message in corpus() {
        let content = mail.ingest(message.into(), &Provenance::default()).await;
        let message = NewMessage {
            content: content.unwrap(),
            prefix: Bytes::new(),
            flags: Flags::SEEN,
            keywords: Vec::new(),
            internal_date: None,
        };
        account.append(inbox, vec![message]).await.unwrap();
    }
    let selected = account.select(inbox).await.unwrap();
    let selection = Selection::new(account.clone(), selected, false);
    (account, selection)
}

/// A wire that nothing is sent through.
fn wire() -> Wire {
    let (near, _) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let near = tokio::net::UnixStream::from_std(near).unwrap();
    Wire::new(
        Conn::unix(near),
        Metrics::new("bench").front("bench", []),
        Shutdown::new().token(),
        Timeouts::default(),
    )
}
