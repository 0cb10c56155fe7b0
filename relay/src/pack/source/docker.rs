//! The archive format of `docker save` and `podman save --format docker-archive`.

use std::io::Read;

use bundle::limits::IMAGE_CONFIG_BYTES_MAX;
use serde::Deserialize;

use super::error::SourceError;
use super::store::{Store, read_small};
use super::{Layers, OpenImage};

/// Most bytes of `manifest.json`.
const MANIFEST_BYTES_MAX: u64 = 4 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    layers: Vec<String>,
}

/// The one image of a docker archive.
pub(crate) fn archive(store: Box<dyn Store>) -> Result<OpenImage, SourceError> {
    let json = read_small(&*store, "manifest.json", MANIFEST_BYTES_MAX)?;
    let mut entries: Vec<Entry> =
        serde_json::from_slice(&json).map_err(|error| SourceError::Json {
            what: "manifest.json".to_string(),
            error,
        })?;
    let (Some(entry), true) = (entries.pop(), entries.is_empty()) else {
        return Err(SourceError::Images(entries.len()));
    };
    let config = read_small(&*store, &entry.config, IMAGE_CONFIG_BYTES_MAX)?;
    let layer_bytes = entry
        .layers
        .iter()
        .map(|name| store.open(name).map(|(_, bytes)| bytes))
        .collect::<Result<_, _>>()?;
    Ok(OpenImage {
        config,
        layer_bytes,
        layers: Box::new(ArchiveLayers {
            store,
            names: entry.layers,
        }),
    })
}

struct ArchiveLayers {
    store: Box<dyn Store>,
    names: Vec<String>,
}

impl Layers for ArchiveLayers {
    fn open(&self, index: usize) -> Result<Box<dyn Read>, SourceError> {
        match self.names.get(index) {
            Some(name) => Ok(self.store.open(name)?.0),
            None => Err(SourceError::Missing(format!("layer {index}"))),
        }
    }
}
