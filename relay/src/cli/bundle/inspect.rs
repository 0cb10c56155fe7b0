//! `relay bundle inspect`

use std::path::PathBuf;

use bundle::Manifest;
use serde::Serialize;
use serde_json::Value;

use super::describe::{overview, service_rows};
use crate::cli::failure::Failure;
use crate::cli::render;
use crate::unverified;

/// Shows what a bundle holds, without checking its signatures
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "show",
    after_long_help = "\
Examples:
  relay bundle inspect kiosk-1.4.2.bin
  relay bundle inspect --json kiosk-1.4.2.bin | jq .manifest.services"
)]
pub(crate) struct Args {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,

    /// Print everything as JSON: the manifest as the format has it
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    path: PathBuf,
    bytes: u64,
    digest: String,
    claims_keys: Vec<String>,
    images: Vec<ShownImage>,
    manifest: Value,
}

/// An image of the bundle, in numbers.
#[derive(Serialize)]
pub(super) struct ShownImage {
    pub(super) image_id: String,
    pub(super) layers: usize,
    stored_bytes: u64,
    pub(super) plain_bytes: u64,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (file, head) = super::open(&self.bundle)?;
        let bytes = file.metadata().map_err(Failure::io(&self.bundle))?.len();
        let claimed = unverified::read(&head).map_err(Failure::refused(&self.bundle))?;
        let images = images(&claimed.manifest);
        if self.json {
            let mut manifest = serde_json::to_value(&claimed.manifest).map_err(Failure::new)?;
            readable(&mut manifest);
            return render::json(&Shown {
                path: self.bundle,
                bytes,
                digest: claimed.digest.to_string(),
                claims_keys: claimed.keys.iter().map(ToString::to_string).collect(),
                images,
                manifest,
            });
        }
        overview(&claimed, bytes);
        for (service, image) in claimed.manifest.services.iter().filter_map(|service| {
            let image = images.get(usize::from(service.image.0))?;
            Some((service, image))
        }) {
            println!("\nservice {}", service.name);
            render::table(&service_rows(service, image, &claimed.manifest));
        }
        Ok(())
    }
}

fn images(manifest: &Manifest) -> Vec<ShownImage> {
    let blobs = |image: &bundle::manifest::Image| -> Vec<_> {
        std::iter::once(&image.config)
            .chain(&image.layers)
            .filter_map(|id| manifest.blob(*id).cloned())
            .collect()
    };
    manifest
        .images
        .iter()
        .map(|image| {
            let blobs = blobs(image);
            ShownImage {
                image_id: blobs
                    .first()
                    .map_or_else(String::new, |config| config.plain.to_string()),
                layers: image.layers.len(),
                stored_bytes: blobs.iter().map(|blob| blob.stored_bytes).sum(),
                plain_bytes: blobs.iter().map(|blob| blob.plain_bytes).sum(),
            }
        })
        .collect()
}

/// Digests and the tag as text; everything else is as the format has it.
fn readable(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), &mut *value) {
                    ("stored" | "plain", bytes) => digest(bytes),
                    ("pieces", Value::Array(pieces)) => pieces.iter_mut().for_each(digest),
                    ("tag", bytes) => {
                        let text = octets(bytes)
                            .map(|octets| String::from_utf8_lossy(&octets).into_owned());
                        *bytes = text.into();
                    }
                    (_, value) => readable(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(readable),
        _ => {}
    }
}

fn digest(value: &mut Value) {
    let bytes: Option<[u8; 32]> = octets(value).and_then(|octets| octets.try_into().ok());
    if let Some(bytes) = bytes {
        *value = bundle::Digest::from_bytes(bytes).to_string().into();
    }
}

fn octets(value: &Value) -> Option<Vec<u8>> {
    value
        .as_array()?
        .iter()
        .map(|byte| u8::try_from(byte.as_u64()?).ok())
        .collect()
}
