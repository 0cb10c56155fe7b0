//! The signed bundle: one immutable file that carries the services, images and files of one app.
//!
//! The path of a bundle through this crate: bytes → `read_head` (framing) → `verify` (signatures,
//! then decoding, then the rules between fields) → `VerifiedBundle` → `payload` (blobs, each piece
//! hashed before anything decodes it). `docs/bundle-format.md` is the specification; code and
//! tests quote its clauses.
//!
//! This crate never opens sockets, never reads a clock and never runs anything asynchronous.
//! Without features it is `no_std` and holds the types only; `std` adds verification and payload
//! reading; `build` adds building and signing, for hosts, never for devices.
//!
//! ```no_run
//! use bundle::{Depth, TrustStore, read_head, verify, verify_payload};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let trust = TrustStore::load("/etc/coracle/keys".as_ref())?;
//! let file = std::fs::File::open("bundle.bin")?;
//! let bundle = verify(read_head(&mut &file)?, &trust)?;
//! verify_payload(&bundle, &file, Depth::Stored, &mut |bytes| println!("{bytes}"))?;
//! println!("{} {}", bundle.manifest().app, bundle.manifest().version);
//! # Ok(())
//! # }
//! ```
#![cfg_attr(not(any(feature = "std", test)), no_std)]

extern crate alloc;

#[cfg(feature = "std")]
mod base64;
mod bounded;
#[cfg(feature = "build")]
pub mod build;
mod digest;
#[cfg(feature = "std")]
mod error;
#[cfg(feature = "std")]
mod head;
pub mod limits;
pub mod manifest;
#[cfg(feature = "std")]
mod minisig;
mod names;
pub mod oci;
#[cfg(feature = "std")]
pub mod payload;
pub mod template;
#[cfg(test)]
mod tests;
#[cfg(feature = "std")]
mod trust;
mod utc;
pub mod values;
#[cfg(feature = "std")]
mod verify;

pub use digest::{Digest, ParseDigestError};
#[cfg(feature = "std")]
pub use error::{Refused, Rule};
#[cfg(feature = "std")]
pub use head::{FORMAT_VERSION, PREAMBLE_BYTES, head_bytes, read_head};
pub use manifest::Manifest;
#[cfg(feature = "std")]
pub use minisig::KeyId;
pub use names::{
    AppName, Arch, DeviceId, Label, NameError, NetworkName, ServiceName, VariableName,
    VersionLabel, VolumeName,
};
#[cfg(feature = "std")]
pub use payload::{BlobReader, Depth, ReadAt, verify_payload};
#[cfg(feature = "std")]
pub use trust::{TrustError, TrustStore, TrustedKey};
pub use utc::{ParseUtcError, Utc};
pub use values::Values;
#[cfg(feature = "std")]
pub use verify::{VerifiedBundle, verify};
