//! How much mail may be on its way at once: the octets of all messages that are being received or
//! stored, over all connections. Who finds no room is told to come back (452), and memory stays
//! what the operator set.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Messages up to this size find room whatever others do: however full it is, mail moves.
const ALWAYS: usize = 64 << 10;

/// The room all connections share.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    taken: AtomicUsize,
}

/// What one message has taken of it, until this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    room: Room,
    octets: usize,
}

impl Room {
    /// For `max` octets.
    pub(crate) fn new(max: usize) -> Self {
        Self(Arc::new(Shared {
            max,
            taken: AtomicUsize::new(0),
        }))
    }

    /// Nothing yet.
    pub(crate) fn share(&self) -> Share {
        Share {
            room: self.clone(),
            octets: 0,
        }
    }
}

impl Share {
    /// Whether there is room for so many octets in all; what was taken before is kept either way.
    pub(crate) fn grow_to(&mut self, octets: usize) -> bool {
        let Some(more) = octets.checked_sub(self.octets) else {
            return true;
        };
        let Shared { max, taken } = &*self.room.0;
        let fits = |now: usize| {
            let sum = now.checked_add(more)?;
            (sum <= *max || octets <= ALWAYS).then_some(sum)
        };
        let grown = taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, fits)
            .is_ok();
        if grown {
            self.octets = octets;
        }
        grown
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.0.taken.fetch_sub(self.octets, Ordering::AcqRel);
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
        assert!(!b.grow_to(200 << 10));
        assert!(!b.grow_to(usize::MAX));
        // The next message is let through though there is no room.
        assert!(b.grow_to(ALWAYS));
        assert!(a.grow_to(950 << 10));
        assert!(!a.grow_to(1 << 20));
        drop(a);
        assert!(b.grow_to(1 << 20));
        drop(b);
        assert_eq!(room.0.taken.load(Ordering::Acquire), 0);
    }
}
