//! OCI image archives: a layout (`oci-layout`, `index.json`, `blobs/`) in a tar.
//!
//! Follows the OCI image specification 1.1. Never writes anything that depends on the time or the
//! machine of the build.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Arch;
use crate::layer::{Layer, hex};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// How the image's containers run; the `config` object of the specification.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Config {
    pub(crate) user: &'static str,
    pub(crate) env: Vec<&'static str>,
    pub(crate) entrypoint: Vec<&'static str>,
    pub(crate) cmd: Vec<&'static str>,
    pub(crate) working_dir: &'static str,
    pub(crate) exposed_ports: BTreeMap<&'static str, Value>,
    pub(crate) labels: BTreeMap<&'static str, String>,
    pub(crate) stop_signal: &'static str,
}

/// What an archive holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// The image id: `sha256:` + digest of the configuration.
    pub image_id: String,
    /// The manifest's digest.
    pub manifest_digest: String,
    /// The layers' uncompressed digests, from the bottom up.
    pub diff_ids: Vec<String>,
    /// The version of the package that the image is about, as Debian or npm writes it.
    pub package_version: String,
    /// Sum of the compressed layers' sizes in bytes.
    pub compressed_bytes: u64,
}

/// Writes the archive to `path`.
pub(crate) fn write_archive(
    path: &Path,
    arch: Arch,
    config: &Config,
    layers: &[Layer],
) -> Result<()> {
    let (architecture, variant) = match arch.name().split_once('/') {
        Some((architecture, variant)) => (architecture, Some(variant)),
        None => (arch.name(), None),
    };
    let mut image = json!({
        "created": crate::CREATED,
        "architecture": architecture,
        "os": "linux",
        "config": config,
        "rootfs": {
            "type": "layers",
            "diff_ids": layers.iter().map(|layer| &layer.diff_id).collect::<Vec<_>>(),
        },
        "history": layers.iter().map(|layer| json!({
            "created": crate::CREATED,
            "created_by": format!("test-images: {}", layer.name),
        })).collect::<Vec<_>>(),
    });
    if let Some(variant) = variant {
        image["variant"] = variant.into();
    }
    image["config"]["Labels"]["org.opencontainers.image.version"] = version(config, layers).into();
    let image = serde_json::to_vec(&image)?;
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest(&image),
            "size": image.len(),
        },
        "layers": layers.iter().map(|layer| json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": layer.digest,
            "size": layer.size,
        })).collect::<Vec<_>>(),
    }))?;
    let index = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": MANIFEST,
            "digest": digest(&manifest),
            "size": manifest.len(),
        }],
    }))?;

    let mut archive = tar::Builder::new(BufWriter::new(File::create(path)?));
    let mut add = |name: &str, size: u64, bytes: &mut dyn Read| -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_mtime(crate::SOURCE_DATE_EPOCH);
        header.set_size(size);
        Ok(archive.append_data(&mut header, name, bytes)?)
    };
    let layout: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
    add("oci-layout", layout.len() as u64, &mut &*layout)?;
    add("index.json", index.len() as u64, &mut index.as_slice())?;
    for blob in [&manifest, &image] {
        add(
            &blob_path(&digest(blob)),
            blob.len() as u64,
            &mut blob.as_slice(),
        )?;
    }
    for layer in layers {
        let mut file = BufReader::new(File::open(&layer.blob)?);
        add(&blob_path(&layer.digest), layer.size, &mut file)?;
    }
    archive.into_inner()?.flush()?;
    Ok(())
}

/// The version of the package named by the title label, or of the recipe if no package has it.
fn version(config: &Config, layers: &[Layer]) -> String {
    let title = config.labels.get("org.opencontainers.image.title");
    let package = layers
        .iter()
        .flat_map(|layer| &layer.packages)
        .find(|package| Some(&package.name) == title);
    let recipe = config
        .labels
        .get("org.opencontainers.image.version")
        .cloned();
    package.map_or(recipe.unwrap_or_default(), |package| {
        package.version.clone()
    })
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(Sha256::new().chain_update(bytes)))
}

fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

/// Reads what an archive of [`crate::Builder::build`] holds.
///
/// # Errors
/// When it cannot be read or is no OCI archive with one image.
pub fn info(archive: &Path) -> Result<ImageInfo> {
    let context = || format!("reading {}", archive.display());
    let file = fs::File::open(archive).with_context(context)?;
    let mut small: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for entry in tar::Archive::new(file).entries_with_seek()? {
        let mut entry = entry?;
        if entry.size() < 1 << 20 {
            let name = entry.path()?.to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            small.insert(name, bytes);
        }
    }
    let object = |name: &str| -> Result<Value> {
        let bytes = small
            .get(name)
            .with_context(|| format!("{name} is not in the archive"))?;
        Ok(serde_json::from_slice(bytes)?)
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let manifest_digest =
        text(&object("index.json").with_context(context)?["manifests"][0]["digest"]);
    let manifest = object(&blob_path(&manifest_digest)).with_context(context)?;
    let image_id = text(&manifest["config"]["digest"]);
    let image = object(&blob_path(&image_id)).with_context(context)?;
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    Ok(ImageInfo {
        image_id,
        manifest_digest,
        diff_ids: array(&image["rootfs"]["diff_ids"])
            .iter()
            .map(text)
            .collect(),
        package_version: text(&image["config"]["Labels"]["org.opencontainers.image.version"]),
        compressed_bytes: array(&manifest["layers"])
            .iter()
            .filter_map(|layer| layer["size"].as_u64())
            .sum(),
    })
}
