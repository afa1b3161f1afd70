//! The AUTHORIZATION state: CAPA, STLS, USER and PASS, AUTH.

use std::net::IpAddr;
use std::sync::Arc;

use auth::sasl::{self, Credentials, Exchange, Reply};
use auth::{AuthError, Login, Principal, Secret};
use mail::{Account, Actor, Selected};
use net::{ConnState, WireError};
use types::{Door, MailboxName};

use crate::bodies::Bodies;
use crate::maildrop::Maildrop;
use crate::refusal::Refusal;
use crate::registry::Arguments;
use crate::session::{Answer, Session, State, Stop, Transaction};

/// `CAPA` (RFC 2449 5): the truth about this connection now.
pub(crate) async fn capa(session: &mut Session, _: Arguments<'_>) -> Answer {
    let mut list = String::from("+OK\r\nTOP\r\nUIDL\r\n");
    // RFC 2449 5: what is available in the AUTHORIZATION state is announced in both states;
    // 6.2, RFC 5034 3: USER and SASL stay after login.
    if session.may_log_in() {
        list.push_str("USER\r\nSASL");
        for mechanism in sasl::MECHANISMS {
            list.push(' ');
            list.push_str(mechanism);
        }
        list.push_str("\r\n");
    }
    // RFC 2595 8: STLS is announced in the AUTHORIZATION state only, and never under TLS.
    if session.may_start_tls() {
        list.push_str("STLS\r\n");
    }
    // RFC 2449 6.7: EXPIRE NEVER: nothing is deleted but what the client deletes.
    list.push_str("RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n");
    list.push_str(concat!(
        "IMPLEMENTATION Gatepost-",
        env!("CARGO_PKG_VERSION"),
        "\r\n.\r\n"
    ));
    session.wire.write(list.as_bytes());
    Ok(())
}

/// `STLS` (RFC 2595 4).
pub(crate) async fn stls(session: &mut Session, _: Arguments<'_>) -> Answer {
    if !session.may_start_tls() {
        return Err(Refusal::NO_TLS.into());
    }
    let Some(tls) = session.context.starttls.clone() else {
        return Err(Refusal::NO_TLS.into());
    };
    session.wire.write(b"+OK begin TLS\r\n");
    // What was pipelined behind STLS is thrown away with the buffer: it was not protected.
    session.wire.starttls(&tls).await?;
    // RFC 2595 4: the server discards what it knew about the client.
    session.state = State::Authorization { user: None };
    Ok(())
}

/// `USER name` (RFC 1939 7). Says nothing about whether there is such a user.
pub(crate) async fn user(session: &mut Session, arguments: Arguments<'_>) -> Answer {
    if !session.may_log_in() {
        return Err(Refusal::NEEDS_TLS.into());
    }
    let name = std::str::from_utf8(arguments.text().trim_ascii());
    let name = name.map_err(|_| Refusal::BAD_CREDENTIALS)?;
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Refusal::BAD_CREDENTIALS.into());
    }
    session.state = State::Authorization {
        user: Some(name.to_owned()),
    };
    session.wire.write(b"+OK\r\n");
    Ok(())
}

/// `PASS string` (RFC 1939 7): the string may contain blanks, and all of it is the password.
pub(crate) async fn pass(session: &mut Session, arguments: Arguments<'_>) -> Answer {
    if !session.may_log_in() {
        return Err(Refusal::NEEDS_TLS.into());
    }
    let State::Authorization { user } = &mut session.state else {
        return Err(Refusal::WRONG_STATE.into());
    };
    // RFC 1939 7: after a refused PASS the client begins again with USER.
    let name = user.take().ok_or(Refusal::NO_USER_YET)?;
    let credentials = Credentials {
        name,
        password: Secret::new(arguments.text()),
    };
    log_in(session, "USER", credentials).await
}

/// `AUTH mechanism [initial-response]` (RFC 5034 4).
pub(crate) async fn auth(session: &mut Session, arguments: Arguments<'_>) -> Answer {
    let mechanism = arguments.first().unwrap_or_default();
    let mut exchange = Exchange::new(mechanism).ok_or(Refusal::NO_MECHANISM)?;
    // Both mechanisms send passwords as they are.
    if !session.may_log_in() {
        return Err(Refusal::NEEDS_TLS.into());
    }
    let mut reply = exchange.start(arguments.second())?;
    loop {
        match reply {
            Reply::Challenge(text) => {
                session.wire.write(format!("+ {text}\r\n").as_bytes());
                let line = match session.wire.line(sasl::MAX_LINE).await {
                    Err(WireError::TooLong(_)) => return Err(Refusal::TOO_LONG.into()),
                    line => line?,
                };
                reply = exchange.respond(&line)?;
            }
            Reply::Done(credentials) => {
                return log_in(session, exchange.mechanism(), credentials).await;
            }
        }
    }
}

