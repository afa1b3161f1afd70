//! Reading bodies ahead of the client: POP3 clients ask for one message after the other.

use std::collections::VecDeque;

use bytes::Bytes;
use mail::{Account, Email, MailError, MailErrorKind, Row};
use tokio::task::JoinHandle;

use crate::maildrop::{Maildrop, Place};

/// Octets read at once for a client that goes through the maildrop in order.
const WINDOW: u64 = 1 << 20;
/// The first window of a sequence, after its second message was asked for.
const FIRST_WINDOW: u64 = 1 << 16;
/// Messages read at once.
const WINDOW_MESSAGES: usize = 512;
/// Messages above this are sent in pieces and never held whole.
pub(crate) const LONG: u32 = 1 << 20;

/// A message ready to be sent: prefix, then the shared bytes.
pub(crate) struct Body {
    pub(crate) email: Email,
    /// `None` for a long one: read it in ranges.
    pub(crate) bytes: Option<Bytes>,
}

type Fetched = Vec<(Place, Result<Body, MailError>)>;

/// The bodies of the next messages, bounded by two windows.
pub(crate) struct Bodies {
    account: Account,
    ready: VecDeque<(Place, Result<Body, MailError>)>,
    ahead: Option<Ahead>,
    /// The message asked for last, and how much was read for it.
    last: Option<Place>,
    window: u64,
}

/// A window being read while the one before it is sent.
struct Ahead {
    places: Vec<Place>,
    task: JoinHandle<Fetched>,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Bodies {
    pub(crate) fn new(account: Account) -> Self {
        Self {
            account,
            ready: VecDeque::new(),
            ahead: None,
            last: None,
            window: 0,
        }
    }

    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    /// Whether memory is held for messages nobody asked for yet.
    pub(crate) fn holds_any(&self) -> bool {
        !self.ready.is_empty() || self.ahead.is_some()
    }

    /// Gives that memory back.
    pub(crate) fn forget(&mut self) {
        self.ready = VecDeque::new();
        self.ahead = None;
    }

    /// The body of a message. `pipelined` says that more commands wait: likely for what follows.
    pub(crate) async fn take(
        &mut self,
        maildrop: &Maildrop,
        place: Place,
        pipelined: bool,
    ) -> Result<Body, MailError> {
        // As file systems do: one message for a random access, more and more for a sequence.
        self.window = match self.last {
            _ if pipelined => WINDOW,
            Some(last) if place.is_right_after(last) => {
                (self.window * 2).clamp(FIRST_WINDOW, WINDOW)
            }
            _ => 0,
        };
        self.last = Some(place);
        if !self.advance_to(place).await {
            self.ahead = None;
            let rows = maildrop.run(place, self.window, WINDOW_MESSAGES);
            self.ready = fetch(self.account.clone(), rows).await.into();
        }
        let body = match self.ready.pop_front() {
            Some((found, body)) if found == place => body,
            _ => Err(MailError::new(
                MailErrorKind::Unavailable,
                "read-ahead lost its place",
            )),
        };
        if self.window == WINDOW {
            self.look_ahead(maildrop, place);
        }
        body
    }

    /// Drops what lies before `place`; whether it is at the front now.
    async fn advance_to(&mut self, place: Place) -> bool {
        if let Some(at) = self.ready.iter().position(|(ready, _)| *ready == place) {
            self.ready.drain(..at);
            return true;
        }
        self.ready.clear();
        let Some(mut ahead) = self
            .ahead
            .take()
            .filter(|ahead| ahead.places.contains(&place))
        else {
            return false;
        };
        let Ok(fetched) = (&mut ahead.task).await else {
            return false;
        };
        self.ready = fetched.into();
        // It may hold less than was wanted.
        match self.ready.iter().position(|(ready, _)| *ready == place) {
            Some(at) => {
                self.ready.drain(..at);
                true
            }
            None => false,
        }
    }

    fn look_ahead(&mut self, maildrop: &Maildrop, place: Place) {
        if self.ahead.is_some() {
            return;
        }
        let last = self.ready.back().map_or(place, |(last, _)| *last);
        let rows = maildrop.run(maildrop.after(last), WINDOW, WINDOW_MESSAGES);
        if !rows.is_empty() {
            let places = rows.iter().map(|(place, _)| *place).collect();
            let task = tokio::spawn(fetch(self.account.clone(), rows));
            self.ahead = Some(Ahead { places, task });
        }
    }
}

/// Expunged so long ago that the bytes were given up.
pub(crate) fn gone() -> MailError {
    MailError::new(MailErrorKind::NotFound, "the message is gone")
}

/// Reads the email records and bytes of `rows`, each with its own result; of the first alone when
/// the records cannot be had together: one that is damaged must not hide the others.
async fn fetch(account: Account, mut rows: Vec<(Place, Row)>) -> Fetched {
    let ids: Vec<_> = rows.iter().map(|(_, row)| row.email).collect();
    let mut emails = account.emails(&ids).await;
    if emails.is_err() && rows.len() > 1 {
        rows.truncate(1);
        emails = account.emails(&ids[..1]).await;
    }
    let emails = match emails {
        Ok(emails) => emails,
        Err(error) => {
            return rows
                .into_iter()
                .map(|(place, _)| (place, Err(error.clone())))
                .collect();
        }
    };
    let whole: Vec<&Email> = emails
        .iter()
        .flatten()
        .filter(|e| e.blob.size <= LONG)
        .collect();
    let mut contents = account.mail().contents(&whole).await.into_iter();
    let bodies: Vec<_> = emails
        .into_iter()
        .map(|email| {
            let email = email.ok_or_else(gone)?;
            if email.blob.size > LONG {
                return Ok(Body { email, bytes: None });
            }
            let bytes = contents
                .next()
                .unwrap_or_else(|| Err(MailError::new(MailErrorKind::Corrupt, "no content")))?;
            Ok(Body {
                email,
                bytes: Some(bytes),
            })
        })
        .collect();
    rows.into_iter()
        .map(|(place, _)| place)
        .zip(bodies)
        .collect()
}
