//! TLS to the relay: rustls over the transports of ureq, with a certificate check that knows what
//! is certain about the time.
//!
//! ureq's own TLS takes neither a verifier nor a clock. Never turns a check off: where the wall
//! clock is behind what is certain, a certificate that is "not valid yet" passes, and nothing else
//! is relaxed (`docs/decisions/0006-the-way-to-the-relay.md`).

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{
    CryptoProvider, KeyProvider, WebPkiSupportedAlgorithms, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SigningKey;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme, StreamOwned,
};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

/// Sessions that are kept to be resumed: a relay and a server of bundles.
const SESSIONS_MAX: usize = 4;
/// Most certificates in a chain that may each be "not valid yet": webpki takes fewer.
const CHAIN_MAX: usize = 8;

/// What is certain about the time, for threads that check certificates: seconds since 1970-01-01
/// UTC.
#[derive(Clone, Debug, Default)]
pub(super) struct Floor(Arc<AtomicU64>);

impl Floor {
    /// It is at least this late.
    pub(super) fn set(&self, floor_s: u64) {
        self.0.store(floor_s, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How to speak TLS with servers that these authorities vouch for.
///
/// # Errors
/// What rustls says of the authorities.
pub(super) fn config(roots: RootCertStore, floor: Floor) -> Result<ClientConfig, rustls::Error> {
    let provider = CryptoProvider {
        key_provider: &NoKeys,
        ..default_provider()
    };
    let verifier = Verifier {
        roots,
        algorithms: provider.signature_verification_algorithms,
        floor,
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
    Ok(config)
}

/// A client without a certificate never signs. This keeps ring's code for it out of the binary.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(
        &self,
        _key: PrivateKeyDer<'static>,
    ) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("no client certificates".to_owned()))
    }
}

/// rustls' own checks of chain, name and signatures, at the right time. As there, a revoked
/// certificate is not noticed: nobody gives a device the lists.
#[derive(Debug)]
struct Verifier {
    roots: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
    floor: Floor,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let leaf = ParsedCertificate::try_from(end_entity)?;
        let (roots, algorithms) = (&self.roots, self.algorithms.all);
        at_the_right_time(now, self.floor.get(), |at| {
            verify_server_cert_signed_by_trust_anchor(&leaf, roots, intermediates, at, algorithms)
        })?;
        verify_server_name(&leaf, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Checks at the wall clock's time where that is possible. Where it lies behind what is certain,
/// checks at the floor; and since the true time may be any later one, at the moment at which a
/// certificate that is not valid yet becomes so: later than the floor, so whatever has ended by
/// the floor stays ended.
fn at_the_right_time<T>(
    wall: UnixTime,
    floor_s: u64,
    check: impl Fn(UnixTime) -> Result<T, rustls::Error>,
) -> Result<T, rustls::Error> {
    if wall.as_secs() >= floor_s {
        return check(wall);
    }
    let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let mut time = at(floor_s);
    let mut result = check(time);
    for _ in 0..CHAIN_MAX {
        let Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
            not_before,
            ..
        })) = &result
        else {
            break;
        };
        if not_before.as_secs() <= time.as_secs() {
            break;
        }
        time = *not_before;
        result = check(time);
    }
    result
}

/// Puts TLS on a connection for `https`; leaves others as they are.
pub(super) struct TlsConnector(pub(super) Option<Arc<ClientConfig>>);

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else {
            return Ok(None);
        };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let config = self.0.clone().ok_or(ureq::Error::TlsRequired)?;
        let host = details.uri.host().unwrap_or_default();
        // An IPv6 address stands in brackets in a URL only.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| ureq::Error::Tls("the host's name is none that a certificate has"))?;
        let mut connection = ClientConnection::new(config, name)
            .map_err(|e| ureq::Error::Io(io::Error::new(io::ErrorKind::InvalidData, e)))?;
        let mut socket = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket)?;
        Ok(Some(Either::B(TlsTransport {
            buffers: LazyBuffers::new(
                details.config.input_buffer_size(),
                details.config.output_buffer_size(),
            ),
            stream: StreamOwned::new(connection, socket),
        })))
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsConnector").finish_non_exhaustive()
    }
}

/// A connection with TLS.
pub(super) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output)?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let input = self.buffers.input_append_buf();
        let read = self.stream.read(input)?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTransport").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERT_FROM: u64 = 1_000;
    const CERT_TO: u64 = 2_000;

    /// A certificate that is good from `CERT_FROM` to `CERT_TO`.
    fn check(at: UnixTime) -> Result<u64, rustls::Error> {
        let time = |s| UnixTime::since_unix_epoch(Duration::from_secs(s));
        Err(rustls::Error::InvalidCertificate(match at.as_secs() {
            early if early < CERT_FROM => CertificateError::NotValidYetContext {
                time: at,
                not_before: time(CERT_FROM),
            },
            late if late > CERT_TO => CertificateError::ExpiredContext {
                time: at,
                not_after: time(CERT_TO),
            },
            good => return Ok(good),
        }))
    }

    fn at(wall: u64, floor: u64) -> Option<u64> {
        let wall = UnixTime::since_unix_epoch(Duration::from_secs(wall));
        at_the_right_time(wall, floor, check).ok()
    }

    #[test]
    fn a_wall_clock_that_may_be_right_is_obeyed() {
        assert_eq!(at(1_500, 1_400), Some(1_500));
        assert_eq!(at(999, 500), None, "not valid yet");
        assert_eq!(at(2_001, 500), None, "expired");
    }

    #[test]
    fn a_wall_clock_behind_the_floor_is_not() {
        assert_eq!(at(0, 1_500), Some(1_500));
        assert_eq!(at(0, 900), Some(1_000), "made after the firmware");
        assert_eq!(at(0, 2_001), None, "certainly expired");
        assert_eq!(
            at(1_500, 2_001),
            None,
            "expired, though the wall clock says no"
        );
    }

    #[test]
    fn an_intermediate_that_is_newer_still_is_waited_for_and_an_expired_one_is_not() {
        let chain = |to: u64| {
            let wall = UnixTime::since_unix_epoch(Duration::ZERO);
            at_the_right_time(wall, 900, move |at| {
                // The leaf first; then an intermediate that is good from 1 500 to `to`.
                check(at)?;
                let time = |s| UnixTime::since_unix_epoch(Duration::from_secs(s));
                Err(rustls::Error::InvalidCertificate(match at.as_secs() {
                    early if early < 1_500 => CertificateError::NotValidYetContext {
                        time: at,
                        not_before: time(1_500),
                    },
                    late if late > to => CertificateError::ExpiredContext {
                        time: at,
                        not_after: time(to),
                    },
                    good => return Ok(good),
                }))
            })
            .ok()
        };
        assert_eq!(chain(1_800), Some(1_500));
        assert_eq!(chain(1_400), None);
    }

    #[test]
    fn a_check_that_never_ends_ends() {
        let wall = UnixTime::since_unix_epoch(Duration::ZERO);
        let never = |at: UnixTime| -> Result<(), rustls::Error> {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidYetContext {
                    time: at,
                    not_before: UnixTime::since_unix_epoch(Duration::from_secs(at.as_secs() + 1)),
                },
            ))
        };
        assert!(at_the_right_time(wall, 5, never).is_err());
    }
}
