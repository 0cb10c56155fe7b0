//! What lies in the payload: blobs, and the images and files made of them.
//!
//! Never names a blob by anything but its place in the manifest's list.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::bounded::list;
use crate::limits::{LAYERS_MAX, PIECE_BYTES};
use crate::manifest::Text;

/// The place of a blob in [`crate::Manifest::blobs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobId(pub u16);

/// The place of an image in [`crate::Manifest::images`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ImageId(pub u16);

/// The place of a file in [`crate::Manifest::files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId(pub u16);

/// A run of bytes in the payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// SHA-256 of the bytes as they lie in the payload.
    pub stored: Digest,
    /// How many these are.
    pub stored_bytes: u64,
    /// SHA-256 of the bytes that they decode to; for a layer, its diffID.
    pub plain: Digest,
    /// How many these are.
    pub plain_bytes: u64,
    /// Where the blob begins, counted from the start of the payload.
    pub offset: u64,
    /// How plain bytes come from stored ones.
    pub encoding: Encoding,
    /// SHA-256 of each piece of [`PIECE_BYTES`] stored bytes (the last may be shorter); empty if
    /// the blob has at most one piece, whose digest is `stored`.
    #[serde(deserialize_with = "list::<_, _, { crate::limits::PIECES_MAX }>")]
    pub pieces: Vec<Digest>,
}

impl Blob {
    /// How many pieces the blob is hashed in (at least one).
    pub fn piece_count(&self) -> u64 {
        self.stored_bytes.div_ceil(u64::from(PIECE_BYTES)).max(1)
    }
}

/// How the plain bytes of a blob come from its stored ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Encoding {
    /// As they are.
    Raw,
    /// One zstd frame (RFC 8878) with a window of at most
    /// 2^[`crate::limits::ZSTD_WINDOW_LOG_MAX`] bytes.
    Zstd,
}

/// An OCI image, normalised: layers as uncompressed tar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The configuration (OCI image specification, "Image Configuration"); its plain digest is
    /// the image id.
    pub config: BlobId,
    /// The layers, lowest first; the plain digest of each is its diffID.
    #[serde(deserialize_with = "list::<_, _, LAYERS_MAX>")]
    pub layers: Vec<BlobId>,
}

/// A configuration file, mounted into services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// A name for people, as in the Compose file.
    pub name: Text,
    /// Its content.
    pub content: BlobId,
    /// Whether `${NAME}` in it is replaced by variables.
    pub template: bool,
}
