//! `CAPA` (RFC 2449 5): the truth about this connection now.

use auth::sasl;
use types::KeepDays;

use crate::refusal::Refusal;
use crate::registry::Arguments;
use crate::session::{Answer, Session, State};

/// `CAPA`.
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
    list.push_str("RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n");
    // RFC 6856 2.2: names and passwords may be UTF-8.
    list.push_str("UTF8 USER\r\nLANG\r\n");
    // RFC 2449 6.5: the same for all users.
    if let Some(seconds) = session.front.login_delay.seconds() {
        list.push_str(&format!("LOGIN-DELAY {seconds}\r\n"));
    }
    list.push_str(&format!("EXPIRE {}\r\n", expire(session).await?));
    list.push_str(concat!(
        "IMPLEMENTATION Gatepost-",
        env!("CARGO_PKG_VERSION"),
        "\r\n.\r\n"
    ));
    session.wire.write(list.as_bytes());
    Ok(())
}

/// RFC 2449 6.7: the least number of days a message may be kept "under any circumstances". Only
/// `keep-days` removes anything by itself, and only what a client has deleted.
async fn expire(session: &Session) -> Result<String, Refusal> {
    if let State::Transaction(transaction) = &session.state {
        return Ok(days(transaction.maildrop.policy().keep_days()));
    }
    // Before login it is the smallest value any user may have, and `USER` says that there are
    // others.
    let settings = &session.front.deps.settings;
    let own = session.front.deps.mail.shortest_keep().await?;
    let ours = settings.policy.keep_days();
    Ok(match own.into_iter().chain(ours).min() {
        Some(least) => format!("{} USER", days(Some(least))),
        None => days(None),
    })
}

fn days(days: Option<KeepDays>) -> String {
    days.map_or_else(|| "NEVER".to_owned(), |days| days.get().to_string())
}
