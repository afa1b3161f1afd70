//! GETMETADATA (RFC 5464 4.2).

use super::*;
use crate::view::MAX_PENDING;
use bytes::{Bytes, BytesMut};
use mail::AnnotationOwner;
use std::collections::BTreeMap;

/// `getmetadata = "GETMETADATA" [SP getmetadata-options] SP mailbox SP entries`
pub(super) static SPEC: Spec = Spec {
    name: "GETMETADATA",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 5464 4.2", "RFC 6154 4"],
    parse: |c, _| Ok(Box::new(parse(c)?)),
};

struct GetMetadata {
    subject: Subject,
    options: Options,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Default)]
struct Options {
    max_size: Option<u32>,
    depth: Depth,
}

/// How far below the named entries to look (RFC 5464 4.2.2).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Depth {
    #[default]
    Zero,
    One,
    Infinity,
}

/// Values by name; `None`: there is none.
type Values = BTreeMap<Entry, Option<Bytes>>;

fn parse(c: &mut Cursor<'_>) -> Parsed<GetMetadata> {
    let mut options = Options::default();
    c.sp()?;
    let mut has_options = c.peek() == Some(b'(');
    if has_options {
        options = Options::parse(c)?;
        c.sp()?;
    }
    let subject = Subject::parse(c)?;
    c.sp()?;
    // RFC 5464 5 has the options before the mailbox, the examples of 4.2.1 and 4.2.2 behind it.
    if !has_options && c.rest().get(1).is_some_and(u8::is_ascii_alphabetic) {
        has_options = c.peek() == Some(b'(');
        if has_options {
            options = Options::parse(c)?;
            c.sp()?;
        }
    }
    let entries = match c.peek() {
        Some(b'(') => c.list(false, Entry::parse)?,
        _ => vec![Entry::parse(c)?],
    };
    if entries.len() > MAX_ENTRIES {
        return Err(BadSyntax("too many entries"));
    }
    // RFC 5464 3.2: a name has two components at least, but one may look below the first.
    if options.depth == Depth::Zero && entries.iter().any(|entry| entry.name.is_empty()) {
        return Err(BadSyntax("not the name of an annotation"));
    }
    Ok(GetMetadata {
        subject,
        options,
        entries,
    })
}

impl Options {
    fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        let mut options = Self::default();
        c.list(false, |c| {
            if c.eat_word(b"MAXSIZE") {
                c.sp()?;
                options.max_size = Some(c.number()?);
            } else if c.eat_word(b"DEPTH") {
                c.sp()?;
                options.depth = match c.atom()?.to_ascii_lowercase().as_slice() {
                    b"0" => Depth::Zero,
                    b"1" => Depth::One,
                    b"infinity" => Depth::Infinity,
                    _ => return Err(BadSyntax("DEPTH is 0, 1 or infinity")),
                };
            } else {
                return Err(BadSyntax("unknown option"));
            }
            Ok(())
        })?;
        Ok(options)
    }
}

impl Run for GetMetadata {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let Self {
            subject,
            options,
            entries,
        } = *self;
        let object = subject.find(cx).await?;
        let mut values = Values::new();
        for entry in entries {
            match options.depth {
                Depth::Zero => {
                    let value = one(cx, &object, &entry).await?;
                    values.insert(entry, value);
                }
                depth => below(cx, &object, entry, depth, &mut values).await?,
            }
        }
        let max = options.max_size.map_or(usize::MAX, |max| max as usize);
        let size = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        let longest = values.values().map(size).max().unwrap_or(0);
        values.retain(|_, value| size(value) <= max);
        send(cx, &object, &values).await?;
        match longest > max {
            true => Done::with(
                Code::Metadata("LONGENTRIES", longest as u64),
                "some values are longer",
            ),
            false => Done::ok("that is all"),
        }
    }
}

/// The value of one entry.
async fn one(cx: &Session, object: &Object, entry: &Entry) -> Result<Option<Bytes>, Refusal> {
    if let Some(computed) = computed(cx, object, entry)? {
        return Ok(computed);
    }
    let own = cx.state.account()?;
    let owner = entry.scope.owner(own.id());
    Ok(match object {
        Object::Mailbox { account, id, .. } => {
            account.annotation(Some(*id), owner, &entry.name).await?
        }
        Object::Server if owner == AnnotationOwner::Shared => {
            own.mail().server_annotation(&entry.name).await?
        }
        Object::Server => own.annotation(None, owner, &entry.name).await?,
    })
}

