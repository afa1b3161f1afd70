//! COMPRESS=DEFLATE (RFC 4978). The layer itself is `net::Deflate`.

use super::*;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 4978",
    file: file!(),
    capabilities: &[Capability::always("COMPRESS=DEFLATE")],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

/// `compress = "COMPRESS" SP algorithm`.
static SPEC: Spec = Spec {
    name: "COMPRESS",
    uid: UidForm::No,
    // RFC 4978 5: a command-auth.
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 4978 3"],
    parse,
};

struct Compress;

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    if !c.eat_word(b"DEFLATE") {
        return Err(BadSyntax("unknown compression algorithm"));
    }
    Ok(Box::new(Compress))
}

impl Run for Compress {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        // TLS never compresses here (rustls has no such code): NO is not needed.
        if cx.wire.is_layered() {
            // RFC 4978 3: BAD when COMPRESS is active already.
            return Err(Refusal::BadWith(
                Code::Word("COMPRESSIONACTIVE"),
                "DEFLATE is active via COMPRESS",
            ));
        }
        Ok(Done {
            code: None,
            text: "compressed from here on",
            then: Then::Compress,
        })
    }
}
