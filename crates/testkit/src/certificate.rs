//! A self-signed certificate for a server on loopback.

use std::fs;
use std::io;
use std::path::Path;

/// Writes `cert.pem` and `key.pem` for `localhost` and `127.0.0.1` to a directory.
///
/// # Errors
/// When the files cannot be written.
pub fn write(directory: &Path) -> io::Result<()> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
    fs::write(directory.join("cert.pem"), made.cert.pem())?;
    fs::write(directory.join("key.pem"), made.signing_key.serialize_pem())
}
