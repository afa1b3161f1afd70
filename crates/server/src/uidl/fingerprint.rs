//! What tells a message from others on two servers, which may each have added fields of their own.

use serde::{Deserialize, Serialize};

/// The fields a server never changes.
pub(super) const FIELDS: [&str; 4] = ["Message-ID", "Date", "From", "Subject"];

/// A hash of those fields.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a header, or of those fields alone; line ends do not matter, nor the order of the fields.
    pub(super) fn of(header: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for name in FIELDS {
            let mut lines = Vec::new();
            message::filter_header(header, &[name.as_bytes()], true, &mut lines);
            hasher.update(name.as_bytes());
            for line in lines.split(|&c| c == b'\n') {
                let line = line.trim_ascii_end();
                // A field's name may be written in any letter case; its value counts.
                let value = match line.iter().position(|&c| c == b':') {
                    Some(at)
                        if line
                            .get(..at)
                            .is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes())) =>
                    {
                        line.get(at + 1..).unwrap_or_default().trim_ascii_start()
                    }
                    _ => line,
                };
                if !value.is_empty() {
                    hasher.update(b"\n").update(value);
                }
            }
        }
        Self(*hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_servers_leave_alone_counts() {
        let one = Fingerprint::of(b"From: a\r\nSubject: b\r\n c\r\nMessage-Id: <1>\r\n\r\n");
        let same: [&[u8]; 3] = [
            b"Return-Path: <x>\r\nMessage-ID: <1>\r\nFrom: a\r\nSubject: b\r\n c\r\n\r\n",
            b"From: a\nSubject: b\n c\nMessage-Id: <1>\nX-Other: y\n\n",
            b"From:  a \r\nSubject: b\r\n c\r\nMessage-Id: <1>",
        ];
        for header in same {
            assert_eq!(
                Fingerprint::of(header),
                one,
                "{}",
                String::from_utf8_lossy(header)
            );
        }
        let others: [&[u8]; 3] = [
            b"From: a\r\nSubject: b\r\nMessage-Id: <1>\r\n\r\n",
            b"From: a\r\nSubject: b\r\n c\r\n\r\n",
            b"",
        ];
        for header in others {
            assert_ne!(
                Fingerprint::of(header),
                one,
                "{}",
                String::from_utf8_lossy(header)
            );
        }
    }
}
