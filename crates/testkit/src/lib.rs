//! What Gatepost's tests share: dialogue scripts, raw line clients, a running server, and mail.
//!
//! - [`dialogue`]: `C:`/`S:` scripts over any byte stream, several sessions at once.
//! - [`Server`]: the `gatepost` binary on loopback, on a directory of its own, killed and restarted
//!   at will.
//! - [`ImapClient`], [`Pop3Client`], [`LmtpClient`]: blocking clients that show every byte.
//! - [`grammar`]: imap-codec reads along.
//! - [`Value`]: what a FETCH response holds.
//! - [`Dovecot`]: Debian's, beside it.
//! - [`Zlib`]: a connection that follows COMPRESS=DEFLATE by itself.
//! - [`disk`]: disks whose power goes; [`torture`]: a busy server on them.
//! - [`bounds`]: a server under more than its share.
//! - [`corpus`]: realistic messages from a seed; [`real`]: messages of real people; [`nasty`]:
//!   messages that break careless parsers.
//! - [`programs`]: the mail clients from Debian that the tests run.
//!
//! Development only: nothing that ships depends on this crate.
#![forbid(unsafe_code)]

pub mod bounds;
pub mod certificate;
pub mod corpus;
pub mod dialogue;
pub mod disk;
mod dovecot;
pub mod grammar;
mod imap;
mod lines;
mod lmtp;
pub mod nasty;
mod pop3;
pub mod programs;
pub mod real;
mod server;
pub mod torture;
mod value;
mod zlib;

pub use dovecot::Dovecot;
pub use imap::{ImapClient, Response};
pub use lines::dot_stuffed;
pub use lmtp::LmtpClient;
pub use pop3::Pop3Client;
pub use rustix::process::Signal;
pub use server::{PASSWORD, Server, Settings};
pub use value::Value;
pub use zlib::Zlib;
