//! LOGIN, and what it shares with AUTHENTICATE.

use super::*;
use crate::registry;
use auth::{AuthError, Secret};
use mail::Actor;
use types::Door;

/// `login = "LOGIN" SP userid SP password`, both `astring`.
pub(crate) static SPEC: Spec = Spec {
    name: "LOGIN",
    uid: UidForm::No,
    states: States::LOGIN,
    effects: Effects::NONE,
    rfc: &["RFC 3501 6.2.3", "RFC 9051 6.2.3"],
    parse,
};

struct Login {
    name: Vec<u8>,
    password: Secret,
}

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    let name = c.astring()?.into_owned();
    c.sp()?;
    let password = Secret::new(c.astring()?.into_owned());
    Ok(Box::new(Login { name, password }))
}

impl Run for Login {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        may_send_password(cx)?;
        // What is not UTF-8 names nobody; the failure must cost the same as any other.
        let name = String::from_utf8_lossy(&self.name).into_owned();
        log_in(cx, "LOGIN", name, self.password).await
    }
}

/// RFC 9051 6.2.3: passwords cross where the policy allows it.
pub(crate) fn may_send_password(cx: &Session) -> Result<(), Refusal> {
    if cx
        .deps
        .cleartext
        .allows(cx.wire.is_tls(), cx.wire.is_loopback())
    {
        Ok(())
    } else {
        Err(Refusal::no(
            Code::Word("PRIVACYREQUIRED"),
            "passwords are taken over TLS only",
        ))
    }
}

/// Verifies and enters the authenticated state. `mechanism` is for the metrics.
pub(crate) async fn log_in(
    cx: &mut Session,
    mechanism: &'static str,
    name: String,
    password: Secret,
) -> Result<Done, Refusal> {
    let login = auth::Login {
        name,
        password,
        peer: cx.wire.peer().ip(),
        door: Door::Imap,
    };
    let verified = match cx.deps.auth.verify(&login).await {
        Ok(principal) => {
            let revoked = cx.deps.auth.watch(&principal).await;
            revoked.map(|revoked| (principal, revoked))
        }
        Err(error) => Err(error),
    };
    let (principal, revoked) = match verified {
        Ok(verified) => verified,
        Err(error) => {
            let (result, refusal) = refused(error);
            cx.deps.metrics.login(mechanism, result);
            tracing::info!(user = %login.name.escape_debug(), mechanism, result, "login failed");
            return Err(refusal);
        }
    };
    let actor = Actor {
        door: login.door,
        user: None,
        credential: principal.credential.id,
        label: principal.credential.label,
        peer: login.peer,
    };
    let credential = actor.label.clone();
    let account = cx.deps.mail.log_in(&principal.account_name, actor).await?;
    cx.wire.end_when(revoked);
    cx.deps.metrics.login(mechanism, "ok");
    tracing::info!(user = %principal.account_name, credential = &*credential, mechanism, "logged in");
    cx.enter(State::Authenticated(account));
    // RFC 9051 6.2.2: telling the capabilities spares the client a round trip.
    Done::with(Code::Capability(registry::capabilities(cx)), "logged in")
}

fn refused(error: AuthError) -> (&'static str, Refusal) {
    match error {
        AuthError::Invalid => (
            "invalid",
            Refusal::no(Code::Word("AUTHENTICATIONFAILED"), "wrong name or password"),
        ),
        AuthError::Temporary(reason) => {
            tracing::error!(reason, "directory not available");
            (
                "temporary",
                Refusal::no(
                    Code::Word("UNAVAILABLE"),
                    "logins are not possible now, try again later",
                ),
            )
        }
        AuthError::Refused(text) => (
            "refused",
            Refusal::No(Some(Code::Word("AUTHORIZATIONFAILED")), text.into()),
        ),
    }
}
