//! Password schemes: `{SCHEME}hash` as Dovecot writes it, and bare crypt strings.

use std::fmt;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

/// Memory in KiB, passes and lanes of new hashes: OWASP's password storage cheat sheet.
const ARGON2: (u32, u32, u32) = (19 * 1024, 2, 1);

/// What unknown users are measured against until a known one has been seen: the cost of
/// [`hash_password`], the hash of a random password nobody kept.
pub(crate) const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$Z2F0ZXBvc3QtZHVtbXktcw\
                                $Uix7U0jSmc3cYc3U4GvrBl8ELhD1v6qFP0zlCTyVxX0";

/// Padding is often lost on the way into passwd files.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Hashing failed: no randomness, or no memory.
#[derive(Debug)]
pub struct HashError(String);

impl HashError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HashError {}

/// A new `$argon2id$` string. Takes tens of milliseconds: keep it off async threads.
pub fn hash_password(password: &str) -> Result<String, HashError> {
    let fail = |error: &dyn fmt::Display| HashError(format!("cannot hash the password: {error}"));
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| fail(&error))?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| fail(&error))?;
    let (memory, passes, lanes) = ARGON2;
    let params = Params::new(memory, passes, lanes, None).map_err(|error| fail(&error))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| fail(&error))
}

/// A stored password nobody can log in with, by the operator's mistake. Never quotes the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadHash(&'static str);

impl fmt::Display for BadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A stored password, understood.
pub(crate) struct Stored<'a>(Kind<'a>);

