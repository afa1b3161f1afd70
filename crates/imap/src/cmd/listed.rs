//! The LIST response (RFC 9051 7.3.1), whatever it answers.

use crate::grammar::mailbox::RawName;
use crate::grammar::{Emit, Names};
use crate::session::Session;
use bytes::BytesMut;
use mail::Tree;
use types::MailboxName;

/// What one LIST response tells.
pub(crate) struct Listed<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) name: &'a MailboxName,
    /// What the client calls it, which is not always what its account does.
    pub(crate) shown: &'a MailboxName,
    /// What there is none of is `\NonExistent`, as opposed to `\Noselect`, which is all that RFC
    /// 3501 knows.
    pub(crate) extended: bool,
    /// Whether it is subscribed to is told.
    pub(crate) subscribed: bool,
    /// The selection options by which names below it were chosen (RFC 5258 3.5).
    pub(crate) child_info: &'static str,
    /// What it was called before, or by the client (RFC 9051 6.3.9.7).
    pub(crate) old_name: Option<&'a str>,
}

impl<'a> Listed<'a> {
    /// Tells everything but other names.
    pub(crate) fn new(tree: &'a Tree, name: &'a MailboxName) -> Self {
        Self {
            tree,
            name,
            shown: name,
            extended: true,
            subscribed: true,
            child_info: "",
            old_name: None,
        }
    }

    /// Writes it.
    pub(crate) fn write(&self, names: Names, out: &mut BytesMut) {
        let Self { tree, name, .. } = *self;
        let folder = tree.find(name);
        out.raw(b"* LIST (");
        if folder.is_none() {
            // RFC 5258 3.1: \NonExistent implies \Noselect.
            out.raw(match self.extended {
                true => b"\\NonExistent ".as_slice(),
                false => b"\\Noselect ",
            });
        }
        // RFC 9051 7.3.1: none can be created either.
        if !name.may_have_children() {
            out.raw(b"\\Noinferiors ");
        }
        out.raw(match tree.has_children(name) {
            true => b"\\HasChildren".as_slice(),
            false => b"\\HasNoChildren",
        });
        if self.subscribed && tree.subscriptions.contains(name) {
            out.raw(b" \\Subscribed");
        }
        if let Some(role) = folder.and_then(|folder| folder.role) {
            out.raw(b" \\").text(role.name());
        }
        out.raw(b") \"/\" ").mailbox(self.shown, names);
        match (self.child_info, self.old_name) {
            ("", None) => {}
            ("", Some(old)) => {
                out.raw(b" (\"OLDNAME\" (").mailbox_text(old, names);
                out.raw(b"))");
            }
            (options, _) => {
                out.raw(b" (\"CHILDINFO\" (").text(options).raw(b"))");
            }
        }
        out.crlf();
    }
}

impl Session {
    /// RFC 9051 6.3.9.7: what a name became, when the client wrote it in another way than the
    /// server does: INBOX in small letters, or text that is not normalised.
    pub(crate) fn tell_normalised(
        &mut self,
        raw: &RawName,
        tree: &Tree,
        name: &MailboxName,
        shown: &MailboxName,
    ) {
        // Before RFC 9051 nobody expects this.
        if self.enabled.rev2
            && let Some(old) = &raw.old_name
        {
            let listed = Listed {
                shown,
                old_name: Some(old),
                ..Listed::new(tree, name)
            };
            listed.write(self.enabled.names(), self.wire.buffer());
        }
    }
}
