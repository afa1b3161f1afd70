//! TLS as a client's mail program speaks it; the certificate is the one the server was given.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::wire::{Result, Stream};

/// Connects to servers that hold one known certificate.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Trusts the self-signed certificate in this PEM file and no other. Sessions are not resumed:
    /// each connection costs a whole handshake.
    pub(crate) fn trusting(certificate: &Path) -> Result<Self> {
        let known = CertificateDer::from_pem_file(certificate)
            .map_err(|error| format!("{}: {error}", certificate.display()))?;
        let mut roots = RootCertStore::empty();
        roots.add(known)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// The handshake comes with the first octet.
    pub(crate) fn over(&self, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>> {
        let name = ServerName::try_from("localhost")?;
        let connection = ClientConnection::new(self.config.clone(), name)?;
        Ok(Box::new(StreamOwned::new(connection, stream)))
    }
}

impl Stream for StreamOwned<ClientConnection, Box<dyn Stream>> {}
