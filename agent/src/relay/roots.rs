//! Whom the device trusts to say which server is its relay.
//!
//! A file of the configuration, else what was given at enrolment, else the system's bundle. Never
//! falls back from the first two to the system's.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::RemoteError;

/// Most bytes of a file with certificates: the systems' have 250 KiB.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Most bytes of the certificates that are given at enrolment.
pub(crate) const GIVEN_BYTES_MAX: usize = 64 << 10;

/// Where systems keep the certificates that they trust.
const SYSTEM: [&str; 6] = [
    // Debian, Ubuntu, Alpine, Yocto, Buildroot, Arch
    "/etc/ssl/certs/ca-certificates.crt",
    // Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    // openSUSE
    "/etc/ssl/ca-bundle.pem",
    // OpenWrt, Alpine
    "/etc/ssl/cert.pem",
    // FreeBSD's layout
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// Where the certificates of the authorities are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Roots {
    /// In this file.
    File(PathBuf),
    /// Here, in PEM.
    Given(String),
    /// Where the system has them.
    System,
}

impl Roots {
    /// Reads them.
    ///
    /// # Errors
    /// [`RemoteError::Certificate`], which names the file.
    pub(crate) fn load(&self) -> Result<RootCertStore, RemoteError> {
        match self {
            Self::File(path) => parse(&read(path)?, &path.display().to_string()),
            Self::Given(pem) => parse(pem.as_bytes(), "the certificate given at enrolment"),
            Self::System => {
                let path = system(std::env::var_os("SSL_CERT_FILE")).ok_or_else(|| {
                    RemoteError::Certificate(
                        "this system has no bundle of certificate authorities; set relay_ca, or \
                         SSL_CERT_FILE"
                            .into(),
                    )
                })?;
                parse(&read(&path)?, &path.display().to_string())
            }
        }
    }
}

fn system(variable: Option<OsString>) -> Option<PathBuf> {
    let named = variable.filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(|| {
        let mut usual = SYSTEM.iter().map(PathBuf::from);
        usual.find(|path| path.is_file())
    })
}

fn read(path: &Path) -> Result<Vec<u8>, RemoteError> {
    let bytes = (|| {
        let mut bytes = Vec::new();
        let file = fs::File::open(path)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        Ok(bytes)
    })();
    bytes.map_err(|e| RemoteError::Certificate(format!("{}: {e}", path.display())))
}

/// The certificates in a text in PEM. Of a system's bundle some may be of a kind that is not
/// understood; there must be at least one that is.
fn parse(pem: &[u8], name: &str) -> Result<RootCertStore, RemoteError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| {
            RemoteError::Certificate(format!("{name} is no certificate in PEM: {e}"))
        })?;
        // One that is not understood vouches for nobody.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        return Err(RemoteError::Certificate(format!(
            "{name} has no certificate in PEM"
        )));
    }
    Ok(roots)
}

/// Whether a text has certificates in PEM.
///
/// # Errors
/// [`RemoteError::Certificate`].
pub(crate) fn check(pem: &str, name: &str) -> Result<(), RemoteError> {
    parse(pem.as_bytes(), name).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let message = |roots: &Roots| match roots.load() {
            Err(RemoteError::Certificate(words)) => words,
            other => panic!("{other:?}"),
        };
        assert!(message(&Roots::File(path.clone())).contains("ca.pem: "));
        for text in [
            "",
            "no certificate",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ] {
            fs::write(&path, text).unwrap();
            assert!(
                message(&Roots::File(path.clone())).ends_with("ca.pem has no certificate in PEM")
            );
        }
        let broken = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
        assert!(message(&Roots::Given(broken.into())).contains("is no certificate in PEM"));
        let huge = fs::File::create(&path).unwrap();
        huge.set_len(FILE_BYTES_MAX + 1).unwrap();
        assert!(message(&Roots::File(path)).contains("file too large"));
    }

    #[test]
    fn the_variable_beats_the_usual_places() {
        assert_eq!(system(Some("/x.pem".into())), Some("/x.pem".into()));
        assert_eq!(system(Some("".into())), system(None));
    }
}
