//! APPEND.

use super::*;
use crate::grammar::FlagList;
use crate::grammar::mailbox::RawName;
use crate::session::Place;
use bytes::Bytes;
use mail::{NewMessage, Provenance};

/// `append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP literal`.
pub(crate) static SPEC: Spec = Spec {
    name: "APPEND",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::TAKES_MESSAGE,
    rfc: &["RFC 3501 6.3.11", "RFC 9051 6.3.12", "RFC 4315 3"],
    parse,
};

struct Append {
    to: RawName,
    flags: FlagList,
    internal_date: Option<i64>,
    message: Bytes,
}

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Run>> {
    c.sp()?;
    let to = c.mailbox()?;
    c.sp()?;
    let mut flags = FlagList::default();
    if c.peek() == Some(b'(') {
        flags = c.flag_list()?;
        c.sp()?;
    }
    let mut internal_date = None;
    if c.peek() == Some(b'"') {
        internal_date = Some(c.date_time()?);
        c.sp()?;
    }
    Ok(Box::new(Append {
        to,
        flags,
        internal_date,
        message: c.literal()?,
    }))
}

#[async_trait]
impl Run for Append {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let Place {
            account,
            id,
            name,
            shown,
        } = cx.destination(&self.to).await?;
        cx.tell_normalised(&self.to, &account.tree(), &name, &shown);
        if self.message.is_empty() {
            return Err(Refusal::no(Code::CANNOT, "a message cannot be empty"));
        }
        account.check_quota(self.message.len() as u64)?;
        let origin = Provenance {
            owners: vec![(account.id(), name.as_str().to_owned())],
            internal_date: self.internal_date.unwrap_or_else(now),
        };
        let content = cx.deps.mail.ingest(self.message, &origin).await?;
        let message = NewMessage {
            content,
            prefix: Bytes::new(),
            flags: self.flags.flags,
            keywords: self.flags.keywords,
            internal_date: Some(origin.internal_date),
        };
        let appended = account
            .append(id, vec![message])
            .await
            .map_err(|error| Refusal::from(error).not_found_as(Code::TRYCREATE))?;
        cx.deps.counters.appended.inc_by(appended.uids.len());
        Done::with(
            Code::AppendUid(appended.uid_validity, appended.uids),
            "appended",
        )
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}
