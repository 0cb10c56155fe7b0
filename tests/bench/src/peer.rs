//! The server, as a place to connect to over TLS 1.3.
//!
//! Verifies its certificate as a device does. Never resumes a session.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, version};

use crate::options::Options;

/// A connection over TLS.
pub(crate) type Secured = TlsStream<TcpStream>;

/// A server.
#[derive(Clone)]
pub(crate) struct Peer {
    address: SocketAddr,
    connector: TlsConnector,
}

impl Peer {
    /// The server of the command line.
    ///
    /// # Errors
    /// If an option is missing, or the CA cannot be read.
    pub(crate) fn new(options: &Options) -> Result<Self> {
        Self::at(options.address()?, &options.ca()?)
    }

    /// The server at an address, with a certificate of this CA.
    ///
    /// # Errors
    /// If the CA cannot be read.
    pub(crate) fn at(address: SocketAddr, ca: &Path) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        let cert = CertificateDer::from_pem_file(ca).with_context(|| ca.display().to_string())?;
        roots.add(cert)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Self {
            address,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    /// A fresh connection, with a full handshake.
    ///
    /// # Errors
    /// If the server does not answer, or shows another certificate.
    pub(crate) async fn connect(&self) -> Result<Secured> {
        let stream = TcpStream::connect(self.address)
            .await
            .context("connecting")?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let secured = self.connector.connect(name, stream).await;
        secured.context("the TLS handshake")
    }
}
