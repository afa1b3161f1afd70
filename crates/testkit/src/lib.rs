//! What Gatepost's tests share: dialogue scripts, raw line clients, a running server, and mail.
//!
//! - [`dialogue`]: `C:`/`S:` scripts over any byte stream, several sessions at once.
//!
//! Development only: nothing that ships depends on this crate.
#![forbid(unsafe_code)]

pub mod dialogue;
