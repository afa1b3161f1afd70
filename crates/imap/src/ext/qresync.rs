//! QRESYNC (RFC 7162 3.2). The parts live where they act: SELECT's parameter in `cmd/select.rs`,
//! VANISHED in `view.rs`.

use super::*;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 7162",
    file: file!(),
    capabilities: &[Capability::always("QRESYNC")],
    // RFC 7162 3.2.3: enabling QRESYNC enables CONDSTORE.
    on_enable: Some(|enabled| {
        enabled.condstore = true;
        enabled.qresync = true;
    }),
    ..Extension::EMPTY
};
