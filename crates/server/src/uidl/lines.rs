//! A connection to another server, in lines.

use super::Source;
use crate::failure::Failure;
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Where Debian keeps whom to trust.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// How long the other server may take for a line.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest line, and longest literal.
const MAX: u64 = 16 << 20;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The connection.
pub(super) struct Lines {
    io: BufReader<Box<dyn Stream>>,
    host: String,
}

impl Lines {
    /// Connects; `roots` is a PEM file with whom to trust, in place of the system's.
    pub(super) async fn connect(source: &Source, roots: Option<&Path>) -> Result<Self, Failure> {
        let Source { host, port, .. } = source;
        let failed = |error: &dyn std::fmt::Display| Failure::trouble(format!("{host}: {error}"));
        let tcp = tokio::time::timeout(PATIENCE, TcpStream::connect((host.as_str(), *port)));
        let tcp = tcp.await.map_err(|error| failed(&error))?;
        let tcp = tcp.map_err(|error| failed(&error))?;
        let stream: Box<dyn Stream> = match source.tls {
            false => Box::new(tcp),
            true => {
                let name = ServerName::try_from(host.clone()).map_err(|error| failed(&error))?;
                let connector = tokio_rustls::TlsConnector::from(Arc::new(trust(roots)?));
                let tls = tokio::time::timeout(PATIENCE, connector.connect(name, tcp)).await;
                Box::new(
                    tls.map_err(|error| failed(&error))?
                        .map_err(|error| failed(&error))?,
                )
            }
        };
        Ok(Self {
            io: BufReader::new(stream),
            host: host.clone(),
        })
    }

    /// A sentence about the other server.
    pub(super) fn trouble(&self, what: &dyn std::fmt::Display) -> Failure {
        Failure::trouble(format!("{}: {what}", self.host))
    }

    pub(super) async fn send(&mut self, line: &str) -> Result<(), Failure> {
        let sent = self.io.write_all(format!("{line}\r\n").as_bytes()).await;
        sent.map_err(|error| self.trouble(&error))
    }

    /// A line without its end.
    pub(super) async fn line(&mut self) -> Result<Vec<u8>, Failure> {
        let mut line = Vec::new();
        let mut limited = (&mut self.io).take(MAX);
        let read = tokio::time::timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await;
        match read {
            Ok(Ok(_)) if line.ends_with(b"\n") => {}
            Ok(Ok(_)) => return Err(self.trouble(&"the connection ended")),
            Ok(Err(error)) => return Err(self.trouble(&error)),
            Err(error) => return Err(self.trouble(&error)),
        }
        let end = if line.ends_with(b"\r\n") { 2 } else { 1 };
        line.truncate(line.len() - end);
        Ok(line)
    }

    /// Exactly so many octets.
    pub(super) async fn octets(&mut self, count: u64) -> Result<Vec<u8>, Failure> {
        if count > MAX {
            return Err(self.trouble(&"a header is too large"));
        }
        let mut octets = Vec::new();
        let mut limited = (&mut self.io).take(count);
        let read = tokio::time::timeout(PATIENCE, limited.read_to_end(&mut octets)).await;
        match read {
            Ok(Ok(_)) if octets.len() as u64 == count => Ok(octets),
            Ok(Ok(_)) => Err(self.trouble(&"the connection ended")),
            Ok(Err(error)) => Err(self.trouble(&error)),
            Err(error) => Err(self.trouble(&error)),
        }
    }
}

fn trust(roots: Option<&Path>) -> Result<rustls::ClientConfig, Failure> {
    let path = roots.unwrap_or(Path::new(SYSTEM_ROOTS));
    let unusable =
        |error: &dyn std::fmt::Display| Failure::refused(format!("{}: {error}", path.display()));
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))? {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        // Bundles have some that nobody can use any more.
        let _ = store.add(certificate);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
}
