//! Why building or signing fails.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::error::Refused;
use crate::limits::{BLOB_BYTES_MAX, BLOBS_MAX, HEAD_BYTES_MAX, SIGNATURES_MAX};
use crate::minisig::KeyId;

/// Why a bundle cannot be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// The content to pack cannot be read.
    Source(io::Error),
    /// The spool folder cannot be used.
    Spool(PathBuf, io::Error),
    /// The bundle cannot be written.
    Output(io::Error),
    /// The compressor failed; its own words.
    Compress(&'static str),
    /// A blob is larger than the format allows.
    BlobTooLarge,
    /// There are more blobs than the format allows.
    TooManyBlobs,
    /// Signatures and manifest are larger than the format allows.
    HeadTooLarge,
    /// There would be more signatures than the format allows.
    TooManySignatures,
    /// Two of the signing keys have one id.
    DuplicateKey(KeyId),
    /// The manifest already lists blobs: these come from the builder alone.
    ManifestHasBlobs,
    /// Not a prehashed minisign signature that fits a bundle.
    Signature,
    /// A device would refuse the bundle.
    Refused(Refused),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => write!(f, "the content to pack cannot be read: {error}"),
            Self::Spool(path, error) => {
                write!(
                    f,
                    "the spool file {} cannot be used: {error}",
                    path.display()
                )
            }
            Self::Output(error) => write!(f, "the bundle cannot be written: {error}"),
            Self::Compress(words) => write!(f, "compression failed: {words}"),
            Self::BlobTooLarge => write!(
                f,
                "a layer or file is larger than {} GiB, the most that a bundle can hold",
                BLOB_BYTES_MAX >> 30
            ),
            Self::TooManyBlobs => write!(f, "there are more than {BLOBS_MAX} layers and files"),
            Self::HeadTooLarge => write!(
                f,
                "the manifest with its signatures is larger than {} KiB",
                HEAD_BYTES_MAX >> 10
            ),
            Self::TooManySignatures => {
                write!(f, "a bundle has at most {SIGNATURES_MAX} signatures")
            }
            Self::DuplicateKey(id) => write!(f, "two of the signing keys have the id {id}"),
            Self::ManifestHasBlobs => f.write_str("the manifest already lists blobs"),
            Self::Signature => f.write_str(
                "this is not a minisign signature that fits a bundle: it must be prehashed (the \
                 default of minisign 0.10 and later) and have a trusted comment of one line, at \
                 most 255 bytes",
            ),
            Self::Refused(refused) => write!(f, "a device would refuse this bundle: {refused}"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Source(error) | Self::Spool(_, error) | Self::Output(error) => Some(error),
            Self::Refused(refused) => Some(refused),
            _ => None,
        }
    }
}

impl From<Refused> for BuildError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// Why there is no secret key.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read.
    Read(PathBuf, io::Error),
    /// The file is not a minisign secret key, or is damaged.
    Corrupt,
    /// The key is encrypted, and no password was given.
    Password(io::Error),
    /// The password does not open the key.
    WrongPassword,
    /// No key could be made: the system gave no random numbers, or too little memory.
    Generate,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => {
                write!(
                    f,
                    "the secret key {} cannot be read: {error}",
                    path.display()
                )
            }
            Self::Corrupt => f.write_str("this is not a minisign secret key, or it is damaged"),
            Self::Password(error) => {
                write!(f, "the key is encrypted, and no password came: {error}")
            }
            Self::WrongPassword => f.write_str("the password does not open this key"),
            Self::Generate => f.write_str("no key could be made"),
        }
    }
}

impl std::error::Error for KeyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(_, error) | Self::Password(error) => Some(error),
            _ => None,
        }
    }
}
