//! What passes between agent and relay, and between operator and relay: types and bytes only.
//!
//! [`device`] is the device protocol, specified in `docs/device-protocol.md`; `operator` (a feature,
//! for hosts) is the JSON of the operator's API; [`escape`] makes text that came from elsewhere
//! safe to print, on both sides. Never opens a socket, never reads a clock, never signs anything:
//! both sides bring these.

#![no_std]

extern crate alloc;

pub mod device;
pub mod escape;
#[cfg(feature = "operator")]
pub mod operator;
