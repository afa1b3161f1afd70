//! TLS as a client's mail program speaks it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned,
};

use crate::wire::{Result, Stream};

/// Connects to servers of one name.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// Which certificates are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trust<'a> {
    /// Those that a certificate in this PEM file vouches for.
    File(&'a Path),
    Any,
}

impl Tls {
    /// A server of ours with this self-signed certificate.
    pub(crate) fn trusting(certificate: &Path) -> Result<Self> {
        Self::new("localhost", Trust::File(certificate))
    }

    /// Sessions are not resumed: each connection costs a whole handshake.
    pub(crate) fn new(host: &str, trust: Trust<'_>) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let config = match trust {
            Trust::File(path) => config.with_root_certificates(roots(path)?),
            Trust::Any => config
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unchecked(provider))),
        };
        let mut config = config.with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self {
            config: Arc::new(config),
            name: ServerName::try_from(host.to_owned())?,
        })
    }

    /// The handshake comes with the first octet.
    pub(crate) fn over(&self, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>> {
        let connection = ClientConnection::new(self.config.clone(), self.name.clone())?;
        Ok(Box::new(StreamOwned::new(connection, stream)))
    }
}

impl Stream for StreamOwned<ClientConnection, Box<dyn Stream>> {
    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.sock.set_patience(patience)
    }
}

fn roots(path: &Path) -> Result<RootCertStore> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let found = CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?;
    let found: Vec<_> = found.collect::<std::result::Result<_, _>>()?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found);
    if added == 0 {
        return Err(wrong(&"no certificate").into());
    }
    Ok(roots)
}

/// Takes any certificate: who measures a server by address may have none that others vouch for.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
