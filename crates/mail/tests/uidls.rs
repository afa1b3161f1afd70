//! Unique ids taken over from another server.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use bytes::BytesMut;
use mail::{MailErrorKind, Selected, UniqueId};
use types::{Uid, UidSet};

fn uid(n: u32) -> Uid {
    Uid::new(n).unwrap()
}

fn id(text: &str) -> UniqueId {
    UniqueId::new(text.as_bytes()).unwrap()
}

async fn texts(mailbox: &Selected) -> Vec<String> {
    let ids = mailbox.unique_ids().await.unwrap();
    let view = mailbox.view();
    let text = |row: mail::Row| {
        let mut out = BytesMut::new();
        ids.write(&row, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    };
    view.rows().map(text).collect()
}
