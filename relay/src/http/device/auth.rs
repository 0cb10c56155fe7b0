//! Who asks: the signature over each request (clauses D10 to D14).
//!
//! Checks what costs least first: a stranger makes the relay compute one HMAC, and nothing is read
//! of its body. Never tells whether the key or the request was wrong.

use std::net::IpAddr;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use bundle::{DeviceId, Digest};
use relay_api::device::{HEADER_CHALLENGE, HEADER_DEVICE, HEADER_SIGNATURE};

use super::super::trace::Who;
use super::super::{Relay, body, from, now};
use super::ApiError;
use crate::domain::challenge::ChallengeError;
use crate::domain::request::{SignatureError, Signed, verify, verify_once};

/// A request by a device that has shown that it has its key.
pub(super) struct Asked {
    /// The device.
    pub(super) device: DeviceId,
    /// The body, whole.
    pub(super) body: Bytes,
}

/// A request whose challenge holds, and whose signature nobody has verified yet.
pub(super) struct Claimed {
    /// The device that it names.
    pub(super) device: DeviceId,
    /// The body, whole.
    pub(super) body: Bytes,
    /// Where it comes from.
    pub(super) from: IpAddr,
    method: Method,
    path: String,
    challenge: String,
    signature: String,
    who: Option<Who>,
}

/// The device that a request names.
pub(super) fn named(headers: &HeaderMap) -> Option<DeviceId> {
    DeviceId::new(text(headers, HEADER_DEVICE)?).ok()
}

/// Reads a request, and verifies that a device which is enrolled has signed it.
///
/// # Errors
/// 401 as clause D14 says, 413 (D4), and those of the store.
pub(super) async fn signed(
    relay: &Relay,
    request: Request,
    bytes_max: usize,
) -> Result<Asked, ApiError> {
    let device = named(request.headers()).ok_or(ApiError::UnknownDevice)?;
    check_challenge(relay, &device, request.headers())?;
    let bound = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    body::announced(request.headers(), bound)?;
    let key = relay.store.device_key(&device).await?;
    let key = key.ok_or(ApiError::UnknownDevice)?;
    let claimed = read(device, request, bytes_max).await?;
    claimed.verify_once(&key, relay)?;
    Ok(Asked {
        device: claimed.device,
        body: claimed.body,
    })
}

/// Reads a request of a device that need not be enrolled.
///
/// # Errors
/// 401 as clause D14 says, 413 (D4).
pub(super) async fn claimed(
    relay: &Relay,
    request: Request,
    bytes_max: usize,
) -> Result<Claimed, ApiError> {
    let device = named(request.headers()).ok_or(ApiError::UnknownDevice)?;
    check_challenge(relay, &device, request.headers())?;
    read(device, request, bytes_max).await
}

async fn read(device: DeviceId, request: Request, bytes_max: usize) -> Result<Claimed, ApiError> {
    let signature = text(request.headers(), HEADER_SIGNATURE).ok_or(ApiError::Signature)?;
    let signature = signature.to_string();
    let challenge = text(request.headers(), HEADER_CHALLENGE).unwrap_or_default();
    let challenge = challenge.to_string();
    let from = from(&request);
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map(ToString::to_string);
    Ok(Claimed {
        device,
        body: body::read(&parts.headers, body, bytes_max).await?,
        from,
        method: parts.method,
        path: path.unwrap_or_default(),
        challenge,
        signature,
        who: parts.extensions.get::<Who>().cloned(),
    })
}

impl Claimed {
    /// Whether this key has signed the request.
    ///
    /// # Errors
    /// [`ApiError::Signature`].
    pub(super) fn verify(&self, key: &[u8; 32]) -> Result<(), ApiError> {
        self.accept(|signed| verify(signed, key))
    }

    /// The same for an enrolled device's key, which may have signed the same bytes a short time ago.
    fn verify_once(&self, key: &[u8; 32], relay: &Relay) -> Result<(), ApiError> {
        self.accept(|signed| verify_once(signed, key, &relay.verified, now()))
    }

    fn accept(
        &self,
        verify: impl FnOnce(Signed<'_>) -> Result<(), SignatureError>,
    ) -> Result<(), ApiError> {
        verify(Signed {
            method: self.method.as_str(),
            path: &self.path,
            body: &Digest::of(&self.body),
            challenge: &self.challenge,
            signature: &self.signature,
        })
        .map_err(|_| ApiError::Signature)?;
        if let Some(who) = &self.who {
            who.is(format!("device {}", self.device));
        }
        Ok(())
    }
}

fn check_challenge(relay: &Relay, device: &DeviceId, headers: &HeaderMap) -> Result<(), ApiError> {
    let challenge = text(headers, HEADER_CHALLENGE);
    let challenge = challenge.ok_or(ApiError::Challenge(ChallengeError::Foreign))?;
    let held = relay.challenges.check(challenge, device, now());
    held.map_err(ApiError::Challenge)
}

/// A header that is there once, in visible characters.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}
