//! The ways to the mail.

use std::fmt;

/// Where somebody comes in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Door {
    /// IMAP.
    Imap = 1,
    /// POP3.
    Pop3 = 2,
    /// LMTP: mail coming in.
    Lmtp = 3,
    /// The server itself, or whoever runs it: the command line, settings that act by themselves.
    Server = 4,
}

impl Door {
    /// Every door, in the order of its stored number.
    pub const ALL: [Self; 4] = [Self::Imap, Self::Pop3, Self::Lmtp, Self::Server];

    /// Its word in commands, logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Lmtp => "lmtp",
            Self::Server => "server",
        }
    }

    /// The door of a stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|door| *door as u8 == number)
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of doors.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Doors(pub u8);

impl Doors {
    /// The doors people read mail through.
    pub const READING: Self = Self(1 << Door::Imap as u8 | 1 << Door::Pop3 as u8);

    /// Whether a door is in the set.
    pub const fn contains(self, door: Door) -> bool {
        self.0 & 1 << door as u8 != 0
    }

    /// Whether no door is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// With one door more.
    #[must_use]
    pub const fn with(self, door: Door) -> Self {
        Self(self.0 | 1 << door as u8)
    }
}

/// The names, with commas between them.
impl fmt::Display for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for door in Door::ALL.into_iter().filter(|door| self.contains(*door)) {
            if !first {
                f.write_str(",")?;
            }
            f.write_str(door.name())?;
            first = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_are_named_and_numbered() {
        for door in Door::ALL {
            assert_eq!(Door::from_number(door as u8), Some(door));
        }
        assert_eq!(Door::from_number(0), None);
        assert_eq!(Doors::READING.to_string(), "imap,pop3");
        let one = Doors::default().with(Door::Pop3);
        assert!(one.contains(Door::Pop3) && !one.contains(Door::Imap));
        assert_eq!(one.to_string(), "pop3");
    }
}
