//! STATUS.

use super::*;
use crate::grammar::mailbox::RawName;
use crate::registry;
use crate::spec::StatusItem;
use bytes::BytesMut;
use mail::Summary;
use types::MailboxName;

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
    item("MESSAGES", |summary, out| {
        out.num(summary.messages);
    }),
    item("RECENT", |summary, out| {
        out.num(summary.recent);
    }),
    item("UIDNEXT", |summary, out| {
        out.num(summary.uid_next);
    }),
    item("UIDVALIDITY", |summary, out| {
        out.num(summary.uid_validity.get());
    }),
    item("UNSEEN", |summary, out| {
        out.num(summary.unseen);
    }),
    item("DELETED", |summary, out| {
        out.num(summary.deleted);
    }),
];

const fn item(name: &'static str, write: fn(&Summary, &mut BytesMut)) -> StatusItem {
    StatusItem {
        name,
        write,
        enables_condstore: false,
    }
}

struct Status {
    mailbox: RawName,
    items: Vec<&'static StatusItem>,
}

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Run>> {
    c.sp()?;
    let mailbox = c.mailbox()?;
    c.sp()?;
    Ok(Box::new(Status {
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

/// One STATUS response.
pub(crate) fn write(
    name: &MailboxName,
    summary: &Summary,
    items: &[&StatusItem],
    out: &mut BytesMut,
) {
    out.raw(b"* STATUS ").mailbox(name).raw(b" (");
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.raw(b" ");
        }
        out.text(item.name).raw(b" ");
        (item.write)(summary, out);
    }
    out.raw(b")\r\n");
}

#[async_trait]
impl Run for Status {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let name = self.mailbox.name?;
        let account = cx.state.account()?;
        let Some(id) = account.tree().find(&name).map(|folder| folder.id) else {
            return Err(Refusal::no(Code::NONEXISTENT, "no such mailbox"));
        };
        let summary = account.summary(id)?;
        if self.items.iter().any(|item| item.enables_condstore) {
            cx.enable_condstore();
        }
        write(&name, &summary, &self.items, cx.wire.buffer());
        Done::ok("that is all")
    }
}
