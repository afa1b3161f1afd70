//! Certificates and their replacement while connections live on.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use tokio_rustls::TlsAcceptor;

/// How often the files' times are looked at.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Why there is no usable certificate; always the operator's to mend.
#[derive(Debug)]
pub enum TlsError {
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// A file holds no certificate or no private key in PEM.
    Pem(PathBuf, String),
    /// The key is of an unusable kind or does not belong to the certificate.
    Key(PathBuf, String),
    /// A self-signed certificate could not be made, or the configuration is contradictory.
    Other(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Pem(path, what) => write!(f, "{}: {what}", path.display()),
            Self::Key(path, what) => write!(f, "private key {}: {what}", path.display()),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for TlsError {}

/// The server's TLS: one configuration, whose certificate can be replaced.
pub struct Tls {
    acceptor: TlsAcceptor,
    current: Arc<Current>,
    files: Option<Files>,
}

struct Files {
    certificate: PathBuf,
    private_key: PathBuf,
    seen: Mutex<Option<Stamp>>,
}

/// Time and length of both files: what tells a replaced file from the one that was read.
type Stamp = [(SystemTime, u64); 2];

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(
            &self.0.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

impl Tls {
    /// Reads a PEM chain (leaf first) and its key.
    pub fn load(certificate: &Path, private_key: &Path) -> Result<Arc<Self>, TlsError> {
        let files = Files {
            certificate: certificate.to_owned(),
            private_key: private_key.to_owned(),
            seen: Mutex::new(None),
        };
        // The stamp is taken first: a file replaced between stamp and read is read again later.
        let stamp = files.stamp();
        let key = files.read()?;
        *files.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamp;
        Self::with(key, Some(files))
    }

    /// A certificate nobody has signed, for `demo` and tests; names are DNS names or IP addresses.
    pub fn self_signed(names: &[&str]) -> Result<Arc<Self>, TlsError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names)
            .map_err(|error| TlsError::Other(format!("self-signed certificate: {error}")))?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .map_err(|error| TlsError::Other(error.to_owned()))?;
        let chain = vec![made.cert.der().clone()];
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|error| TlsError::Other(error.to_string()))?;
        Self::with(key, None)
    }

    fn with(key: CertifiedKey, files: Option<Files>) -> Result<Arc<Self>, TlsError> {
        let other = |error: rustls::Error| TlsError::Other(error.to_string());
        let current = Arc::new(Current(RwLock::new(Arc::new(key))));
        // RFC 8314 4.1, RFC 8996: nothing below TLS 1.2.
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        // Tickets let clients resume at no cost in our memory; the session cache is not needed.
        config.ticketer = ring::Ticketer::new().map_err(other)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Arc::new(Self {
            acceptor,
            current,
            files,
        }))
    }

    /// Reads the files again. On error the certificate in use stays. Open connections keep theirs.
    pub fn reload(&self) -> Result<(), TlsError> {
        let Some(files) = &self.files else {
            return Ok(());
        };
        let stamp = files.stamp();
        let key = files.read();
        // A broken file is complained about once, not every few seconds.
        *files.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamp;
        *self
            .current
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(key?);
        Ok(())
    }

    /// [`Self::reload`] if the files have changed since they were last read; says whether it did.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let Some(files) = &self.files else {
            return Ok(false);
        };
        let stamp = files.stamp();
        // A vanished file is a renewal half done: keep what we have and look again.
        if stamp.is_none() || stamp == *files.seen.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(false);
        }
        self.reload().map(|()| true)
    }

    /// Watches the files until `shutdown`; outcomes are logged.
    pub async fn watch(self: Arc<Self>, mut shutdown: crate::Token) {
        loop {
            tokio::select! {
                () = shutdown.started() => return,
                () = tokio::time::sleep(CHECK_EVERY) => {}
            }
            let this = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || this.reload_if_changed()).await {
                Ok(Ok(true)) => tracing::info!("certificate reloaded"),
                Ok(Err(error)) => {
                    tracing::error!(%error, "certificate not reloaded, the old one stays in use");
                }
                Ok(Ok(false)) | Err(_) => {}
            }
        }
    }

    /// The leaf certificate now in use, in DER.
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        let key = self
            .current
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        key.cert.first().cloned()
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(..)")
    }
}

impl Files {
    fn stamp(&self) -> Option<Stamp> {
        let stamp = |path: &Path| {
            let meta = std::fs::metadata(path).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        };
        Some([stamp(&self.certificate)?, stamp(&self.private_key)?])
    }

    fn read(&self) -> Result<CertifiedKey, TlsError> {
        let chain = read(&self.certificate)?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
            .collect::<Result<_, _>>()
            .map_err(|error| TlsError::Pem(self.certificate.clone(), error.to_string()))?;
        if chain.is_empty() {
            return Err(TlsError::Pem(
                self.certificate.clone(),
                "no certificate in it".to_owned(),
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(&read(&self.private_key)?)
            .map_err(|error| TlsError::Pem(self.private_key.clone(), error.to_string()))?;
        CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|error| TlsError::Key(self.private_key.clone(), error.to_string()))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Read(path.to_owned(), error))
}
