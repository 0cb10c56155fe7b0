//! Why a bundle is refused: one cause, its clause in the specification, and what to do about it.
//!
//! Never holds content of the bundle beyond names, and never claims more about a signer than a
//! key id, which is only a hint.

use std::fmt;
use std::io;

use crate::AppName;
use crate::minisig::KeyId;

/// A rule of the specification that a manifest can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The clause of `docs/bundle-format.md`, such as `B34`.
    pub clause: &'static str,
    /// The rule, in words.
    pub text: &'static str,
}

/// Why a bundle is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// Nothing is wrong with the content as far as it is known: reading it failed.
    Read(io::ErrorKind),
    /// The file ends before its head or its payload does.
    Truncated,
    /// The file does not begin as a bundle does.
    Magic,
    /// A version of the format that this program does not know.
    Version(u8),
    /// The head declares a length out of bounds.
    HeadLength(u32),
    /// Bytes follow the head where none may.
    HeadTrailing,
    /// The number of signatures is out of bounds.
    SignatureCount(u8),
    /// The signature records reach beyond the head, or leave no manifest.
    SignatureFraming,
    /// Two signature records name one key.
    DuplicateKey(KeyId),
    /// The signature of a trusted key is wrong: the manifest or the signature was changed.
    Signature(KeyId),
    /// No signature is by a key that this device trusts.
    NoTrustedKey(Vec<KeyId>),
    /// The manifest cannot be decoded, or a field of it is out of its bounds.
    Manifest,
    /// The manifest is not encoded in the one canonical way.
    NotCanonical,
    /// The manifest is of something else than an app.
    Tag,
    /// The signing keys are trusted, but not for this app.
    Scope(AppName),
    /// The bundle needs an extension of the format that this program does not know.
    Extension(u16),
    /// The manifest breaks a rule between its fields.
    Rule {
        /// Which.
        rule: Rule,
        /// Where: "service web, port 8080".
        place: String,
    },
    /// The file is longer or shorter than the manifest says.
    FileLength {
        /// Bytes that the manifest says.
        expected: u64,
        /// Bytes that the file has.
        found: u64,
    },
    /// A piece of a blob has another digest than the manifest says.
    Piece {
        /// Where the blob begins in the payload.
        offset: u64,
        /// Which piece of it.
        piece: u64,
    },
    /// The stored bytes of a blob have another digest than the manifest says.
    Stored {
        /// Where the blob begins in the payload.
        offset: u64,
    },
    /// The stored bytes of a blob are not one zstd frame with a window within the bound.
    Zstd {
        /// Where the blob begins in the payload.
        offset: u64,
    },
    /// A blob decodes to more or fewer bytes than the manifest says.
    PlainLength {
        /// Where the blob begins in the payload.
        offset: u64,
    },
    /// A blob decodes to bytes with another digest than the manifest says.
    Plain {
        /// Where the blob begins in the payload.
        offset: u64,
    },
}

