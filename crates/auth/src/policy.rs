//! When passwords may cross without TLS.

/// The setting `auth.cleartext` (DESIGN 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CleartextPolicy {
    /// Only inside TLS.
    Never,
    /// Inside TLS, or when the peer is on this machine.
    #[default]
    Loopback,
    /// Anywhere; for networks that are encrypted below.
    Always,
}

impl CleartextPolicy {
    /// Whether a password may be sent on a connection with these properties.
    pub fn allows(self, is_tls: bool, is_loopback: bool) -> bool {
        match self {
            Self::Never => is_tls,
            Self::Loopback => is_tls || is_loopback,
            Self::Always => true,
        }
    }

    /// From its word in the configuration.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "never" => Some(Self::Never),
            "loopback" => Some(Self::Loopback),
            "always" => Some(Self::Always),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CleartextPolicy as P;

    #[test]
    fn cleartext_is_refused_off_loopback_by_default() {
        let table = [
            (P::Never, false, true, false),
            (P::Never, true, false, true),
            (P::default(), false, false, false),
            (P::default(), false, true, true),
            (P::default(), true, false, true),
            (P::Always, false, false, true),
        ];
        for (policy, tls, loopback, allowed) in table {
            assert_eq!(
                policy.allows(tls, loopback),
                allowed,
                "{policy:?} {tls} {loopback}"
            );
        }
        assert_eq!(P::parse("never"), Some(P::Never));
        assert_eq!(P::parse("Never"), None);
    }
}
