//! APPENDLIMIT (RFC 7889): the largest message taken, the same for all mailboxes.

use super::*;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 7889",
    file: file!(),
    capabilities: &[Capability {
        name: "APPENDLIMIT=",
        when: When::WithAppendLimit,
    }],
    status_items: &[StatusItem::new("APPENDLIMIT", |status, out| {
        out.num(status.account.mail().options().max_message_bytes);
    })],
    ..Extension::EMPTY
};
