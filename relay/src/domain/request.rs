//! Whether a request is signed by the device that it names (clause D11).
//!
//! Never looks a key up, and never judges the challenge: see [`super::challenge`].

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bundle::Digest;
use relay_api::device::signed_text;
use ring::signature::{ED25519, UnparsedPublicKey};

use super::verified::Verified;

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
    verify_text(&signed.text(), signed.signature, public_key)
}

/// The same, and looks first whether this very request, with this signature and this key, was
/// verified a short time before `now`.
///
/// # Errors
/// [`SignatureError`].
pub(crate) fn verify_once(
    signed: Signed<'_>,
    public_key: &[u8; 32],
    verified: &Verified,
    now: u64,
) -> Result<(), SignatureError> {
    let text = signed.text();
    // The key has a fixed length and the signature's header no line feed: no two requests run into
    // the same bytes.
    let signature = signed.signature.as_bytes();
    let whole = Digest::of(&[public_key, signature, b"\n", text.as_bytes()].concat());
    if verified.has(&whole, now) {
        return Ok(());
    }
    verify_text(&text, signed.signature, public_key)?;
    verified.add(whole, now);
    Ok(())
}

impl Signed<'_> {
    fn text(&self) -> String {
        signed_text(self.method, self.path, self.body, self.challenge)
    }
}

fn verify_text(text: &str, signature: &str, public_key: &[u8; 32]) -> Result<(), SignatureError> {
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| SignatureError)?;
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
        // Remembered: what differs in anything must not be taken for it.
        let verified = Verified::default();
        for _ in 0..2 {
            assert_eq!(verify_once(good, &key, &verified, 0), Ok(()));
        }
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
            for _ in 0..2 {
                let refused = verify_once(bad, &key, &verified, 0);
                assert_eq!(refused, Err(SignatureError), "{why}");
            }
        }
        assert_eq!(verify(good, &[3; 32]), Err(SignatureError), "another key");
        let refused = verify_once(good, &[3; 32], &verified, 0);
        assert_eq!(refused, Err(SignatureError), "another key");
    }
}
