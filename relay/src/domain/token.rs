//! Secrets that somebody shows: operators' tokens (`cop_…`) and enrolment tokens (`cet_…`).
//!
//! Only the SHA-256 of a token is ever stored, and a token is found by it: looking a hash up tells
//! a guesser nothing about how near the guess was, so no comparison needs constant time. Never
//! draws random numbers: whoever makes a token brings them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bundle::Digest;

use super::limits::{TOKEN_NAME_BYTES_MAX, TTL_S_MAX};

/// Random bytes in a token: nobody guesses 256 bits.
pub(crate) const SECRET_BYTES: usize = 32;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An operator, again and again until it expires.
    Operator,
    /// A device that enrols, once.
    Enroll,
}

impl Kind {
    /// What each token of this kind begins with, so that people and secret scanners know it.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Operator => "cop_",
            Self::Enroll => "cet_",
        }
    }
}

/// A token as it is told once to whoever asked for it. `Debug` does not show it.
pub(crate) struct Secret(String);

impl Secret {
    /// The token made of these random bytes.
    pub(crate) fn new(kind: Kind, random: &[u8; SECRET_BYTES]) -> Self {
        Self(format!(
            "{}{}",
            kind.prefix(),
            URL_SAFE_NO_PAD.encode(random)
        ))
    }

    /// The token.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The SHA-256 of a token's text: what is stored, and looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SecretHash([u8; 32]);

impl SecretHash {
    /// Of a token that somebody shows, whatever it is.
    pub(crate) fn of(text: &str) -> Self {
        Self(*Digest::of(text.as_bytes()).as_bytes())
    }

    /// The 32 bytes.
    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Why a time to live cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TtlError;

impl fmt::Display for TtlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a token can be used for 1 second up to {TTL_S_MAX} seconds (ten years)"
        )
    }
}

impl std::error::Error for TtlError {}

/// Until when a token can be used that is made `now`, in seconds since 1970-01-01 UTC.
///
/// # Errors
/// [`TtlError`] for none at all, and for more than [`TTL_S_MAX`].
pub(crate) fn expires_at(now: u64, ttl_s: u64) -> Result<u64, TtlError> {
    if (1..=TTL_S_MAX).contains(&ttl_s) {
        Ok(now.saturating_add(ttl_s))
    } else {
        Err(TtlError)
    }
}

/// Why an operator's token cannot be called so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NameError;

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a token's name has 1 to {TOKEN_NAME_BYTES_MAX} bytes without control characters, and \
             is not \"relay\", \"nobody\" or \"device …\""
        )
    }
}

impl std::error::Error for NameError {}

/// A name that stands in tables and in the audit log without breaking them, and that nobody takes
/// for a device or the relay.
///
/// # Errors
/// [`NameError`] for any other.
pub(crate) fn name(name: String) -> Result<String, NameError> {
    let reserved = matches!(name.as_str(), "relay" | "nobody") || name.starts_with("device ");
    let fits = (1..=TOKEN_NAME_BYTES_MAX).contains(&name.len())
        && name.trim() == name
        && !name.chars().any(char::is_control)
        && !reserved;
    if fits { Ok(name) } else { Err(NameError) }
}

/// How a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It can be used.
    Open,
    /// It made a device; only enrolment tokens.
    Used,
    /// Its time is over.
    Expired,
    /// Somebody revoked it.
    Revoked,
}

impl State {
    /// How it stands `now`; a revocation weighs most, then use, then time.
    pub(crate) const fn of(used: bool, revoked: bool, expires_at: u64, now: u64) -> Self {
        if revoked {
            Self::Revoked
        } else if used {
            Self::Used
        } else if expires_at <= now {
            Self::Expired
        } else {
            Self::Open
        }
    }

    /// The word that the operator's API shows.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_its_kind_and_never_shows_in_logs() {
        let secret = Secret::new(Kind::Enroll, &[0xff; 32]);
        assert_eq!(secret.as_str(), format!("cet_{}8", "_".repeat(42)));
        assert!(secret.as_str().len() <= relay_api::device::TOKEN_BYTES_MAX);
        assert_eq!(format!("{secret:?}"), "(secret)");
        assert_eq!(SecretHash::of(secret.as_str()), secret.hash());
        assert!(
            Secret::new(Kind::Operator, &[0; 32])
                .as_str()
                .starts_with("cop_AAAA")
        );
    }

    #[test]
    fn names_that_forge_the_audit_log_are_refused() {
        assert!(name("Ada (release team)".to_string()).is_ok());
        for bad in [
            "",
            " ada",
            "device pump-7",
            "relay",
            "nobody",
            "a\nb",
            "a\x1b[31m",
            &"x".repeat(129),
        ] {
            assert!(name(bad.to_string()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_token_is_open_up_to_its_last_second() {
        assert_eq!(expires_at(100, 60), Ok(160));
        assert_eq!(State::of(false, false, 160, 159), State::Open);
        assert_eq!(State::of(false, false, 160, 160), State::Expired);
        assert_eq!(State::of(true, false, 160, 170), State::Used);
        assert_eq!(State::of(true, true, 160, 100), State::Revoked);
        for ttl_s in [0, TTL_S_MAX + 1, u64::MAX] {
            assert_eq!(expires_at(100, ttl_s), Err(TtlError), "{ttl_s}");
        }
    }
}
