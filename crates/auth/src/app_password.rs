//! App passwords: further secrets of an account, one per device, made by us and so never weak.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use types::{CredentialId, Doors};

use crate::scheme::Stored;
use crate::{DirectoryError, HashError};

/// Crockford's base 32: no letter looks like a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Letters of a secret: 100 bits.
const LENGTH: usize = 20;

/// Letters between two dashes, as it is shown.
const GROUP: usize = 4;

/// An app password as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPassword {
    /// Which of the account's.
    pub id: CredentialId,
    /// What its owner calls it.
    pub label: Arc<str>,
    /// Where it may be used.
    pub doors: Doors,
    /// Its hash, from [`NewSecret::hash`].
    pub hash: String,
}

/// Where app passwords are kept.
#[async_trait]
pub trait AppPasswords: Send + Sync + 'static {
    /// Those of an account, by the name its directory gave; none when there is no such account.
    async fn of(&self, account_name: &str) -> Result<Vec<AppPassword>, DirectoryError>;
}

/// A secret just made. Only its hash is kept.
pub struct NewSecret {
    /// For the eyes of its owner, once: groups of letters and digits. Typed with or without the
    /// dashes, in either letter case.
    pub shown: String,
    /// To keep.
    pub hash: String,
}

impl fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewSecret(..)")
    }
}

impl NewSecret {
    /// A new one.
    ///
    /// # Errors
    /// No randomness.
    pub fn generate() -> Result<Self, HashError> {
        let (mut random, mut salt) = ([0; LENGTH], [0; 16]);
        for octets in [&mut random[..], &mut salt[..]] {
            getrandom::fill(octets)
                .map_err(|error| HashError::new(format!("no randomness: {error}")))?;
        }
        let letters: Vec<u8> = random
            .iter()
            .map(|octet| ALPHABET[usize::from(octet & 31)])
            .collect();
        let groups: Vec<_> = letters.chunks(GROUP).map(String::from_utf8_lossy).collect();
        Ok(Self {
            shown: groups.join("-"),
            hash: hash(&letters, &salt),
        })
    }
}

/// A salted SHA-256. A slow hash makes guesses expensive; nobody guesses 100 random bits, so
/// that a login by an app password need not cost what a login by a word of somebody's choice does.
fn hash(letters: &[u8], salt: &[u8]) -> String {
    let mut digest = Sha256::new()
        .chain_update(letters)
        .chain_update(salt)
        .finalize()
        .to_vec();
    digest.extend_from_slice(salt);
    format!("{{SSHA256}}{}", BASE64_STANDARD.encode(digest))
}

/// What was typed as an app password is hashed as; `None` when it is none for sure, so that no
/// store need be asked.
pub(crate) fn normal_form(typed: &[u8]) -> Option<Vec<u8>> {
    let letters = typed
        .iter()
        .filter(|octet| !matches!(octet, b'-' | b' '))
        .map(|octet| match octet.to_ascii_lowercase() {
            b'o' => b'0',
            b'i' | b'l' => b'1',
            letter => letter,
        });
    let letters: Vec<u8> = letters.take(LENGTH + 1).collect();
    let fits = letters.len() == LENGTH && letters.iter().all(|letter| ALPHABET.contains(letter));
    fits.then_some(letters)
}

impl AppPassword {
    /// Whether these letters, from [`normal_form`], are its secret.
    pub(crate) fn matches(&self, letters: &[u8]) -> bool {
        match Stored::parse(&self.hash) {
            Ok(stored) => stored.verify(letters),
            Err(error) => {
                tracing::error!(credential = %self.id, %error, "stored app password not usable");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_strong_readable_and_typed_in_many_ways() {
        let secret = NewSecret::generate().expect("randomness");
        assert_eq!(secret.shown.len(), 24);
        assert_ne!(
            secret.shown,
            NewSecret::generate().expect("randomness").shown
        );
        let kept = AppPassword {
            id: CredentialId(1),
            label: Arc::from("phone"),
            doors: Doors::READING,
            hash: secret.hash,
        };
        let bare = secret.shown.replace('-', "");
        for typed in [
            &secret.shown,
            &bare,
            &bare.to_uppercase(),
            &format!(" {bare} "),
        ] {
            let letters = normal_form(typed.as_bytes()).expect("the right form");
            assert!(kept.matches(&letters), "{typed}");
        }
        let mut other = normal_form(bare.as_bytes()).expect("the right form");
        other[0] = if other[0] == b'0' { b'1' } else { b'0' };
        assert!(!kept.matches(&other));
        assert!(!kept.hash.contains(&bare[..8]));
    }

    #[test]
    fn what_is_no_app_password_is_seen_at_once() {
        for typed in [
            "",
            "secret",
            "0123-4567-89ab-cdef-ghj",
            "0123-4567-89ab-cdef-ghjku",
        ] {
            assert_eq!(normal_form(typed.as_bytes()), None, "{typed}");
        }
        assert_eq!(
            normal_form(b"OIL0-0000-0000-0000-0000").as_deref(),
            Some(&b"01100000000000000000"[..])
        );
        assert_eq!(normal_form(&[b'0'; 2000]), None);
    }
}
