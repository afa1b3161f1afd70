//! MAIL and RCPT: the envelope of a transaction.

use bytes::BytesMut;
use net::Share;

use crate::address::{self, Path};
use crate::recipient::{self, Recipient};
use crate::registry::Answer;
use crate::reply::Reply;
use crate::session::Session;

/// From MAIL to the end of the data.
pub(crate) struct Transaction {
    /// RFC 5321 4.4: becomes Return-Path.
    pub(crate) sender: Path,
    /// RFC 6531 3.4: addresses may be UTF-8.
    smtputf8: bool,
    /// RFC 1870 6: what the client announced, 0 if nothing.
    size: u64,
    /// Those accepted, in order, repetitions included (RFC 2033 4.2).
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) chunks: Chunks,
}

/// Where a message sent by BDAT stands.
pub(crate) enum Chunks {
    /// No BDAT yet.
    None,
    /// So much of it.
    Open(BytesMut, Share),
    /// A chunk was refused; only RSET, or LAST, ends this.
    Failed,
}

/// `MAIL FROM:<reverse-path> [SIZE= BODY= SMTPUTF8]`
pub(crate) async fn mail(session: &mut Session, arguments: &[u8]) -> Answer {
    if session.transaction.is_some() {
        return Ok(Some(Reply::NESTED_MAIL));
    }
    let max = u64::from(session.front.deps.mail.options().max_message_bytes);
    Ok(Some(match transaction(arguments, max) {
        Ok(transaction) => {
            session.transaction = Some(transaction);
            Reply::SENDER_OK
        }
        Err(reply) => reply,
    }))
}

fn transaction(arguments: &[u8], max: u64) -> Result<Transaction, Reply> {
    let (sender, parameters) = address::parse("FROM", arguments).map_err(|_| Reply::BAD_SENDER)?;
    let (mut size, mut body, mut smtputf8) = (None, None, None);
    for parameter in parameters {
        let repeated = match (parameter.key.to_ascii_uppercase().as_str(), parameter.value) {
            ("SIZE", Some(value)) => size.replace(parse_size(value)?).is_some(),
            // RFC 6152 2. What is declared changes nothing: octets are stored as they come.
            ("BODY", Some(value)) if is_body(value) => body.replace(()).is_some(),
            ("SMTPUTF8", None) => smtputf8.replace(()).is_some(),
            ("SIZE" | "BODY" | "SMTPUTF8", _) => return Err(Reply::SYNTAX),
            // RFC 5321 4.1.1.11.
            _ => return Err(Reply::UNKNOWN_PARAMETER),
        };
        if repeated {
            return Err(Reply::SYNTAX);
        }
    }
    if smtputf8.is_none() && !sender.is_ascii() {
        return Err(Reply::NEEDS_SMTPUTF8);
    }
    let size = size.unwrap_or(0);
    // RFC 1870 6.1: refused now instead of after its transmission.
    if size > max {
        return Err(Reply::TOO_BIG);
    }
    let (recipients, chunks) = (Vec::new(), Chunks::None);
    Ok(Transaction {
        sender,
        smtputf8: smtputf8.is_some(),
        size,
        recipients,
        chunks,
    })
}

/// RFC 1870 4: size-value is 1*20DIGIT.
fn parse_size(value: &str) -> Result<u64, Reply> {
    if !(1..=20).contains(&value.len()) || !value.bytes().all(|c| c.is_ascii_digit()) {
        return Err(Reply::SYNTAX);
    }
    Ok(value.parse().unwrap_or(u64::MAX))
}

fn is_body(value: &str) -> bool {
    value.eq_ignore_ascii_case("7BIT") || value.eq_ignore_ascii_case("8BITMIME")
}

/// `RCPT TO:<forward-path>`
pub(crate) async fn rcpt(session: &mut Session, arguments: &[u8]) -> Answer {
    let Some(transaction) = &mut session.transaction else {
        return Ok(Some(Reply::MAIL_FIRST));
    };
    let deps = &session.front.deps;
    let path = match recipient_path(arguments, transaction.smtputf8) {
        Ok(path) => path,
        Err(reply) => return Ok(Some(reply)),
    };
    // RFC 5321 4.5.3.1.10.
    if transaction.recipients.len() >= deps.settings.max_recipients {
        return Ok(Some(Reply::TOO_MANY_RECIPIENTS));
    }
    Ok(Some(
        match recipient::resolve(deps, path, transaction.size).await {
            Ok(recipient) => {
                transaction.recipients.push(recipient);
                Reply::RECIPIENT_OK
            }
            Err(reply) => reply,
        },
    ))
}

fn recipient_path(arguments: &[u8], smtputf8: bool) -> Result<Path, Reply> {
    let (path, mut parameters) =
        address::parse("TO", arguments).map_err(|_| Reply::BAD_RECIPIENT)?;
    if path.is_null() {
        return Err(Reply::BAD_RECIPIENT);
    }
    if parameters.next().is_some() {
        return Err(Reply::UNKNOWN_PARAMETER);
    }
    if !smtputf8 && !path.is_ascii() {
        return Err(Reply::NEEDS_SMTPUTF8);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_mail() {
        let code = |text: &str| match transaction(text.as_bytes(), 1000) {
            Ok(_) => 250,
            Err(reply) => reply.code,
        };
        for (text, want) in [
            ("FROM:<>", 250),
            ("FROM:<a@b> SIZE=1000 BODY=8bitmime SMTPUTF8", 250),
            ("FROM:<a@b> BODY=7BIT", 250),
            ("FROM:<a@b> SIZE=1001", 552),
            ("FROM:<a@b> SIZE=99999999999999999999", 552),
            ("FROM:<a@b> SIZE=999999999999999999999", 501),
            ("FROM:<a@b> SIZE=-1", 501),
            ("FROM:<a@b> SIZE=", 501),
            ("FROM:<a@b> SIZE", 501),
            ("FROM:<a@b> SIZE=1 SIZE=1", 501),
            ("FROM:<a@b> BODY=BINARYMIME", 501),
            ("FROM:<a@b> SMTPUTF8=1", 501),
            ("FROM:<a@b> RET=FULL", 555),
            ("FROM:<a@b> ENVID=x", 555),
            ("FROM:<a@b> AUTH=<>", 555),
            ("FROM:<ü@b>", 553),
            ("FROM:<ü@b> SMTPUTF8", 250),
            ("FROM:a@b", 501),
        ] {
            assert_eq!(code(text), want, "{text}");
        }
    }
}