/// From credentials to the TRANSACTION state.
async fn log_in(session: &mut Session, mechanism: &'static str, who: Credentials) -> Answer {
    let front = Arc::clone(&session.front);
    session.state = State::Authorization { user: None };
    let peer = session.context.peer.ip();
    let login = Login {
        name: who.name,
        password: who.password,
        peer,
        door: Door::Pop3,
    };
    let opened = match front.deps.auth.verify(&login).await {
        Ok(principal) => open(session, &principal, peer).await,
        Err(error) => Err(login_refused(&error, error.clone().into())),
    };
    let (account, selected) = match opened {
        Ok(opened) => opened,
        Err((result, refusal)) => {
            front.deps.metrics.login(mechanism, result);
            tracing::info!(user = login.name, mechanism, result, "login refused");
            return failed(session, refusal);
        }
    };
    front.deps.metrics.login(mechanism, "ok");
    let credential = &*account.actor().label;
    tracing::info!(user = login.name, credential, mechanism, "login");
    let maildrop = Maildrop::new(selected);
    let greeting = format!(
        "+OK {} messages ({} octets)\r\n",
        maildrop.messages(),
        maildrop.octets()
    );
    session.wire.write(greeting.as_bytes());
    session
        .wire
        .set_idle_timeout(front.deps.settings.idle_timeout);
    session.wire.set_state(ConnState::Selected);
    let transaction = Transaction {
        maildrop,
        bodies: Bodies::new(account),
    };
    session.state = State::Transaction(Box::new(transaction));
    Ok(())
}

/// A refusal and its label in `gatepost_logins_total`.
type LoginRefused = (&'static str, Refusal);

fn login_refused(error: &AuthError, refusal: Refusal) -> LoginRefused {
    match error {
        AuthError::Invalid => ("invalid", refusal),
        AuthError::Refused(_) => ("refused", refusal),
        AuthError::Temporary(_) => ("error", refusal),
    }
}

/// Opens the folder of a principal: INBOX, or the one behind the `+` (DESIGN 5.6).
async fn open(
    session: &mut Session,
    principal: &Principal,
    peer: Option<IpAddr>,
) -> Result<(Account, Selected), LoginRefused> {
    let trouble = |error: mail::MailError| ("error", Refusal::from(error));
    let deps = &session.front.deps;
    let revoked = deps.auth.watch(principal).await;
    let revoked = revoked.map_err(|error| login_refused(&error, error.clone().into()))?;
    let actor = Actor {
        door: Door::Pop3,
        user: None,
        credential: principal.credential.id,
        label: principal.credential.label.clone(),
        peer,
    };
    let account = deps.mail.log_in(&principal.account_name, actor).await;
    let account = account.map_err(trouble)?;
    let name = match &principal.folder {
        Some(folder) => MailboxName::new(folder).map_err(|_| ("refused", Refusal::NO_FOLDER))?,
        None => MailboxName::inbox(),
    };
    let folder = account.tree().find(&name).map(|folder| folder.id);
    let folder = folder.ok_or(("refused", Refusal::NO_FOLDER))?;
    let selected = account.select(folder).await.map_err(trouble)?;
    session.wire.end_when(revoked);
    Ok((account, selected))
}

fn failed(session: &mut Session, refusal: Refusal) -> Answer {
    session.login_failures += 1;
    if session.login_failures < session.front.deps.settings.max_login_failures {
        return Err(refusal.into());
    }
    session.refuse(&Refusal::TOO_MANY_LOGINS);
    Err(Stop::Close)
}

impl Session {
    /// Whether a password may cross here.
    fn may_log_in(&self) -> bool {
        let policy = self.front.deps.settings.cleartext;
        policy.allows(self.wire.is_tls(), self.wire.is_loopback())
    }

    fn may_start_tls(&self) -> bool {
        matches!(self.state, State::Authorization { .. })
            && self.context.starttls.is_some()
            && !self.wire.is_tls()
    }
}
