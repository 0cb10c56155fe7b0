//! Images on their way into a runtime.
//!
//! Never trusts content by name: what [`ImageContent`] yields has been verified against the
//! signed manifest by whoever implements it.

use std::io::{self, Read};
use std::sync::Arc;

use bundle::Digest;

/// The plain bytes of an image's configuration and layers.
pub trait ImageContent: Send + Sync {
    /// A reader of the blob with this plain digest; it fails rather than end early if the bytes
    /// are not those that were signed.
    ///
    /// # Errors
    /// `NotFound` if there is no such blob; else what reading gives.
    fn open(&self, plain: &Digest) -> io::Result<Box<dyn Read + Send>>;
}

/// An image to import, normalised: uncompressed layers (`bundle::oci` makes its manifest).
#[derive(Clone)]
pub struct ImageImport {
    /// A name to keep it under: `localhost/coracle/<app>-<service>`, without tag.
    pub name: String,
    /// The image id: digest of the configuration.
    pub id: Digest,
    /// Bytes of the configuration.
    pub config_bytes: u64,
    /// Layers, lowest first: diffID and bytes.
    pub layers: Vec<(Digest, u64)>,
    /// The OCI image manifest.
    pub manifest: Vec<u8>,
    /// Its digest.
    pub manifest_digest: Digest,
    /// Where the bytes come from.
    pub content: Arc<dyn ImageContent>,
}
