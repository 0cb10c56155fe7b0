//! Whether a request is signed by the device that it names (clause D11).
//!
//! Never looks a key up, and never judges the challenge: see [`super::challenge`].

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bundle::Digest;
use relay_api::device::signed_text;
use ring::signature::{ED25519, UnparsedPublicKey};

/// What of a request is signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    /// The method, in capitals.
    pub(crate) method: &'a str,
    /// The path from `/device/` on, with the query where there is one.
    pub(crate) path: &'a str,
    /// SHA-256 of the body.
    pub(crate) body: &'a Digest,
    /// The challenge, as in its header.
    pub(crate) challenge: &'a str,
    /// The signature, as in its header.
    pub(crate) signature: &'a str,
}

/// The signature is not by this key over this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SignatureError;

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signature does not fit the request and the device's key")
    }
}

impl std::error::Error for SignatureError {}

/// Verifies with the device's public key.
///
/// # Errors
/// [`SignatureError`]: malformed, by another key, or over another request.
pub(crate) fn verify(signed: Signed<'_>, public_key: &[u8; 32]) -> Result<(), SignatureError> {
    let signature = URL_SAFE_NO_PAD
        .decode(signed.signature)
        .map_err(|_| SignatureError)?;
    let text = signed_text(signed.method, signed.path, signed.body, signed.challenge);
    UnparsedPublicKey::new(&ED25519, public_key)
        .verify(text.as_bytes(), &signature)
        .map_err(|_| SignatureError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    #[test]
    fn a_signature_holds_for_one_request_only() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        let key: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
        let body = Digest::of(b"body");
        let text = signed_text("POST", "/device/v1/check-in", &body, "c7");
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(text.as_bytes()));
        let good = Signed {
            method: "POST",
            path: "/device/v1/check-in",
            body: &body,
            challenge: "c7",
            signature: &signature,
        };
        assert_eq!(verify(good, &key), Ok(()));
        let other_body = Digest::of(b"other");
        for (why, bad) in [
            (
                "method",
                Signed {
                    method: "PUT",
                    ..good
                },
            ),
            (
                "path",
                Signed {
                    path: "/device/v1/check-in?x",
                    ..good
                },
            ),
            (
                "body",
                Signed {
                    body: &other_body,
                    ..good
                },
            ),
            (
                "challenge",
                Signed {
                    challenge: "c8",
                    ..good
                },
            ),
            (
                "none",
                Signed {
                    signature: "",
                    ..good
                },
            ),
            (
                "not base64",
                Signed {
                    signature: "!",
                    ..good
                },
            ),
            (
                "cut",
                Signed {
                    signature: &signature[..80],
                    ..good
                },
            ),
        ] {
            assert_eq!(verify(bad, &key), Err(SignatureError), "{why}");
        }
        assert_eq!(verify(good, &[3; 32]), Err(SignatureError), "another key");
    }
}
