//! Reading bodies ahead of the client: POP3 clients ask for one message after the other.

use std::collections::VecDeque;

use bytes::Bytes;
use mail::{Account, Email, MailError, MailErrorKind, Row};
use net::{Room, Share};
use tokio::task::JoinHandle;

use crate::maildrop::{Maildrop, Place};

/// Octets read at once for a client that goes through the maildrop in order.
const WINDOW: u64 = 1 << 20;
/// The first window of a sequence, after its second message was asked for.
const FIRST_WINDOW: u64 = 1 << 16;
/// Messages read at once.
const WINDOW_MESSAGES: usize = 512;
/// Messages above this are sent in pieces and never held whole.
const LONG: u32 = 1 << 20;

/// A message ready to be sent: prefix, then the shared bytes.
pub(crate) struct Body {
    pub(crate) email: Email,
    /// `None` for a long one: read it in ranges.
    pub(crate) bytes: Option<Bytes>,
    /// What they take in memory.
    pub(crate) share: Share,
}

type Fetched = Vec<(Place, Result<Body, MailError>)>;

/// The bodies of the next messages, bounded by two windows.
pub(crate) struct Bodies {
    account: Account,
    room: Room,
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
    pub(crate) fn new(account: Account, room: Room) -> Self {
        Self {
            account,
            room,
            ready: VecDeque::new(),
            ahead: None,
            last: None,
            window: 0,
        }
    }

    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    /// Of the memory for all connections, nothing yet.
    pub(crate) fn share(&self) -> Share {
        self.room.share()
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
            self.ready = self.read(rows).await.into();
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

    /// As many of `rows` as there is memory for, at least one: that in pieces if need be.
    async fn read(&self, mut rows: Vec<(Place, Row)>) -> Fetched {
        let mut share = self.room.share();
        let fits = share.grow_to(octets(&rows));
        if !fits {
            rows.truncate(1);
        }
        let most = match fits || share.grow_to(octets(&rows)) {
            true => LONG,
            false => 0,
        };
        fetch(self.account.clone(), rows, share, most).await
    }

    fn look_ahead(&mut self, maildrop: &Maildrop, place: Place) {
        if self.ahead.is_some() {
            return;
        }
        let last = self.ready.back().map_or(place, |(last, _)| *last);
        let rows = maildrop.run(maildrop.after(last), WINDOW, WINDOW_MESSAGES);
        let mut share = self.room.share();
        if !rows.is_empty() && share.grow_to(octets(&rows)) {
            let places = rows.iter().map(|(place, _)| *place).collect();
            let task = tokio::spawn(fetch(self.account.clone(), rows, share, LONG));
            self.ahead = Some(Ahead { places, task });
        }
    }
}

/// Expunged so long ago that the bytes were given up.
pub(crate) fn gone() -> MailError {
    MailError::new(MailErrorKind::NotFound, "the message is gone")
}

/// What messages take in memory when they are read, except the long ones.
fn octets(rows: &[(Place, Row)]) -> usize {
    let whole = rows.iter().map(|(_, row)| row.size).filter(|s| *s <= LONG);
    whole.map(|size| size as usize).sum()
}

/// Reads the email records and bytes of `rows`, each with its own result; of the first alone when
/// the records cannot be had together: one that is damaged must not hide the others. Messages of
/// more than `most` octets are not read; what the others take is part of `share`.
async fn fetch(
    account: Account,
    mut rows: Vec<(Place, Row)>,
    mut share: Share,
    most: u32,
) -> Fetched {
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
    let is_whole = |row: &Row| row.size <= most;
    let both = rows.iter().zip(&emails);
    let whole = both.filter(|((_, row), _)| is_whole(row));
    let whole: Vec<&Email> = whole.filter_map(|(_, email)| email.as_ref()).collect();
    let mut contents = account.mail().contents(&whole).await.into_iter();
    let bodies: Vec<_> = rows
        .iter()
        .zip(emails)
        .map(|((_, row), email)| {
            let email = email.ok_or_else(gone)?;
            if !is_whole(row) {
                let share = share.split(0);
                return Ok(Body {
                    email,
                    bytes: None,
                    share,
                });
            }
            let bytes = contents
                .next()
                .unwrap_or_else(|| Err(MailError::new(MailErrorKind::Corrupt, "no content")))?;
            let share = share.split(bytes.len());
            Ok(Body {
                email,
                bytes: Some(bytes),
                share,
            })
        })
        .collect();
    rows.into_iter()
        .map(|(place, _)| place)
        .zip(bodies)
        .collect()
}
