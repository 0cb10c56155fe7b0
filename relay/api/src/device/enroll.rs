//! Enrolment: a one-time token makes a device known (clauses D20 to D24).

use alloc::string::String;
use alloc::vec::Vec;

use bundle::{DeviceId, Label};
use serde::{Deserialize, Serialize};

use super::check_in::DeviceFacts;

/// Most bytes of an enrolment token.
pub const TOKEN_BYTES_MAX: usize = 128;

/// What a device sends to become known. The request is signed like every other, with the key
/// whose public half is in it: so a device proves that it has the key.
///
/// Sent again by the same device with the same key and token, it has the same answer: a device
/// whose first answer was lost is not locked out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollRequest {
    /// The one-time token.
    pub token: String,
    /// What the device calls itself.
    pub device: DeviceId,
    /// The Ed25519 public key that it has made.
    pub public_key: [u8; 32],
    /// What it is.
    pub facts: DeviceFacts,
}

impl core::fmt::Debug for EnrollRequest {
    /// Without the token.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("EnrollRequest")
            .field("device", &self.device)
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

/// The device is known from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollAnswer {
    /// Its id at the relay.
    pub device: DeviceId,
    /// The labels that the token gave it.
    pub labels: Vec<(Label, Label)>,
}
