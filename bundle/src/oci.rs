//! The OCI image manifest of a normalised image, for registries that serve it and runtimes that
//! pull it.
//!
//! Written by hand, so the same image gives the same bytes in every version of this crate.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::Digest;
use crate::manifest::{Blob, ImageId, Manifest};

/// The media type of what [`image_manifest`] makes.
pub const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an image's configuration.
pub const CONFIG_MEDIA_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of a layer: a tar, not compressed.
pub const LAYER_MEDIA_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";

/// The OCI image manifest (image specification 1.1, "Image Manifest") of an image of the bundle
/// as JSON, and its digest; none if there is no such image, which a verified bundle's services
/// never name.
pub fn image_manifest(manifest: &Manifest, image: ImageId) -> Option<(Vec<u8>, Digest)> {
    let image = manifest.image(image)?;
    let config = descriptor(CONFIG_MEDIA_TYPE, manifest.blob(image.config)?);
    let layers = image
        .layers
        .iter()
        .map(|id| Some(descriptor(LAYER_MEDIA_TYPE, manifest.blob(*id)?)))
        .collect::<Option<Vec<String>>>()?
        .join(",");
    let json = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST_MEDIA_TYPE}","config":{config},"layers":[{layers}]}}"#
    )
    .into_bytes();
    let digest = Digest::of(&json);
    Some((json, digest))
}

fn descriptor(media_type: &str, blob: &Blob) -> String {
    format!(
        r#"{{"mediaType":"{media_type}","digest":"{}","size":{}}}"#,
        blob.plain, blob.plain_bytes
    )
}
