//! Gatepost and Debian's Dovecot side by side: the same mail, the same questions, the same answers,
//! but for the differences that `docs/decisions/0002-differences-from-dovecot.md` explains.
//!
//! A family of questions is a file with its own tests; [`pair::Pair`] asks them. The default is a
//! sample of real mail; `ORACLE=all` asks about all 6 046 messages of the SpamAssassin corpus.
#![allow(missing_docs, clippy::unwrap_used)]

mod binary;
mod different;
mod items;
mod known;
mod mail;
mod pair;
mod pop3;
mod search;
mod sections;
mod sort;
mod walk;
