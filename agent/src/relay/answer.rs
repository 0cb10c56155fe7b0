//! What comes back: statuses, headers and bodies, each within its bounds (clauses D2, D4 to D6).
//!
//! Never takes more memory than the bound, and never believes a length.

use std::error::Error as _;
use std::io::{self, Read as _};
use std::time::{Duration, Instant};

use bundle::DeviceId;
use relay_api::device::{
    CHALLENGE_BYTES_MAX, ERROR_BYTES_MAX, HEADER_CHALLENGE, HEADER_DEVICE, HEADER_PROTOCOL,
    HEADER_SIGNATURE, PROTOCOL, understands,
};
use rustls::CertificateError;
use serde::Deserialize;

use super::RemoteError;
use super::http::{Header, Response};

/// The longest `Retry-After` that is passed on, in seconds: a day.
const RETRY_AFTER_S_MAX: u64 = 86_400;

/// The headers that name the device and the protocol.
pub(super) fn names(device: &DeviceId) -> [Header; 2] {
    [
        (HEADER_DEVICE, device.to_string()),
        (HEADER_PROTOCOL, PROTOCOL.to_string()),
    ]
}

/// The headers of a signed request.
pub(super) fn headers(device: &DeviceId, challenge: String, signature: String) -> [Header; 4] {
    let [device, protocol] = names(device);
    [
        device,
        protocol,
        (HEADER_CHALLENGE, challenge),
        (HEADER_SIGNATURE, signature),
    ]
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// A header of an answer, if it is text.
pub(super) fn text(response: &Response, name: &str) -> Option<String> {
    header(response, name).map(str::to_owned)
}

/// The challenge of an answer: at most 128 visible ASCII characters (clause D12).
pub(super) fn challenge(response: &Response) -> Option<String> {
    let challenge = header(response, HEADER_CHALLENGE)?;
    let fits = (1..=CHALLENGE_BYTES_MAX).contains(&challenge.len())
        && challenge.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| challenge.to_owned())
}

/// Whether the sender speaks a version that this agent understands (clause D2).
pub(super) fn check_protocol(response: &Response) -> Result<(), RemoteError> {
    match header(response, HEADER_PROTOCOL).map(str::parse::<u16>) {
        Some(Ok(version)) if understands(version) => Ok(()),
        Some(Ok(_)) => Err(RemoteError::Garbage(
            "it speaks a version of the protocol that this agent does not; update the older one",
        )),
        _ => Err(RemoteError::Garbage(
            "it does not speak the device protocol; check the relay's address",
        )),
    }
}

/// `{"error": {"code", "message", "hint"}}` (clause D5).
#[derive(Default, Deserialize)]
struct Refusal {
    error: Words,
}

#[derive(Default, Deserialize)]
struct Words {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    hint: String,
}

/// Passes an answer on whose status says that it is one.
///
/// # Errors
/// [`RemoteError`]: it is busy, it refuses, it redirects.
pub(super) fn refusal(response: Response, body_time: Duration) -> Result<Response, RemoteError> {
    let status = response.status().as_u16();
    match status {
        200..=299 => return Ok(response),
        300..=399 => {
            return Err(RemoteError::Refused {
                status,
                code: "redirect".into(),
                message: "it redirects to another address, which a device never follows".into(),
                hint: "Name the final address.".into(),
            });
        }
        429 | 503 => {
            let asked = header(&response, "retry-after").map(|text| text.trim().parse::<u64>());
            if let Some(Ok(seconds)) = asked {
                let bounded = seconds.min(RETRY_AFTER_S_MAX);
                return Err(RemoteError::Busy {
                    retry_after_s: u32::try_from(bounded).unwrap_or(u32::MAX),
                });
            }
        }
        _ => {}
    }
    // Some other server on the way may have answered, in its own words.
    let words = body(response, ERROR_BYTES_MAX, body_time).unwrap_or_default();
    let words: Refusal = serde_json::from_slice(&words).unwrap_or_default();
    Err(RemoteError::Refused {
        status,
        code: words.error.code,
        message: words.error.message,
        hint: words.error.hint,
    })
}

/// The body of an answer, of at most `bytes_max` bytes, which must be there within `body_time` and
/// one more read.
pub(super) fn body(
    response: Response,
    bytes_max: usize,
    body_time: Duration,
) -> Result<Vec<u8>, RemoteError> {
    const TOO_LONG: RemoteError = RemoteError::Garbage("it is longer than it may be");
    let body = response.into_body();
    let max = bytes_max as u64;
    if body.content_length().is_some_and(|length| length > max) {
        return Err(TOO_LONG);
    }
    let mut bytes = Vec::new();
    let mut reader = body.into_reader().take(max + 1);
    let (since, mut piece) = (Instant::now(), [0; 4 << 10]);
    loop {
        match reader.read(&mut piece).map_err(broken)? {
            0 => break,
            read => bytes.extend_from_slice(piece.get(..read).unwrap_or_default()),
        }
        if since.elapsed() > body_time {
            return Err(RemoteError::Slow);
        }
    }
    if bytes.len() > bytes_max {
        return Err(TOO_LONG);
    }
    Ok(bytes)
}

/// What went wrong while a body was read.
pub(super) fn broken(error: io::Error) -> RemoteError {
    failed(error.into())
}

/// What went wrong before there was an answer, or in the middle of it.
pub(super) fn failed(error: ureq::Error) -> RemoteError {
    let unreachable = |words: String| RemoteError::Unreachable(words);
    match error {
        ureq::Error::Io(error) => {
            let cause = error
                .get_ref()
                .and_then(|e| e.downcast_ref::<rustls::Error>());
            match cause {
                Some(rustls::Error::InvalidCertificate(why)) => {
                    RemoteError::Certificate(certificate_words(why))
                }
                Some(other) => unreachable(format!("TLS: {other}")),
                None => unreachable(error.to_string()),
            }
        }
        ureq::Error::Timeout(ureq::Timeout::PerRead) => RemoteError::Slow,
        ureq::Error::Timeout(_) => unreachable("no answer in time".into()),
        ureq::Error::HostNotFound => unreachable("its name cannot be resolved".into()),
        ureq::Error::ConnectProxyFailed(why) => unreachable(format!("through the proxy: {why}")),
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
            RemoteError::Garbage("it is not HTTP")
        }
        ureq::Error::Tls(why) => RemoteError::Certificate(why.into()),
        other => {
            let source = other.source().map(ToString::to_string);
            unreachable(source.unwrap_or_else(|| other.to_string()))
        }
    }
}

fn certificate_words(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => {
            "nobody whom this device trusts has issued it".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet, by this device's clock".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another host".to_owned()
        }
        other => other.to_string(),
    }
}
