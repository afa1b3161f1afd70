//! STATUS=SIZE (RFC 8438).

use super::*;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 8438",
    file: file!(),
    capabilities: &[Capability::always("STATUS=SIZE")],
    status_items: &[StatusItem {
        name: "SIZE",
        write: |summary, out| {
            out.num(summary.bytes);
        },
        enables_condstore: false,
    }],
    ..Extension::EMPTY
};
