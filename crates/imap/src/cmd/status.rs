//! STATUS.

use super::*;
use crate::grammar::mailbox::RawName;
use crate::registry;
use crate::session::Place;
use crate::spec::{Status, StatusItem};
use mail::Account;
use types::{MailboxId, MailboxName, Rights};

/// `status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"`.
pub(crate) static SPEC: Spec = Spec {
    name: "STATUS",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 3501 6.3.10", "RFC 9051 6.3.11"],
    parse,
};

/// What RFC 3501 lets STATUS tell, and DELETED of RFC 9051.
pub(crate) static ITEMS: &[StatusItem] = &[
    StatusItem::new("MESSAGES", |status, out| {
        out.num(status.summary.messages);
    }),
    StatusItem::new("RECENT", |status, out| {
        out.num(status.summary.recent);
    }),
    StatusItem::new("UIDNEXT", |status, out| {
        out.num(status.summary.uid_next);
    }),
    StatusItem::new("UIDVALIDITY", |status, out| {
        out.num(status.summary.uid_validity.get());
    }),
    StatusItem::new("UNSEEN", |status, out| {
        out.num(status.summary.unseen);
    }),
    StatusItem::new("DELETED", |status, out| {
        out.num(status.summary.deleted);
    }),
];

struct StatusCommand {
    mailbox: RawName,
    items: Vec<&'static StatusItem>,
}

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    let mailbox = c.mailbox()?;
    c.sp()?;
    Ok(Box::new(StatusCommand {
        mailbox,
        items: items(c)?,
    }))
}

/// `"(" status-att *(SP status-att) ")"`; each is told once.
pub(crate) fn items(c: &mut Cursor<'_>) -> Parsed<Vec<&'static StatusItem>> {
    let mut items: Vec<&'static StatusItem> = Vec::new();
    c.list(false, |c| {
        let item = registry::status_item(c.atom()?).ok_or(BadSyntax("unknown status item"))?;
        if !items.iter().any(|known| std::ptr::eq(*known, item)) {
            items.push(item);
        }
        Ok(())
    })?;
    Ok(items)
}

/// One STATUS response about a mailbox of `account`, under the name the client knows it by.
///
/// # Errors
/// `NotFound` when the mailbox is gone; the store, if it must be opened.
pub(crate) async fn tell(
    cx: &mut Session,
    name: &MailboxName,
    account: &Account,
    id: MailboxId,
    items: &[&'static StatusItem],
) -> Result<(), Refusal> {
    let mut status = Status {
        account,
        id,
        summary: account.summary(id)?,
        deleted_bytes: 0,
    };
    if items.iter().any(|item| item.sums_deleted) {
        status.deleted_bytes = account.deleted_bytes(id).await?;
    }
    let names = cx.enabled.names();
    let out = cx.wire.buffer();
    out.raw(b"* STATUS ").mailbox(name, names).raw(b" (");
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.raw(b" ");
        }
        out.text(item.name).raw(b" ");
        (item.write)(&status, out);
    }
    out.raw(b")\r\n");
    Ok(())
}

impl Run for StatusCommand {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let Place {
            account, id, shown, ..
        } = cx.place(&self.mailbox, Rights::READ).await?;
        if self.items.iter().any(|item| item.enables_condstore) {
            cx.enable_condstore();
        }
        tell(cx, &shown, &account, id, &self.items).await?;
        Done::ok("that is all")
    }
}
