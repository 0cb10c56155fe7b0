//! The signed bundle: one immutable file that carries the services, images and files of one app.
//!
//! The path of a bundle through this crate: bytes → [`head`] (framing) → [`verify`] (signatures,
//! then decoding, then the rules between fields) → [`VerifiedBundle`] → [`payload`] (blobs, each
//! piece hashed before anything decodes it). `docs/bundle-format.md` is the specification; code
//! and tests quote its clauses.
//!
//! This crate never opens sockets, never reads a clock and never runs anything asynchronous.
//! Without features it is `no_std` and holds the types only; `std` adds verification and payload
//! reading; `build` adds building and signing, for hosts, never for devices.
#![cfg_attr(not(any(feature = "std", test)), no_std)]

extern crate alloc;

mod bounded;
mod digest;
pub mod limits;
pub mod manifest;
mod names;

pub use digest::{Digest, ParseDigestError};
pub use manifest::Manifest;
pub use names::{
    AppName, Arch, DeviceId, Label, NameError, NetworkName, ServiceName, VariableName,
    VersionLabel, VolumeName,
};
