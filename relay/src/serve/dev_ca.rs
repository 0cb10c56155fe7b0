//! `--dev-ca DIR`: a certificate authority of the relay's own, for trying things out and for fleets
//! whose devices are given its `ca.pem`.
//!
//! The folder holds `ca.pem`, the trust root, and `ca.key`. Both are made once and kept. Server
//! certificates are made at each start and live in memory only: none can be stale, and there is
//! nothing to renew on disk. Never signs for anybody but this relay.

use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::{Span, Timestamp, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::tls::TlsError;

/// How long the authority holds, in years: longer than what trusts it.
const CA_YEARS: i64 = 20;
/// How long a server certificate holds, in days.
const LEAF_DAYS: i64 = 90;

/// An authority, and the names of this relay.
pub(crate) struct DevCa {
    issuer: Issuer<'static, KeyPair>,
    names: Vec<SanType>,
}

impl DevCa {
    /// Takes the authority of the folder, or makes it there. A crash in the middle leaves a key
    /// without a certificate, which the next call completes.
    ///
    /// # Errors
    /// [`TlsError`] if the folder cannot be written, or holds a certificate without its key.
    pub(crate) fn open(folder: &Path, listen: SocketAddr) -> Result<Self, TlsError> {
        let (cert_path, key_path) = (folder.join("ca.pem"), folder.join("ca.key"));
        fs::create_dir_all(folder).map_err(TlsError::io(folder))?;
        if !key_path.exists() {
            if cert_path.exists() {
                return Err(TlsError::KeyLost { path: key_path });
            }
            let key = KeyPair::generate().map_err(TlsError::Make)?;
            keep(&key_path, &key.serialize_pem(), 0o600).map_err(TlsError::io(&key_path))?;
        }
        let text = fs::read_to_string(&key_path).map_err(TlsError::io(&key_path))?;
        let key = KeyPair::from_pem(&text).map_err(|error| TlsError::CaKey {
            path: key_path,
            error,
        })?;
        let params = ca_params();
        if !cert_path.exists() {
            let cert = params.self_signed(&key).map_err(TlsError::Make)?;
            keep(&cert_path, &cert.pem(), 0o644).map_err(TlsError::io(&cert_path))?;
        }
        // The name and the key say which authority signs: `ca.pem` itself need not be read.
        Ok(Self {
            issuer: Issuer::new(params, key),
            names: names(listen),
        })
    }

    /// A fresh server certificate and its key.
    ///
    /// # Errors
    /// [`TlsError::Make`] if there is no randomness.
    pub(crate) fn issue(
        &self,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let key = KeyPair::generate().map_err(TlsError::Make)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named("Coracle relay");
        params.subject_alt_names.clone_from(&self.names);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        set_validity(&mut params, Span::new().days(LEAF_DAYS));
        let cert = params
            .signed_by(&key, &self.issuer)
            .map_err(TlsError::Make)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok((vec![cert.der().clone()], key.into()))
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Coracle development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, Span::new().years(CA_YEARS));
    params
}

/// From yesterday, for clocks that lag behind, until `span` from today.
fn set_validity(params: &mut CertificateParams, span: Span) {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let day = |date: Date| {
        let part = |number: i8| u8::try_from(number).unwrap_or(1);
        rcgen::date_time_ymd(date.year().into(), part(date.month()), part(date.day()))
    };
    params.not_before = day(today.saturating_sub(Span::new().days(1)));
    params.not_after = day(today.saturating_add(span));
}

/// Under which names and addresses the relay is reached: loopback, the host's name, the address
/// that it listens on, and for a wildcard the one that the default route leaves from.
fn names(listen: SocketAddr) -> Vec<SanType> {
    let mut addresses = vec![
        IpAddr::from([127, 0, 0, 1]),
        IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
    ];
    let own = if listen.ip().is_unspecified() {
        outward()
    } else {
        Some(listen.ip())
    };
    addresses.extend(own.filter(|address| !addresses.contains(address)));
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let hosts = ["localhost", hostname.trim()];
    let dns = hosts.iter().filter(|host| !host.is_empty());
    let dns = dns.filter_map(|host| Some(SanType::DnsName((*host).try_into().ok()?)));
    dns.chain(addresses.into_iter().map(SanType::IpAddress))
        .collect()
}

/// The address that packets to the world leave from. Connecting a datagram socket sends nothing.
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // An address of RFC 5737 that nobody has.
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Writes a file whole, with this mode from its first byte on, unless it is there: of two relays
/// that start at once, the first one's stays.
fn keep(path: &PathBuf, text: &str, mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => fs::File::open(folder)?.sync_all(),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        DevCa::open(folder.path(), listen).unwrap();
        let first = fs::read(folder.path().join("ca.pem")).unwrap();
        let key = fs::metadata(folder.path().join("ca.key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        DevCa::open(folder.path(), listen).unwrap();
        assert_eq!(fs::read(folder.path().join("ca.pem")).unwrap(), first);
    }

    #[test]
    fn a_certificate_without_its_key_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        DevCa::open(folder.path(), listen).unwrap();
        fs::remove_file(folder.path().join("ca.key")).unwrap();
        let refused = DevCa::open(folder.path(), listen);
        assert!(matches!(refused, Err(TlsError::KeyLost { .. })));
    }

    #[test]
    fn a_crash_between_key_and_certificate_is_completed() {
        let folder = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        DevCa::open(folder.path(), listen).unwrap();
        let key = fs::read(folder.path().join("ca.key")).unwrap();
        fs::remove_file(folder.path().join("ca.pem")).unwrap();
        DevCa::open(folder.path(), listen).unwrap();
        assert!(folder.path().join("ca.pem").exists());
        assert_eq!(fs::read(folder.path().join("ca.key")).unwrap(), key);
    }
}
