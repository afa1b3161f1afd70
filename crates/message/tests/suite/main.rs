//! What the crate promises, seen from outside.
#![allow(clippy::unwrap_used)]

mod envelope;
mod hostile;
mod imap;
mod properties;
mod sections;
mod structure;
mod texts;
