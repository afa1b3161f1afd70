//! How much mail may be on its way at once: the octets of all messages that are being received,
//! stored or sent, over all connections of a door. Who finds no room is told to come back, or gets
//! less at once, and memory stays what the operator set.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a refusal counts as trouble.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Messages up to this size find room whatever others do: however full it is, mail moves.
const ALWAYS: usize = 64 << 10;

/// The room all connections share.
#[derive(Clone, Debug)]
pub struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    taken: AtomicUsize,
    /// When somebody was last refused.
    refused: Mutex<Option<Instant>>,
}

/// What one message has taken of it, until this is dropped.
#[derive(Debug)]
pub struct Share {
    room: Room,
    octets: usize,
}

impl Room {
    /// For `max` octets.
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Shared {
            max,
            taken: AtomicUsize::new(0),
            refused: Mutex::new(None),
        }))
    }

    /// Nothing yet.
    pub fn share(&self) -> Share {
        Share {
            room: self.clone(),
            octets: 0,
        }
    }

    /// Whether somebody has found too little of it lately.
    pub fn is_short(&self) -> bool {
        let refused = self.0.refused.lock();
        let refused = refused.unwrap_or_else(PoisonError::into_inner);
        refused.is_some_and(|when| when.elapsed() < REMEMBERED)
    }
}

impl Share {
    /// Whether there is room for so many octets in all; what was taken before is kept either way.
    pub fn grow_to(&mut self, octets: usize) -> bool {
        let Some(more) = octets.checked_sub(self.octets) else {
            return true;
        };
        let Shared { max, taken, .. } = &*self.room.0;
        let fits = |now: usize| {
            let sum = now.checked_add(more)?;
            (sum <= *max || octets <= ALWAYS).then_some(sum)
        };
        let grown = taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, fits)
            .is_ok();
        if grown {
            self.octets = octets;
        } else {
            let refused = self.room.0.refused.lock();
            *refused.unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        grown
    }

    /// Hands so many of its octets on, or all it has.
    #[must_use]
    pub fn split(&mut self, octets: usize) -> Self {
        let octets = octets.min(self.octets);
        self.octets -= octets;
        Self {
            room: self.room.clone(),
            octets,
        }
    }

    /// Gives back what is more than so many octets.
    pub fn shrink_to(&mut self, octets: usize) {
        if let Some(less) = self.octets.checked_sub(octets) {
            self.room.0.taken.fetch_sub(less, Ordering::AcqRel);
            self.octets = octets;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_shared_and_given_back() {
        let room = Room::new(1 << 20);
        let (mut a, mut b) = (room.share(), room.share());
        assert!(a.grow_to(900 << 10) && a.grow_to(10));
        assert!(!room.is_short());
        assert!(!b.grow_to(200 << 10));
        assert!(room.is_short());
        assert!(!b.grow_to(usize::MAX));
        // The next message is let through though there is no room.
        assert!(b.grow_to(ALWAYS));
        assert!(a.grow_to(950 << 10));
        a.shrink_to(960 << 10);
        assert!(!a.grow_to(1 << 20));
        drop(a);
        assert!(b.grow_to(1 << 20));
        // What is handed on is taken as long as somebody has it.
        let mut c = b.split(600 << 10);
        assert_eq!((b.octets, c.octets), (424 << 10, 600 << 10));
        drop(b);
        assert_eq!(room.0.taken.load(Ordering::Acquire), 600 << 10);
        let b = c.split(usize::MAX);
        assert_eq!((b.octets, c.octets), (600 << 10, 0));
        drop(b);
        assert_eq!(room.0.taken.load(Ordering::Acquire), 0);
    }
}
