//! Which certificate a handshake gets: files of the operator's, or one of the development CA.
//!
//! Renewed while the relay runs: files are read again, the CA signs a fresh one. Never speaks a
//! version before TLS 1.2 (clause D1), and never drops a good certificate for a bad one.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::dev_ca::DevCa;
use super::settings::Tls;

/// Why there is no certificate to show.
#[derive(Debug)]
pub(crate) enum TlsError {
    /// A file or folder could not be read or written.
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file is no PEM, or not what it should be.
    Pem {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: pem::Error,
    },
    /// Certificate and key do not belong together, or are of a kind that TLS cannot use.
    Unfit(rustls::Error),
    /// The folder of the CA has a certificate, and its key is missing.
    KeyLost {
        /// Where the key should be.
        path: PathBuf,
    },
    /// The CA's key cannot be read.
    CaKey {
        /// Where it is.
        path: PathBuf,
        /// Why.
        error: rcgen::Error,
    },
    /// Making a key or a certificate failed.
    Make(rcgen::Error),
}

impl TlsError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |error| Self::Io { path, error }
    }

    fn pem(path: &Path) -> impl FnOnce(pem::Error) -> Self {
        let path = path.to_path_buf();
        move |error| match error {
            pem::Error::Io(error) => Self::Io { path, error },
            error => Self::Pem { path, error },
        }
    }

    /// What to do next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => "check that it exists, and that the relay's user may use it",
            Self::Pem { .. } => "give PEM files: the chain, server certificate first, and its key",
            Self::Unfit(_) => "give the key that the first certificate of the file was made for",
            Self::KeyLost { .. } => {
                "put ca.key back; or remove ca.pem too: a new CA is made, and each device needs its ca.pem"
            }
            Self::CaKey { .. } => "put the right ca.key back",
            Self::Make(_) => "the system gives no randomness",
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Pem { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Unfit(error) => write!(f, "the certificate cannot be used: {error}"),
            Self::KeyLost { path } => {
                write!(f, "{} is missing beside its ca.pem", path.display())
            }
            Self::CaKey { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Make(error) => write!(f, "no certificate could be made: {error}"),
        }
    }
}

impl std::error::Error for TlsError {}

enum Source {
    Files { cert: PathBuf, key: PathBuf },
    DevCa(Box<DevCa>),
}

impl Source {
    fn load(&self) -> Result<CertifiedKey, TlsError> {
        let (chain, key) = match self {
            Self::DevCa(ca) => ca.issue()?,
            Self::Files { cert, key } => {
                let chain = CertificateDer::pem_file_iter(cert)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(TlsError::pem(cert))?;
                let key = PrivateKeyDer::from_pem_file(key).map_err(TlsError::pem(key))?;
                (chain, key)
            }
        };
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(TlsError::Unfit)
    }
}

/// The relay's certificate, as it is now.
pub(crate) struct Certificate {
    source: Source,
    now: RwLock<Arc<CertifiedKey>>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate")
    }
}

impl Certificate {
    /// Reads or makes the certificate; none if there shall be no TLS.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn open(tls: &Tls, listen: SocketAddr) -> Result<Option<Arc<Self>>, TlsError> {
        let source = match tls {
            Tls::None => return Ok(None),
            Tls::DevCa(folder) => Source::DevCa(Box::new(DevCa::open(folder, listen)?)),
            Tls::Files { cert, key } => Source::Files {
                cert: cert.clone(),
                key: key.clone(),
            },
        };
        let now = RwLock::new(Arc::new(source.load()?));
        Ok(Some(Arc::new(Self { source, now })))
    }

    /// Reads the files again, or has the CA sign a fresh one. In an error the old one stays.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn renew(&self) -> Result<(), TlsError> {
        let fresh = Arc::new(self.source.load()?);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// What makes connections of handshakes.
    ///
    /// # Errors
    /// [`TlsError::Unfit`].
    pub(crate) fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .map_err(TlsError::Unfit)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Devices that come back each minute resume with a ticket, and the relay keeps nothing.
        config.ticketer = ring::Ticketer::new().map_err(TlsError::Unfit)?;
        config.send_tls13_tickets = 1;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&now))
    }
}
