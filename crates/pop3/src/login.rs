//! The AUTHORIZATION state: STLS, USER and PASS, AUTH.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use auth::sasl::{self, Credentials, Exchange, Reply};
use auth::{AuthError, Login, Principal, Secret};
use mail::{Account, Actor};
use net::{ConnState, WireError};
use types::{Door, MailboxName};

use crate::Pop3;
use crate::bodies::Bodies;
use crate::maildrop::Maildrop;
use crate::refusal::{Code, Refusal};
use crate::registry::Arguments;
use crate::session::{Answer, Session, State, Stop, Transaction};
use crate::texts::{Language, Text};

/// `STLS` (RFC 2595 4).
pub(crate) async fn stls(session: &mut Session, _: Arguments<'_>) -> Answer {
    if !session.may_start_tls() {
        return Err(Refusal::NO_TLS.into());
    }
    let Some(tls) = session.context.starttls.clone() else {
        return Err(Refusal::NO_TLS.into());
    };
    // RFC 6856 2.1: a client does not issue STLS after UTF8.
    if session.utf8 {
        return Err(Refusal::TLS_AFTER_UTF8.into());
    }
    session.accept(Text::BeginTls);
    // What was pipelined behind STLS is thrown away with the buffer: it was not protected.
    session.wire.starttls(&tls).await?;
    // RFC 2595 4: the server discards what it knew about the client.
    session.state = State::Authorization { user: None };
    session.language = Language::default();
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
    // RFC 6856 2.2: what is not UTF-8 is rejected.
    if std::str::from_utf8(arguments.text()).is_err() {
        return failed(session, Refusal::BAD_CREDENTIALS);
    }
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
    let transaction = match opened {
        Ok(opened) => opened,
        Err((result, refusal)) => {
            front.deps.metrics.login(mechanism, result);
            tracing::info!(user = login.name, mechanism, result, "login refused");
            return failed(session, refusal);
        }
    };
    front.deps.metrics.login(mechanism, "ok");
    let policy = transaction.maildrop.policy();
    let credential = &*transaction.bodies.account().actor().label;
    tracing::info!(user = login.name, credential, mechanism, %policy, "login");
    let greeting = transaction.maildrop.in_words(session.language);
    session.wire.write(greeting.as_bytes());
    session
        .wire
        .set_idle_timeout(front.deps.settings.idle_timeout);
    session.wire.set_state(ConnState::Selected);
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

/// Opens the maildrop of a principal, if it may be opened now.
async fn open(
    session: &mut Session,
    principal: &Principal,
    peer: Option<IpAddr>,
) -> Result<Transaction, LoginRefused> {
    let trouble = |error: mail::MailError| ("error", Refusal::from(error));
    let front = Arc::clone(&session.front);
    let deps = &front.deps;
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
    let admitted = front.login_delay.admit(account.id(), Instant::now());
    let admitted = admitted.ok_or(("refused", Refusal::TOO_SOON))?;
    let opened = open_folder(&front, &account, principal).await;
    match &opened {
        Ok(_) => session.wire.end_when(revoked),
        Err(_) => front.login_delay.withdraw(&admitted),
    }
    opened
}

/// Opens INBOX, or the folder behind the `+` (DESIGN 5.6).
async fn open_folder(
    front: &Pop3,
    account: &Account,
    principal: &Principal,
) -> Result<Transaction, LoginRefused> {
    let trouble = |error: mail::MailError| ("error", Refusal::from(error));
    let name = match &principal.folder {
        Some(folder) => MailboxName::new(folder).map_err(|_| ("refused", Refusal::NO_FOLDER))?,
        None => MailboxName::inbox(),
    };
    let folder = account.tree().find(&name).map(|folder| folder.id);
    let folder = folder.ok_or(("refused", Refusal::NO_FOLDER))?;
    let held = match front.deps.settings.exclusive_sessions {
        true => {
            let held = front.exclusive.hold(account.id(), folder);
            Some(held.ok_or(("refused", Refusal::IN_USE))?)
        }
        false => None,
    };
    // DESIGN 5.4: the credential's own policy, the account's, the server's.
    let policy = account.pop3_policy_in_force().await.map_err(trouble)?;
    let policy = policy.unwrap_or_else(|| front.deps.settings.policy.clone());
    let selected = account.select(folder).await.map_err(trouble)?;
    // DESIGN 5.1: UIDL belongs to the snapshot, it needs nothing of the store later.
    let ids = selected.unique_ids().await.map_err(trouble)?;
    Ok(Transaction {
        maildrop: Maildrop::new(selected, ids, policy),
        bodies: Bodies::new(account.clone(), front.room.clone()),
        _held: held,
    })
}

fn failed(session: &mut Session, refusal: Refusal) -> Answer {
    // Whoever comes too soon has proved who they are.
    if matches!(refusal.code, Some(Code::LoginDelay | Code::InUse)) {
        return Err(refusal.into());
    }
    session.login_failures += 1;
    if session.login_failures < session.front.deps.settings.max_login_failures {
        return Err(refusal.into());
    }
    session.refuse(&Refusal::TOO_MANY_LOGINS);
    Err(Stop::Close)
}

impl Session {
    /// Whether a password may cross here.
    pub(crate) fn may_log_in(&self) -> bool {
        let policy = self.front.deps.settings.cleartext;
        policy.allows(self.wire.is_tls(), self.wire.is_loopback())
    }

    pub(crate) fn may_start_tls(&self) -> bool {
        matches!(self.state, State::Authorization { .. })
            && self.context.starttls.is_some()
            && !self.wire.is_tls()
    }
}
