//! CONDSTORE (RFC 7162 3.1): MODSEQ in FETCH, CHANGEDSINCE, UNCHANGEDSINCE, HIGHESTMODSEQ. The
//! parts live with the commands they modify; this is the row, and what enabling does.

use super::*;
use crate::session::Enabled;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 7162",
    file: file!(),
    capabilities: &[Capability::always("CONDSTORE")],
    status_items: &[StatusItem {
        enables_condstore: true,
        ..StatusItem::new("HIGHESTMODSEQ", |status, out| {
            out.num(status.summary.modseq.get());
        })
    }],
    on_enable: Some(|enabled| enabled.condstore = true),
    ..Extension::EMPTY
};

impl Session {
    /// RFC 7162 3.1: the client has used a CONDSTORE enabling command.
    pub fn enable_condstore(&mut self) {
        let before = self.enabled;
        self.enabled.condstore = true;
        self.announce_modseq(before);
    }

    /// RFC 7162 3.1: a client that becomes aware of CONDSTORE while a mailbox is selected is told
    /// its HIGHESTMODSEQ.
    pub fn announce_modseq(&mut self, before: Enabled) {
        if before.condstore || !self.enabled.condstore {
            return;
        }
        if let State::Selected(_, selection) = &self.state {
            selection.tell_modseq(self.enabled, self.wire.buffer());
        }
    }
}
