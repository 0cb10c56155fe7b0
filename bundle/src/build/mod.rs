//! Building and signing bundles, for hosts.
//!
//! Never part of a device's program: the agent is built without this feature. Never writes what
//! [`crate::verify()`] would refuse, except a draft without signatures, which is there to be signed
//! elsewhere and which every device refuses.

mod builder;
mod compress;
mod error;
pub mod key;
mod split;
mod unsigned;

pub use builder::Builder;
pub use compress::Compression;
pub use error::{BuildError, KeyError};
pub use key::SecretKey;
pub use split::{Split, join, split};
pub use unsigned::UnsignedBundle;
