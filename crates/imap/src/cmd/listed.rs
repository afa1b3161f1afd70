//! The LIST response (RFC 9051 7.3.1), whatever it answers.

use crate::grammar::mailbox::RawName;
use crate::grammar::{Emit, Names};
use crate::refusal::Refusal;
use crate::session::{Roster, Session};
use bytes::BytesMut;
use mail::Account;
use types::MailboxName;

/// What one LIST response tells.
pub(crate) struct Listed<'a> {
    pub(crate) roster: &'a Roster,
    /// As the client knows it.
    pub(crate) name: &'a MailboxName,
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
    pub(crate) fn new(roster: &'a Roster, name: &'a MailboxName) -> Self {
        Self {
            roster,
            name,
            extended: true,
            subscribed: true,
            child_info: "",
            old_name: None,
        }
    }

    /// Writes it.
    pub(crate) fn write(&self, names: Names, out: &mut BytesMut) {
        let Self { roster, name, .. } = *self;
        let member = roster.find(name);
        out.raw(b"* LIST (");
        if member.is_none() {
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
        out.raw(match roster.has_children(name) {
            true => b"\\HasChildren".as_slice(),
            false => b"\\HasNoChildren",
        });
        if self.subscribed && roster.subscriptions().contains(name) {
            out.raw(b" \\Subscribed");
        }
        if let Some(role) = member.and_then(|member| member.role) {
            out.raw(b" \\").text(role.name());
        }
        out.raw(b") \"/\" ").mailbox(name, names);
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
    ///
    /// # Errors
    /// The store.
    pub(crate) async fn tell_normalised(
        &mut self,
        raw: &RawName,
        account: &Account,
        shown: &MailboxName,
    ) -> Result<(), Refusal> {
        // Before RFC 9051 nobody expects this.
        if self.enabled.rev2
            && let Some(old) = &raw.old_name
        {
            let roster = self.roster_with(account).await?;
            let listed = Listed {
                old_name: Some(old),
                ..Listed::new(&roster, shown)
            };
            listed.write(self.enabled.names(), self.wire.buffer());
        }
        Ok(())
    }
}