/// The values of an entry, if it has one, and of those below it.
async fn below(
    cx: &Session,
    object: &Object,
    top: Entry,
    depth: Depth,
    values: &mut Values,
) -> Result<(), Refusal> {
    let own = cx.state.account()?;
    let owner = top.scope.owner(own.id());
    let found = match object {
        Object::Mailbox { account, id, .. } => {
            account.annotations(Some(*id), owner, &top.name).await?
        }
        Object::Server if owner == AnnotationOwner::Shared => {
            own.mail().server_annotations(&top.name).await?
        }
        Object::Server => own.annotations(None, owner, &top.name).await?,
    };
    let mut found: Vec<(Entry, Bytes)> = found
        .into_iter()
        .map(|(name, value)| {
            let scope = top.scope;
            (Entry { scope, name }, value)
        })
        .collect();
    for (scope, name) in [(Scope::Private, SPECIAL_USE), (Scope::Shared, ADMIN)] {
        let name = name.to_owned();
        let entry = Entry { scope, name };
        if let Some(Some(value)) = computed(cx, object, &entry)? {
            found.push((entry, value));
        }
    }
    let is_near = |entry: &Entry| match entry.depth_below(&top) {
        Some(far) => depth == Depth::Infinity || far <= 1,
        None => false,
    };
    let found = found.into_iter().filter(|(entry, _)| is_near(entry));
    values.extend(found.map(|(entry, value)| (entry, Some(value))));
    Ok(())
}

/// The value of an entry that is not stored but follows from something else; `None` for all others.
fn computed(
    cx: &Session,
    object: &Object,
    entry: &Entry,
) -> Result<Option<Option<Bytes>>, Refusal> {
    Ok(match object {
        // RFC 6154 4: the attribute as LIST has it.
        Object::Mailbox { account, id, .. } if entry.is(Scope::Private, SPECIAL_USE) => {
            let tree = account.tree();
            let name = account.name_of(*id);
            let folder = name.and_then(|name| tree.find(&name).cloned());
            let role = folder.and_then(|folder| folder.role);
            Some(role.map(|role| format!("\\{}", role.name()).into()))
        }
        Object::Server if entry.is(Scope::Shared, ADMIN) => {
            let contact = &cx.deps.operators.contact;
            Some(contact.clone().map(Bytes::from))
        }
        _ => None,
    })
}

/// RFC 9590: METADATA for a mailbox that LIST has told.
///
/// # Errors
/// The store, or the connection.
pub(crate) async fn tell_mailbox(
    cx: &mut Session,
    object: &Object,
    entries: &[Entry],
) -> Result<(), Refusal> {
    let mut values = Values::new();
    for entry in entries {
        values.insert(entry.clone(), one(cx, object, entry).await?);
    }
    send(cx, object, &values).await
}

/// RFC 5464 4.4.1: as many responses as are needed to keep each of them small.
async fn send(cx: &mut Session, object: &Object, values: &Values) -> Result<(), Refusal> {
    let mut rest = values.iter().peekable();
    while rest.peek().is_some() {
        let names = cx.enabled.names();
        let out = cx.wire.buffer();
        out.raw(b"* METADATA ");
        object.write_name(names, out);
        out.raw(b" (");
        let (mut octets, mut is_first) = (0, true);
        while let Some((entry, value)) = rest.next_if(|_| octets < MAX_PENDING) {
            if !std::mem::take(&mut is_first) {
                out.raw(b" ");
            }
            write(entry, value.as_deref(), out);
            octets += value.as_ref().map_or(0, Bytes::len);
        }
        out.raw(b")\r\n");
        cx.wire.flush_if_over(MAX_PENDING).await?;
    }
    Ok(())
}

/// `entry-value = entry SP (nstring / literal8)`
fn write(entry: &Entry, value: Option<&[u8]>, out: &mut BytesMut) {
    entry.write(out);
    out.raw(b" ");
    match value {
        Some(bytes) if bytes.contains(&0) => {
            out.raw(b"~").literal_head(bytes.len() as u64).raw(bytes)
        }
        other => out.nstring(other),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_commands_are_refused() {
        for raw in [
            "",
            " INBOX",
            " INBOX ()",
            " INBOX comment",
            " INBOX /shared",
            " INBOX (DEPTH 2) /shared/a",
            " INBOX (DEPTH 1)",
            " (MAXSIZE) INBOX /shared/a",
            " (MAXSIZE 1) INBOX (DEPTH 1) /shared/a",
            " (WIDTH 1) INBOX /shared/a",
            " INBOX (/shared/a  /shared/b)",
        ] {
            assert!(parse(&mut Cursor::of(raw.as_bytes())).is_err(), "{raw}");
        }
        for raw in [
            " \"\" /shared/a",
            " (DEPTH infinity MAXSIZE 7) INBOX (/shared /private/b)",
            " INBOX (MAXSIZE 7) /shared/a",
        ] {
            assert!(parse(&mut Cursor::of(raw.as_bytes())).is_ok(), "{raw}");
        }
    }
}