enum Kind<'a> {
    Plain(&'a str),
    Digest {
        algorithm: DigestAlgorithm,
        digest: Vec<u8>,
        salt: Vec<u8>,
    },
    Argon2(PasswordHash<'a>),
    Bcrypt(&'a str),
    ShaCrypt(ShaCrypt<'a>),
}

#[derive(Clone, Copy)]
enum DigestAlgorithm {
    Sha1,
    Sha256,
    Sha512,
}

struct ShaCrypt<'a> {
    long: bool,
    rounds: usize,
    salt: &'a str,
    hash: &'a str,
}

impl<'a> Stored<'a> {
    pub(crate) fn parse(stored: &'a str) -> Result<Self, BadHash> {
        let Some((scheme, value)) = stored.strip_prefix('{').and_then(|s| s.split_once('}')) else {
            return crypt(stored).map(Self);
        };
        // Dovecot appends how the digest is written: {SSHA256.HEX}.
        let (scheme, encoding) = match scheme.split_once('.') {
            Some((scheme, encoding)) => (scheme, Some(encoding.to_ascii_uppercase())),
            None => (scheme, None),
        };
        let hex = match encoding.as_deref() {
            None | Some("B64" | "BASE64") => false,
            Some("HEX") => true,
            Some(_) => return Err(BadHash("unknown encoding after the scheme")),
        };
        use DigestAlgorithm::{Sha1, Sha256, Sha512};
        Ok(Self(match scheme.to_ascii_uppercase().as_str() {
            "PLAIN" | "CLEARTEXT" | "CLEAR" => Kind::Plain(value),
            "SHA" | "SHA1" => digest(Sha1, value, hex, false)?,
            "SHA256" => digest(Sha256, value, hex, false)?,
            "SHA512" => digest(Sha512, value, hex, false)?,
            "SSHA" => digest(Sha1, value, hex, true)?,
            "SSHA256" => digest(Sha256, value, hex, true)?,
            "SSHA512" => digest(Sha512, value, hex, true)?,
            "CRYPT" | "SHA256-CRYPT" | "SHA512-CRYPT" | "BLF-CRYPT" | "ARGON2I" | "ARGON2ID" => {
                crypt(value)?
            }
            _ => return Err(BadHash("unknown password scheme")),
        }))
    }

    /// Whether verifying takes microseconds, so that it needs no other thread and no cache.
    pub(crate) fn is_cheap(&self) -> bool {
        matches!(self.0, Kind::Plain(_) | Kind::Digest { .. })
    }

    /// Whether the password is the stored one; compares in constant time.
    pub(crate) fn verify(&self, password: &[u8]) -> bool {
        match &self.0 {
            // Hashed first, so that not even the length shows in the time.
            Kind::Plain(stored) => equal(
                blake3::hash(stored.as_bytes()).as_bytes(),
                blake3::hash(password).as_bytes(),
            ),
            Kind::Digest {
                algorithm,
                digest,
                salt,
            } => equal(&algorithm.compute(password, salt), digest),
            Kind::Argon2(hash) => Argon2::default().verify_password(password, hash).is_ok(),
            // bcrypt 3.6: only 72 octets count; the crate compares in constant time.
            Kind::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Kind::ShaCrypt(hash) => hash.verify(password),
        }
    }
}

fn equal(a: &[u8], b: &[u8]) -> bool {
    bool::from(a.ct_eq(b))
}

/// The modular crypt format: the algorithm is named by what stands between the first dollars.
fn crypt(value: &str) -> Result<Kind<'_>, BadHash> {
    let mut parts = value.split('$');
    match (parts.next(), parts.next()) {
        (Some(""), Some("argon2id" | "argon2i" | "argon2d")) => PasswordHash::new(value)
            .ok()
            .filter(|hash| hash.hash.is_some() && hash.salt.is_some())
            .map(Kind::Argon2)
            .ok_or(BadHash("not a valid argon2 string")),
        (Some(""), Some("2a" | "2b" | "2x" | "2y")) => {
            let well_formed = value.len() == 60 && value.is_ascii();
            well_formed
                .then_some(Kind::Bcrypt(value))
                .ok_or(BadHash("not a valid bcrypt string"))
        }
        (Some(""), Some(id @ ("5" | "6"))) => ShaCrypt::parse(id == "6", parts)
            .map(Kind::ShaCrypt)
            .ok_or(BadHash("not a valid SHA-crypt string")),
        _ => Err(BadHash("neither {SCHEME} nor a known crypt string")),
    }
}

fn digest(
    algorithm: DigestAlgorithm,
    value: &str,
    hex: bool,
    salted: bool,
) -> Result<Kind<'static>, BadHash> {
    let octets = if hex {
        unhex(value)
    } else {
        BASE64.decode(value).ok()
    };
    let mut digest = octets.ok_or(BadHash("the digest is not base64 or hex"))?;
    let len = algorithm.len();
    if digest.len() < len || (digest.len() > len) != salted {
        return Err(BadHash("the digest has the wrong length"));
    }
    let salt = digest.split_off(len);
    Ok(Kind::Digest {
        algorithm,
        digest,
        salt,
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let nibble = |c: u8| {
        char::from(c)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?))
        .collect()
}

impl DigestAlgorithm {
    fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    fn compute(self, password: &[u8], salt: &[u8]) -> Vec<u8> {
        fn run<D: Digest>(password: &[u8], salt: &[u8]) -> Vec<u8> {
            D::new()
                .chain_update(password)
                .chain_update(salt)
                .finalize()
                .to_vec()
        }
        match self {
            Self::Sha1 => run::<Sha1>(password, salt),
            Self::Sha256 => run::<Sha256>(password, salt),
            Self::Sha512 => run::<Sha512>(password, salt),
        }
    }
}

impl<'a> ShaCrypt<'a> {
    /// From what follows `$5` or `$6`: `[$rounds=N]$salt$hash`.
    fn parse(long: bool, mut parts: std::str::Split<'a, char>) -> Option<Self> {
        let mut salt = parts.next()?;
        let mut rounds = sha_crypt::ROUNDS_DEFAULT;
        if let Some(number) = salt.strip_prefix("rounds=") {
            // Drepper's specification: out of range is taken as the nearest in range.
            rounds = number
                .parse::<usize>()
                .ok()?
                .clamp(sha_crypt::ROUNDS_MIN, sha_crypt::ROUNDS_MAX);
            salt = parts.next()?;
        }
        let hash = parts.next()?;
        let well_formed =
            parts.next().is_none() && salt.is_ascii() && hash.len() == if long { 86 } else { 43 };
        // Only 16 octets of the salt count.
        let salt = salt.get(..16).unwrap_or(salt);
        well_formed.then_some(Self {
            long,
            rounds,
            salt,
            hash,
        })
    }

    fn verify(&self, password: &[u8]) -> bool {
        let salt = self.salt.as_bytes();
        let computed = if self.long {
            sha_crypt::Sha512Params::new(self.rounds)
                .and_then(|params| sha_crypt::sha512_crypt_b64(password, salt, &params))
        } else {
            sha_crypt::Sha256Params::new(self.rounds)
                .and_then(|params| sha_crypt::sha256_crypt_b64(password, salt, &params))
        };
        computed.is_ok_and(|computed| equal(computed.as_bytes(), self.hash.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python's crypt and hashlib (Debian's libxcrypt), of this password.
    const PASSWORD: &str = "pässwörd:1";
    const VECTORS: &[&str] = &[
        "{PLAIN}pässwörd:1",
        "{cleartext}pässwörd:1",
        "{SHA}IiBFp4PZiy061PZ88p64fx7ufjY=",
        "{SHA}IiBFp4PZiy061PZ88p64fx7ufjY",
        "{SHA1.hex}222045a783d98b2d3ad4f67cf29eb87f1eee7e36",
        "{SSHA}IG2PXd7R9XeciK8fCs1b/CJRS5YBAgP/c2FsdA==",
        "{ssha}IG2PXd7R9XeciK8fCs1b/CJRS5YBAgP/c2FsdA==",
        "{SHA256}QgXjzEgdAVh/6S1XZ+yleJJO59IwoVug36YXPovpcvY=",
        "{SSHA256}5jG4Zrqi1Zc5dY8iGF16zZCQAak+fvBQDq8hZx813LEBAgP/c2FsdA==",
        "{SSHA256.HEX}E631B866BAA2D59739758F22185D7ACD909001A93E7EF0500EAF21671F35DCB1\
         010203FF73616C74",
        "{SHA512}Gp+LI6W4KeNwVOLnIc+Qz36iLEDQk2Lakf3ZdvF3dB9FM8vG30aLZVlW/aK/4OBaFGVMCKnROLqP2\
         +8WK/AY7g==",
        "{SSHA512}Hn+j0GXwc/kmzChF0fDYX5bF5t5U+UEkybl4gUkf2NGFUM1GyMHEODcNPaFIrFR497uqwbnoTXvO\
         Q/CQwwa+1AECA/9zYWx0",
        "{SHA256-CRYPT}$5$saltstring$D7bcX7WzrRJ/VIiIB3thtOvdd15bqoGEknN0OuQVTZ2",
        "$5$rounds=1500$averyveryverylon$s0vMq8K50IRlmkL1El0tkX8mXjdXD0RWxbr5uNyZOC4",
        "$5$rounds=1500$averyveryverylongsalt$s0vMq8K50IRlmkL1El0tkX8mXjdXD0RWxbr5uNyZOC4",
        "{SHA512-CRYPT}$6$saltstring$W7q0wjCvbzUKpI3EJqzTGdq8vx72N8nTdKrBSHw4RnFZxgYz30f5ijVO\
         AN5JSVEQ5f3E1lctDLr9Olg4o9/kG.",
        "{BLF-CRYPT}$2y$05$abcdefghijklmnopqrstuuahB9T./HUS/olhwE67bSMCTdvHzEgJy",
        "{CRYPT}$2b$05$abcdefghijklmnopqrstuuahB9T./HUS/olhwE67bSMCTdvHzEgJy",
        "$2a$05$abcdefghijklmnopqrstuuahB9T./HUS/olhwE67bSMCTdvHzEgJy",
    ];

    fn verify(stored: &str, password: &str) -> bool {
        Stored::parse(stored)
            .expect("a known scheme")
            .verify(password.as_bytes())
    }

    #[test]
    fn malformed_hashes_are_told_from_wrong_passwords() {
        for stored in [
            "",
            "secret",
            "{PLAIN",
            "{ROT13}frperg",
            "{SHA.OCT}IiBFp4PZiy061PZ88p64fx7ufjY=",
            "{SHA}!",
            "{SHA.HEX}222045a783d98b2d3ad4f67cf29eb87f1eee7e3",
            "{SHA}QgXjzEgdAVh/6S1XZ+yleJJO59IwoVug36YXPovpcvY=",
            "{SSHA}IiBFp4PZiy061PZ88p64fx7ufjY=",
            "{SSHA256}IG2PXd7R9XeciK8fCs1b/CJRS5YBAgP/c2FsdA==",
            "$5$saltstring",
            "$5$saltstring$short",
            "$5$rounds=x$saltstring$D7bcX7WzrRJ/VIiIB3thtOvdd15bqoGEknN0OuQVTZ2",
            "$6$ab$D7bcX7WzrRJ/VIiIB3thtOvdd15bqoGEknN0OuQVTZ2",
            "$2y$05$short",
            "$1$salt$md5",
            "{ARGON2ID}$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ",
            "{ARGON2ID}$argon2id$x",
            "{CRYPT}ab01FAX.bQRSU",
        ] {
            assert!(Stored::parse(stored).is_err(), "{stored}");
        }
    }

    #[test]
    fn every_scheme_accepts_its_password_and_no_other() {
        for stored in VECTORS {
            assert!(verify(stored, PASSWORD), "{stored}");
            for wrong in ["", "pässwörd:2", "pässwörd:", "pässwörd:11", "PÄSSWÖRD:1"] {
                assert!(!verify(stored, wrong), "{stored} {wrong}");
            }
        }
    }

    #[test]
    fn argon2_agrees_with_the_reference_implementation() {
        // From phc-winner-argon2: README and src/test.c.
        for stored in [
            "{ARGON2I}$argon2i$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG",
            "{ARGON2ID}$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8A\
             rZWb2GRPPc",
        ] {
            assert!(verify(stored, "password"), "{stored}");
            assert!(!verify(stored, "passwore"), "{stored}");
        }
    }

    #[test]
    fn sha_crypt_agrees_with_the_specification() {
        // Drepper's SHA-crypt.txt, tests2.
        assert!(verify(
            "$6$rounds=1000$roundstoolow$kUMsbe306n21p9R.FRkW3IGn.S9NPN0x50YhH1xhLsPuWGsUSklZt58jaT\
             fF4ZEQpyUNGc0dqbpBYYBaHHrsX.",
            "the minimum number is still observed"
        ));
        // openssl passwd -5|-6 -salt abc secret
        assert!(verify(
            "$5$abc$qsg6EHbUzHQzF1POlD7zUwBINSELQxypPaeDcZe6vH0",
            "secret"
        ));
        assert!(verify(
            "$6$abc$IdWKNKTJEb8LxY7CGg8YBXlvtfZzFw7Mp/r6niK9YB2mdvgY..TKjv1T..8RadRt2qvUHYRLr/\
             TsVArtr91iR1",
            "secret"
        ));
    }

    #[test]
    fn bcrypt_counts_72_octets() {
        let stored = "$2y$05$abcdefghijklmnopqrstuujf8SX2ahXLwp9w/B.Y5XdysS6yR576q";
        assert!(verify(stored, &"x".repeat(80)));
        assert!(verify(stored, &"x".repeat(72)));
        assert!(!verify(stored, &"x".repeat(71)));
    }

    #[test]
    fn new_hashes_verify_and_never_repeat() {
        let hash = hash_password(PASSWORD).expect("hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify(&hash, PASSWORD));
        assert!(!verify(&hash, "other"));
        assert_ne!(hash, hash_password(PASSWORD).expect("hashed"));
    }

    #[test]
    fn the_dummy_costs_what_a_real_hash_costs_and_matches_nothing() {
        let stored = Stored::parse(DUMMY).expect("well formed");
        let Kind::Argon2(hash) = &stored.0 else {
            panic!("not argon2")
        };
        let params = Params::try_from(hash).expect("params");
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), ARGON2);
        assert_eq!(hash.hash.map(|h| h.len()), Some(32));
        assert!(!stored.verify(b""));
    }
}
