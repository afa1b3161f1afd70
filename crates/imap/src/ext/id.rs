//! ID (RFC 2971).

use super::*;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 2971",
    file: file!(),
    capabilities: &[Capability::always("ID")],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

/// `id = "ID" SP id_params_list`, `id_params_list = "(" #(string SPACE nstring) ")" / nil`.
static SPEC: Spec = Spec {
    name: "ID",
    uid: UidForm::No,
    states: States::ANY,
    effects: Effects::NONE,
    rfc: &["RFC 2971 3.1"],
    parse,
};

/// RFC 2971 3.3: no more than 30 fields.
const MAX_FIELDS: usize = 30;
/// How much of a field or value is logged.
const MAX_LOGGED: usize = 80;

struct Id(Vec<(String, String)>);

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    if c.eat_word(b"NIL") {
        return Ok(Box::new(Id(Vec::new())));
    }
    let fields = c.list(true, |c| {
        let field = printable(&c.string()?);
        c.sp()?;
        let value = c.nstring()?.map(|v| printable(&v)).unwrap_or_default();
        Ok((field, value))
    })?;
    if fields.len() > MAX_FIELDS {
        return Err(BadSyntax("too many fields"));
    }
    Ok(Box::new(Id(fields)))
}

fn printable(raw: &[u8]) -> String {
    raw.iter()
        .take(MAX_LOGGED)
        .map(|&c| {
            if (b' '..=b'~').contains(&c) {
                char::from(c)
            } else {
                '?'
            }
        })
        .collect()
}

impl Run for Id {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        if !self.0.is_empty() {
            tracing::debug!(client = ?self.0, "client named itself");
        }
        let version = env!("CARGO_PKG_VERSION");
        cx.wire
            .buffer()
            .raw(b"* ID (\"name\" \"Gatepost\" \"version\" ")
            .string(version.as_bytes())
            .raw(b")\r\n");
        Done::ok("pleased to meet you")
    }
}
