//! Challenges that a device signs with its requests (clauses D12 and D13): the time, and an HMAC
//! over device and time, so that the relay keeps none.
//!
//! Never reads a clock: the time is an argument.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bundle::DeviceId;
use relay_api::device::CHALLENGE_VALID_S;
use ring::hmac;

/// How far a challenge may lie in the future, in seconds: relays of one fleet have clocks of their
/// own.
const SKEW_S_MAX: u64 = 60;
/// What the HMAC is over, so that no other use of the key makes a challenge.
const CONTEXT: &[u8] = b"coracle challenge 1\0";

/// What makes and checks challenges: a secret that all relays of one fleet share.
pub(crate) struct Challenges(hmac::Key);

/// Why a challenge does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChallengeError {
    /// This fleet did not make it, or not for this device.
    Foreign,
    /// It is older than [`CHALLENGE_VALID_S`], or from the future.
    Stale,
}

impl fmt::Display for ChallengeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Foreign => "the challenge was not made here for this device",
            Self::Stale => "the challenge is too old",
        })
    }
}

impl std::error::Error for ChallengeError {}

impl Challenges {
    /// Challenges under this key.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// A challenge for this device, made `now`: the time in hexadecimal digits, a dot, the HMAC in
    /// base64url.
    pub(crate) fn make(&self, device: &DeviceId, now: u64) -> String {
        let tag = hmac::sign(&self.0, &message(device, now));
        format!("{now:x}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// Whether the challenge holds for this device `now`.
    ///
    /// # Errors
    /// [`ChallengeError`].
    pub(crate) fn check(
        &self,
        challenge: &str,
        device: &DeviceId,
        now: u64,
    ) -> Result<(), ChallengeError> {
        let (made_at, tag) = parse(challenge).ok_or(ChallengeError::Foreign)?;
        // In constant time, as a tag that could be guessed byte by byte would be no proof.
        hmac::verify(&self.0, &message(device, made_at), &tag)
            .map_err(|_| ChallengeError::Foreign)?;
        let age_s = now.saturating_sub(made_at);
        let ahead_s = made_at.saturating_sub(now);
        if age_s > CHALLENGE_VALID_S || ahead_s > SKEW_S_MAX {
            return Err(ChallengeError::Stale);
        }
        Ok(())
    }
}

fn parse(challenge: &str) -> Option<(u64, Vec<u8>)> {
    let (made_at, tag) = challenge.split_once('.')?;
    let made_at = u64::from_str_radix(made_at, 16).ok()?;
    Some((made_at, URL_SAFE_NO_PAD.decode(tag).ok()?))
}

fn message(device: &DeviceId, made_at: u64) -> Vec<u8> {
    // The time has a fixed length, so no id can run into it.
    [CONTEXT, &made_at.to_be_bytes(), device.as_str().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay_api::device::CHALLENGE_BYTES_MAX;

    const NOW: u64 = 1_800_000_000;

    fn id(text: &str) -> DeviceId {
        DeviceId::new(text).unwrap()
    }

    #[test]
    fn a_challenge_holds_for_ten_minutes() {
        let challenges = Challenges::new(&[7; 32]);
        let device = id("pump-7");
        let challenge = challenges.make(&device, NOW);
        for (now, verdict) in [
            (NOW, Ok(())),
            (NOW + CHALLENGE_VALID_S, Ok(())),
            (NOW + CHALLENGE_VALID_S + 1, Err(ChallengeError::Stale)),
            (NOW - SKEW_S_MAX, Ok(())),
            (NOW - SKEW_S_MAX - 1, Err(ChallengeError::Stale)),
        ] {
            assert_eq!(challenges.check(&challenge, &device, now), verdict, "{now}");
        }
    }

    #[test]
    fn a_challenge_of_another_device_fleet_or_time_is_foreign() {
        let challenges = Challenges::new(&[7; 32]);
        let device = id("pump-7");
        let challenge = challenges.make(&device, NOW);
        let other = Challenges::new(&[8; 32]).make(&device, NOW);
        let (_, tag) = challenge.split_once('.').unwrap();
        let refreshed = format!("{:x}.{tag}", NOW + 500);
        for foreign in [
            &other,
            &refreshed,
            "",
            ".",
            "x",
            "6b49d200.",
            "zz.zz",
            &"a".repeat(4096),
        ] {
            assert_eq!(
                challenges.check(foreign, &device, NOW),
                Err(ChallengeError::Foreign),
                "{foreign}"
            );
        }
        assert_eq!(
            challenges.check(&challenge, &id("pump-8"), NOW),
            Err(ChallengeError::Foreign)
        );
    }

    #[test]
    fn the_longest_challenge_fits_the_protocol() {
        let longest = Challenges::new(&[7; 32]).make(&id("pump-7"), u64::MAX);
        assert!(longest.len() <= CHALLENGE_BYTES_MAX, "{longest}");
        assert!(longest.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}
