//! Gatepost and Debian's Dovecot side by side: the same mail, the same questions, the same answers,
//! but for the differences that `docs/decisions/0002-differences-from-dovecot.md` explains.
//!
//! A family of questions is a file with its own tests; [`pair::Pair`] asks them.
#![allow(missing_docs, clippy::unwrap_used)]

mod binary;
mod mail;
mod pair;
mod pop3;
mod sort;
