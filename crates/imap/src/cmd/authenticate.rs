//! AUTHENTICATE, with the initial response of SASL-IR.

use super::login::{log_in, may_send_password};
use super::*;
use auth::sasl::{Exchange, MAX_LINE, Reply, SaslError};
use net::WireError;

/// `authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp] *(CRLF base64)`.
pub(crate) static SPEC: Spec = Spec {
    name: "AUTHENTICATE",
    uid: UidForm::No,
    states: States::LOGIN,
    effects: Effects::NONE,
    rfc: &["RFC 3501 6.2.2", "RFC 9051 6.2.2", "RFC 4959 3"],
    parse,
};

struct Authenticate {
    mechanism: Vec<u8>,
    initial: Option<Vec<u8>>,
}

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    let mechanism = c.atom()?.to_vec();
    let initial = match c.eat(b" ") {
        true => Some(
            c.take_while1(|b| b.is_ascii_graphic(), "expected an initial response")?
                .to_vec(),
        ),
        false => None,
    };
    Ok(Box::new(Authenticate { mechanism, initial }))
}

impl Run for Authenticate {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let Some(mut exchange) = Exchange::new(&self.mechanism) else {
            return Err(Refusal::no(Code::CANNOT, "no such mechanism here"));
        };
        may_send_password(cx)?;
        let mechanism = exchange.mechanism();
        let mut reply = exchange.start(self.initial.as_deref());
        loop {
            match reply.map_err(refused)? {
                Reply::Done(credentials) => {
                    return log_in(cx, mechanism, credentials.name, credentials.password).await;
                }
                Reply::Challenge(challenge) => {
                    cx.wire.buffer().raw(b"+ ").text(&challenge).crlf();
                }
            }
            let line = match cx.wire.line(MAX_LINE).await {
                Ok(line) => line,
                Err(WireError::TooLong(_)) => return Err(Refusal::bad("response too long")),
                Err(error) => return Err(error.into()),
            };
            reply = exchange.respond(&line);
        }
    }
}

fn refused(error: SaslError) -> Refusal {
    match error {
        // RFC 9051 6.2.2: a cancelled exchange is answered by BAD.
        SaslError::Cancelled => Refusal::bad("authentication cancelled"),
        SaslError::NotBase64 => Refusal::bad("not valid base64"),
        SaslError::Malformed(text) => Refusal::bad(text),
        SaslError::Refused(text) => Refusal::no(Code::Word("AUTHORIZATIONFAILED"), text),
    }
}
