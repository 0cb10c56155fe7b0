//! Images in OCI form: from an index or a manifest to configuration and layers, whether they lie
//! in a layout, an archive or a registry.
//!
//! Every manifest and configuration is compared with its digest before it is used.

use std::io::Read;

use bundle::limits::IMAGE_CONFIG_BYTES_MAX;
use bundle::{Arch, Digest};
use serde::Deserialize;

use super::error::SourceError;
use super::store::{Store, read_bounded, read_small};
use super::{Layers, OpenImage};

/// Most bytes of an index or a manifest.
const MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// How deep indexes may lie in indexes.
const DEPTH_MAX: usize = 3;

/// A reference to content (OCI image specification, "Descriptor").
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Descriptor {
    pub(crate) digest: String,
    #[serde(default)]
    pub(crate) size: u64,
    platform: Option<Platform>,
}

#[derive(Clone, Debug, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
    variant: Option<String>,
}

/// An index or a manifest; which, its fields say.
#[derive(Deserialize)]
struct Document {
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

/// Where content lies.
pub(crate) trait Blobs {
    /// An index or a manifest.
    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError>;
    /// A configuration or a layer.
    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read>, SourceError>;
}

/// The image for `arch` that `root` (an index or a manifest, already compared with its digest,
/// if it has one) leads to.
pub(crate) fn open(
    blobs: Box<dyn Blobs>,
    root: &[u8],
    arch: Arch,
) -> Result<OpenImage, SourceError> {
    let mut document = parse(root)?;
    for _ in 0..DEPTH_MAX {
        let Some(manifests) = document.manifests.take() else {
            break;
        };
        let chosen = choose(manifests, arch)?;
        let bytes = blobs.manifest(&chosen)?;
        check_digest("the image's manifest", &chosen.digest, &bytes)?;
        document = parse(&bytes)?;
    }
    let Some(descriptor) = document.config else {
        return Err(SourceError::Missing("config in the manifest".to_string()));
    };
    let config = read_bounded(
        blobs.blob(&descriptor)?,
        "the image's configuration",
        IMAGE_CONFIG_BYTES_MAX,
    )?;
    check_digest("the image's configuration", &descriptor.digest, &config)?;
    Ok(OpenImage {
        config,
        layer_bytes: document.layers.iter().map(|layer| layer.size).collect(),
        layers: Box::new(BlobLayers {
            blobs,
            layers: document.layers,
        }),
    })
}

fn parse(bytes: &[u8]) -> Result<Document, SourceError> {
    serde_json::from_slice(bytes).map_err(|error| SourceError::Json {
        what: "the image's manifest".to_string(),
        error,
    })
}

/// The one descriptor that fits `arch`; those without a platform may.
fn choose(manifests: Vec<Descriptor>, arch: Arch) -> Result<Descriptor, SourceError> {
    let mut found = Vec::new();
    let mut fitting = Vec::new();
    for descriptor in manifests {
        match &descriptor.platform {
            // Attestations of BuildKit.
            Some(platform) if platform.os == "unknown" => {}
            Some(platform) if !fits(platform, arch) => found.push(platform_text(platform)),
            _ => fitting.push(descriptor),
        }
    }
    if fitting.is_empty() && !found.is_empty() {
        return Err(SourceError::Architecture { want: arch, found });
    }
    match fitting.pop() {
        Some(chosen) if fitting.is_empty() => Ok(chosen),
        Some(_) => Err(SourceError::Images(fitting.len() + 1)),
        None => Err(SourceError::Images(0)),
    }
}

fn fits(platform: &Platform, arch: Arch) -> bool {
    platform.os == "linux"
        && fits_architecture(&platform.architecture, platform.variant.as_deref(), arch)
}

/// Whether an image for this architecture runs on `arch`. Builders often leave the variant out.
pub(crate) fn fits_architecture(architecture: &str, variant: Option<&str>, arch: Arch) -> bool {
    let variant = variant.filter(|variant| !variant.is_empty());
    let (want, want_variant) = arch.oci();
    architecture == want
        && match (arch, variant) {
            (_, None) => true,
            // A v7 core runs what was built for its predecessors.
            (Arch::ArmV7, Some(variant)) => ["v5", "v6", "v7"].contains(&variant),
            (Arch::Arm64, Some(variant)) => variant == "v8",
            (Arch::Amd64, Some(variant)) => variant == "v1",
            (_, variant) => variant == want_variant,
        }
}

fn platform_text(platform: &Platform) -> String {
    platform_name(
        &platform.os,
        &platform.architecture,
        platform.variant.as_deref(),
    )
}

/// `linux/arm/v7`, as OCI tools write it.
pub(crate) fn platform_name(os: &str, architecture: &str, variant: Option<&str>) -> String {
    match variant.filter(|variant| !variant.is_empty()) {
        Some(variant) => format!("{os}/{architecture}/{variant}"),
        None => format!("{os}/{architecture}"),
    }
}

pub(crate) fn check_digest(what: &str, want: &str, bytes: &[u8]) -> Result<(), SourceError> {
    let got = Digest::of(bytes);
    if parse_digest(want)? == got {
        Ok(())
    } else {
        Err(SourceError::Digest {
            what: what.to_string(),
            want: want.to_string(),
            got,
        })
    }
}

fn parse_digest(text: &str) -> Result<Digest, SourceError> {
    text.parse()
        .map_err(|_| SourceError::DigestForm(text.to_string()))
}

struct BlobLayers {
    blobs: Box<dyn Blobs>,
    layers: Vec<Descriptor>,
}

impl Layers for BlobLayers {
    fn open(&self, index: usize) -> Result<Box<dyn Read>, SourceError> {
        match self.layers.get(index) {
            Some(layer) => self.blobs.blob(layer),
            None => Err(SourceError::Missing(format!("layer {index}"))),
        }
    }
}

/// An OCI layout (OCI image specification, "Image Layout") in a store.
pub(crate) fn layout(store: Box<dyn Store>, arch: Arch) -> Result<OpenImage, SourceError> {
    let index = read_small(&*store, "index.json", MANIFEST_BYTES_MAX)?;
    open(Box::new(Layout(store)), &index, arch)
}

struct Layout(Box<dyn Store>);

impl Layout {
    fn path(descriptor: &Descriptor) -> Result<String, SourceError> {
        Ok(format!(
            "blobs/sha256/{}",
            parse_digest(&descriptor.digest)?.hex()
        ))
    }
}

impl Blobs for Layout {
    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        read_small(&*self.0, &Self::path(descriptor)?, MANIFEST_BYTES_MAX)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read>, SourceError> {
        Ok(self.0.open(&Self::path(descriptor)?)?.0)
    }
}
