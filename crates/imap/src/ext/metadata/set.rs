//! SETMETADATA (RFC 5464 4.3).

use super::*;
use crate::cmd::create;
use crate::ext::filters;
use bytes::Bytes;
use mail::{Annotation, MAX_ANNOTATION, MailErrorKind};
use types::Role;

/// `setmetadata = "SETMETADATA" SP mailbox SP "(" entry-value *(SP entry-value) ")"`
pub(super) static SPEC: Spec = Spec {
    name: "SETMETADATA",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 5464 4.3", "RFC 6154 4"],
    parse: |c, _| Ok(Box::new(parse(c)?)),
};

struct SetMetadata {
    subject: Subject,
    values: Vec<(Entry, Option<Bytes>)>,
}

fn parse(c: &mut Cursor<'_>) -> Parsed<SetMetadata> {
    c.sp()?;
    let subject = Subject::parse(c)?;
    c.sp()?;
    let mut values: Vec<(Entry, Option<Bytes>)> = Vec::new();
    c.list(false, |c| {
        let entry = Entry::parse(c)?;
        if !entry.is_whole() {
            return Err(BadSyntax("not the name of an annotation"));
        }
        if values.len() >= MAX_ENTRIES || values.iter().any(|(known, _)| *known == entry) {
            return Err(BadSyntax("an entry is named twice, or too many are"));
        }
        c.sp()?;
        values.push((entry, value(c)?));
        Ok(())
    })?;
    Ok(SetMetadata { subject, values })
}

/// `value = nstring / literal8`
fn value(c: &mut Cursor<'_>) -> Parsed<Option<Bytes>> {
    if c.eat(b"~") {
        return c.literal().map(Some);
    }
    Ok(c.nstring()?.map(|text| Bytes::from(text.into_owned())))
}

impl Run for SetMetadata {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let Self { subject, values } = *self;
        let object = subject.find(cx).await?;
        let size = |(_, value): &(Entry, Option<Bytes>)| value.as_ref().map_or(0, Bytes::len);
        if values.iter().map(size).any(|size| size > MAX_ANNOTATION) {
            let code = Code::Metadata("MAXSIZE", MAX_ANNOTATION as u64);
            return Err(Refusal::no(code, "a value is too long"));
        }
        let by = listen::id_of(cx);
        let done = match object {
            Object::Server => set_server(cx, values, by).await,
            Object::Mailbox { account, id, .. } => {
                let (role, values) = special_use(values)?;
                let viewer = cx.state.account()?.id();
                let changes = annotations(values, viewer);
                account.annotate(Some(id), &changes, role, by).await
            }
            .map_err(Refusal::from),
        };
        done.map_err(refusal)?;
        Done::ok("annotations set")
    }
}

/// RFC 5464 4.3: all are set or none, so that one command is about what all share or what is
/// private.
async fn set_server(
    cx: &Session,
    values: Vec<(Entry, Option<Bytes>)>,
    by: u64,
) -> Result<(), Refusal> {
    let own = cx.state.account()?;
    if values
        .iter()
        .any(|(entry, _)| entry.is(Scope::Shared, ADMIN))
    {
        // RFC 5464 6.2.2: this entry is always read-only.
        return Err(Refusal::no(Code::CANNOT, "the settings say this"));
    }
    for (entry, value) in &values {
        if let Some(value) = value {
            filters::check(entry, value)?;
        }
    }
    let shared = values.iter().filter(|(e, _)| e.scope == Scope::Shared);
    let shared = shared.count();
    // RFC 5464 3.3: servers may restrict who annotates them.
    if shared > 0 && !cx.is_administrator().await? {
        return Err(Refusal::no(
            Code::NOPERM,
            "only administrators annotate the server for all",
        ));
    }
    if shared > 0 && shared < values.len() {
        return Err(Refusal::no(
            Code::CANNOT,
            "set shared and private annotations of the server one after the other",
        ));
    }
    let changes = annotations(values, own.id());
    match shared > 0 {
        true => own.mail().annotate_server(&changes, by).await?,
        false => own.annotate(None, &changes, None, by).await?,
    }
    Ok(())
}

fn annotations(values: Vec<(Entry, Option<Bytes>)>, viewer: types::AccountId) -> Vec<Annotation> {
    let annotation = |(entry, value): (Entry, Option<Bytes>)| Annotation {
        owner: entry.scope.owner(viewer),
        name: entry.name,
        value,
    };
    values.into_iter().map(annotation).collect()
}

/// Values to be set.
type NewValues = Vec<(Entry, Option<Bytes>)>;

/// Takes the special use out of the values.
///
/// # Errors
/// RFC 6154 4: what CREATE would refuse is refused here.
fn special_use(mut values: NewValues) -> Result<(Option<Option<Role>>, NewValues), Refusal> {
    let at = values
        .iter()
        .position(|(entry, _)| entry.is(Scope::Private, SPECIAL_USE));
    let Some(at) = at else {
        return Ok((None, values));
    };
    let (_, value) = values.swap_remove(at);
    let value = value.unwrap_or_default();
    let text = String::from_utf8_lossy(&value);
    let mut uses = Vec::new();
    for word in text.split_ascii_whitespace() {
        let Some(name) = word.strip_prefix('\\') else {
            return Err(Refusal::no(
                create::USEATTR,
                "a use begins with a backslash",
            ));
        };
        uses.push(name.to_owned());
    }
    Ok((Some(create::role(&uses)?), values))
}

fn refusal(refusal: Refusal) -> Refusal {
    let Refusal::Mail(error) = &refusal else {
        return refusal;
    };
    match error.kind {
        MailErrorKind::Limit => Refusal::no(
            Code::Word("METADATA TOOMANY"),
            "there is no room for more annotations",
        ),
        MailErrorKind::Exists => Refusal::no(create::USEATTR, "another mailbox has that use"),
        _ => refusal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_commands_are_refused() {
        for raw in [
            "",
            " INBOX",
            " INBOX /shared/comment \"x\"",
            " INBOX ()",
            " INBOX (/shared/comment)",
            " INBOX (/shared/comment x)",
            " INBOX (/shared \"x\")",
            " INBOX (/shared/vendor/x \"x\")",
            " INBOX (/shared/a NIL /SHARED/A NIL)",
            " INBOX (/shared/a NIL )",
        ] {
            assert!(parse(&mut Cursor::of(raw.as_bytes())).is_err(), "{raw}");
        }
    }
}