impl Refused {
    /// The clause of `docs/bundle-format.md` that is broken; empty for [`Refused::Read`].
    pub fn clause(&self) -> &'static str {
        match self {
            Self::Read(_) => "",
            Self::Magic => "B1",
            Self::Version(_) => "B2",
            Self::HeadLength(_) | Self::Truncated | Self::HeadTrailing => "B3",
            Self::SignatureCount(_) => "B4",
            Self::SignatureFraming => "B5",
            Self::DuplicateKey(_) => "B6",
            Self::Signature(_) => "B7",
            Self::NoTrustedKey(_) => "B8",
            Self::Manifest => "B9",
            Self::NotCanonical => "B10",
            Self::Tag => "B11",
            Self::Scope(_) => "B12",
            Self::Extension(_) => "B13",
            Self::Rule { rule, .. } => rule.clause,
            Self::FileLength { .. } => "B70",
            Self::Piece { .. } => "B71",
            Self::Stored { .. } => "B72",
            Self::Zstd { .. } => "B73",
            Self::PlainLength { .. } => "B74",
            Self::Plain { .. } => "B75",
        }
    }

    /// What to do about it, in one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read(_) => "Check that the medium or the connection works, and try again.",
            Self::Truncated
            | Self::HeadTrailing
            | Self::FileLength { .. }
            | Self::Piece { .. }
            | Self::Stored { .. } => {
                "The copy is damaged or incomplete: copy the bundle again from its source."
            }
            Self::Magic | Self::HeadLength(_) => "Check that this file is a Coracle bundle.",
            Self::Version(_) | Self::Extension(_) => {
                "Update the agent first, or pack the bundle for the agent that this device has."
            }
            Self::SignatureCount(_) | Self::SignatureFraming | Self::DuplicateKey(_) => {
                "Sign the bundle with a release key (relay pack --key, or relay bundle join)."
            }
            Self::Signature(_) => {
                "The bundle was changed after it was signed: get it again from a source you trust."
            }
            Self::NoTrustedKey(_) => {
                "Put the public half of the key that signed it into the keys folder, if you trust \
                 it, or sign the bundle with a key that this device trusts."
            }
            Self::Scope(_) => "Sign the bundle with the release key of this app.",
            Self::Manifest
            | Self::NotCanonical
            | Self::Tag
            | Self::Rule { .. }
            | Self::Zstd { .. }
            | Self::PlainLength { .. }
            | Self::Plain { .. } => "Pack the bundle again with relay pack.",
        }
    }

    /// Whether trying again with the same bundle can help: only reading failed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Read(_))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(kind) => write!(f, "the bundle cannot be read: {kind}"),
            Self::Truncated => f.write_str("the bundle ends too early"),
            Self::Magic => f.write_str("this is not a Coracle bundle"),
            Self::Version(version) => {
                write!(
                    f,
                    "the bundle has format version {version}, which is not known here"
                )
            }
            Self::HeadLength(bytes) => {
                write!(
                    f,
                    "the bundle declares a head of {bytes} bytes, which is out of bounds"
                )
            }
            Self::HeadTrailing => f.write_str("bytes follow the head where none may"),
            Self::SignatureCount(count) => {
                write!(f, "the bundle has {count} signatures; it must have 1 to 4")
            }
            Self::SignatureFraming => f.write_str("the signatures of the bundle are malformed"),
            Self::DuplicateKey(key) => write!(f, "the bundle has two signatures by key {key}"),
            Self::Signature(key) => {
                write!(
                    f,
                    "the signature by the trusted key {key} does not fit the bundle"
                )
            }
            Self::NoTrustedKey(keys) => {
                f.write_str("the bundle is signed by no key that is trusted here, only by ")?;
                for (i, key) in keys.iter().enumerate() {
                    write!(f, "{}{key}", if i == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::Manifest => {
                f.write_str("the manifest of the bundle is malformed or out of bounds")
            }
            Self::NotCanonical => {
                f.write_str("the manifest of the bundle is not encoded canonically")
            }
            Self::Tag => f.write_str("what was signed is not the manifest of an app"),
            Self::Scope(app) => {
                write!(
                    f,
                    "the keys that signed the bundle are trusted, but not for app {app}"
                )
            }
            Self::Extension(id) => {
                write!(
                    f,
                    "the bundle needs extension {id}, which is not known here"
                )
            }
            Self::Rule { rule, place } => {
                write!(
                    f,
                    "the manifest breaks rule {}: {place}: {}",
                    rule.clause, rule.text
                )
            }
            Self::FileLength { expected, found } => {
                write!(
                    f,
                    "the bundle has {found} bytes where its manifest says {expected}"
                )
            }
            Self::Piece { offset, piece } => write!(
                f,
                "piece {piece} of the blob at payload offset {offset} is not what was signed"
            ),
            Self::Stored { offset } => {
                write!(
                    f,
                    "the blob at payload offset {offset} is not what was signed"
                )
            }
            Self::Zstd { offset } => write!(
                f,
                "the blob at payload offset {offset} is not one zstd frame with a bounded window"
            ),
            Self::PlainLength { offset } => write!(
                f,
                "the blob at payload offset {offset} does not decode to as many bytes as was signed"
            ),
            Self::Plain { offset } => {
                write!(
                    f,
                    "the blob at payload offset {offset} does not decode to what was signed"
                )
            }
        }
    }
}

impl std::error::Error for Refused {}

/// How a refusal travels through [`io::Read`]: as the source of an `InvalidData` error.
impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Read(kind) => kind.into(),
            refused => io::Error::new(io::ErrorKind::InvalidData, refused),
        }
    }
}

/// Takes a refusal out of an [`io::Error`] again; anything else is [`Refused::Read`], and the
/// early end of a source is [`Refused::Truncated`].
impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        let kind = error.kind();
        match error.downcast::<Refused>() {
            Ok(refused) => refused,
            Err(_) if kind == io::ErrorKind::UnexpectedEof => Self::Truncated,
            Err(_) => Self::Read(kind),
        }
    }
}
