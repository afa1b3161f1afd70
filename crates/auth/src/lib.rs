//! Who is this user: directories, password schemes and SASL.
//!
//! Fronts take a [`Login`] (typed in, or out of a [`sasl::Exchange`]) to [`Auth::verify`] and get a
//! [`Principal`] or an [`AuthError`] that says whose fault it was. Hashing never runs on an async
//! thread, costs the same for users that do not exist, and is spared to clients that open several
//! connections with one password.
#![forbid(unsafe_code)]

mod app_password;
mod cache;
mod directory;
mod passwd_file;
mod penalty;
mod policy;
pub mod sasl;
mod scheme;
mod secret;
mod sessions;
mod verify;

pub use app_password::{AppPassword, AppPasswords, NewSecret};
pub use directory::{Directory, DirectoryError, Entry};
pub use passwd_file::{PasswdFile, Problem};
pub use policy::CleartextPolicy;
pub use scheme::{HashError, hash_password};
pub use secret::Secret;
pub use verify::{Auth, AuthError, Credential, Login, Options, Principal};
