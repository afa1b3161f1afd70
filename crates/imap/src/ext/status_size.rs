//! STATUS=SIZE (RFC 8438).

use super::*;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 8438",
    file: file!(),
    capabilities: &[Capability::always("STATUS=SIZE")],
    status_items: &[StatusItem::new("SIZE", |status, out| {
        out.num(status.summary.bytes);
    })],
    ..Extension::EMPTY
};
