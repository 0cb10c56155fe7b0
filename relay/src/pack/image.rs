//! An opened image → blobs of the bundle: checked, unpacked to plain tar, hashed, compressed.
//!
//! The configuration goes in byte for byte, so the image id is the one that the builder's
//! registry knows; each layer must be what the configuration's diffIDs promise.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read};

use bundle::build::{Builder, Compression};
use bundle::limits::LAYERS_MAX;
use bundle::manifest::{BlobId, Image};
use bundle::{Arch, Digest};
use jiff::Timestamp;
use serde::Deserialize;

use super::error::ImageError;
use super::mtime::Scan;
use super::progress::Progress;
use super::source::{self, OpenImage, SourceError};

/// What packing needs to know of a configuration (OCI image specification, "Image
/// Configuration"; docker's has the same fields).
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    variant: Option<String>,
    created: Option<String>,
    rootfs: RootFs,
    #[serde(default)]
    history: Vec<History>,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

#[derive(Deserialize)]
struct History {
    created: Option<String>,
    #[serde(default)]
    empty_layer: bool,
}

impl Config {
    fn parse(bytes: &[u8], arch: Arch) -> Result<Self, SourceError> {
        let config: Self = serde_json::from_slice(bytes).map_err(|error| SourceError::Json {
            what: "the image's configuration".to_string(),
            error,
        })?;
        let variant = config.variant.as_deref();
        if config.os == "linux" && source::fits_architecture(&config.architecture, variant, arch) {
            return Ok(config);
        }
        Err(SourceError::Architecture {
            want: arch,
            found: vec![source::platform_name(
                &config.os,
                &config.architecture,
                variant,
            )],
        })
    }

    /// When each layer was made, as far as that is known.
    fn made_at(&self, layer: usize) -> Option<i64> {
        let entry = self
            .history
            .iter()
            .filter(|entry| !entry.empty_layer)
            .nth(layer);
        let text = entry
            .and_then(|entry| entry.created.as_deref())
            .or(self.created.as_deref())?;
        let second = text.parse::<Timestamp>().ok()?.as_second();
        // 1970 and Go's year 1 mean "not said".
        (second > 0).then_some(second)
    }
}

/// Adds images to a bundle; content that is there already is neither read nor stored again.
pub(crate) struct Packer<'a> {
    pub(crate) builder: Builder,
    arch: Arch,
    compression: Compression,
    progress: &'a Progress,
    layers: BTreeMap<Digest, BlobId>,
}

impl<'a> Packer<'a> {
    pub(crate) fn new(
        builder: Builder,
        arch: Arch,
        compression: Compression,
        progress: &'a Progress,
    ) -> Self {
        Self {
            builder,
            arch,
            compression,
            progress,
            layers: BTreeMap::new(),
        }
    }

    /// Adds bytes that are at hand.
    pub(crate) fn add_bytes(&mut self, bytes: &[u8]) -> Result<BlobId, ImageError> {
        Ok(self
            .builder
            .add_blob(&mut &*bytes, self.compression, &mut |_| {})?)
    }

    /// Adds an image; `name` is for messages.
    pub(crate) fn add_image(&mut self, name: &str, image: &OpenImage) -> Result<Image, ImageError> {
        let config = Config::parse(&image.config, self.arch)?;
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != image.layer_bytes.len() {
            return Err(SourceError::LayerCount {
                config: diff_ids.len(),
                manifest: image.layer_bytes.len(),
            }
            .into());
        }
        if diff_ids.len() > LAYERS_MAX {
            return Err(SourceError::TooLarge {
                what: "the number of layers".to_string(),
                max: LAYERS_MAX as u64,
            }
            .into());
        }
        let mut layers = Vec::with_capacity(diff_ids.len());
        let mut rebuilt_entries = 0;
        let mut example = None;
        for (index, text) in diff_ids.iter().enumerate() {
            let diff_id: Digest = text
                .parse()
                .map_err(|_| SourceError::DigestForm(text.clone()))?;
            if let Some(known) = self.layers.get(&diff_id) {
                layers.push(*known);
                continue;
            }
            let what = format!("{name}: layer {} of {}", index + 1, diff_ids.len());
            let mut scan = config.made_at(index).map(Scan::new);
            let id = self.add_layer(&what, image, index, diff_id, scan.as_mut())?;
            layers.push(id);
            if let Some(rebuilt) = scan.map(Scan::finish).filter(|seen| seen.entries > 0) {
                rebuilt_entries += rebuilt.entries;
                example.get_or_insert(rebuilt.example);
            }
        }
        if let Some(example) = example {
            let files = if rebuilt_entries == 1 {
                format!("a file carries the time of the build ({example})")
            } else {
                format!("{rebuilt_entries} files carry the time of the build (such as {example})")
            };
            self.progress.warn(&format!(
                "{name}: {files}, so each build changes its layers even where nothing changed, and deltas become large; build with SOURCE_DATE_EPOCH and --rewrite-timestamp (buildah, podman) or rewrite-timestamp=true (BuildKit)"
            ));
        }
        Ok(Image {
            config: self.add_bytes(&image.config)?,
            layers,
        })
    }

    fn add_layer(
        &mut self,
        what: &str,
        image: &OpenImage,
        index: usize,
        diff_id: Digest,
        scan: Option<&mut Scan>,
    ) -> Result<BlobId, ImageError> {
        let bytes = image.layer_bytes.get(index).copied().unwrap_or(0);
        self.progress.step(what, bytes);
        let counted = Counted {
            inner: image.layers.open(index)?,
            progress: self.progress,
        };
        let plain_bytes = Cell::new(0);
        let mut tap = Tap {
            inner: source::plain(counted)?,
            scan,
            bytes: &plain_bytes,
        };
        // Compressing comes after reading, and takes longest: the bar runs a second time.
        let progress = self.progress;
        let compressing = format!("{what}, compressing");
        let mut begun = false;
        let mut on_compressed = |done: u64| {
            if !std::mem::replace(&mut begun, true) {
                progress.step_quietly(&compressing, plain_bytes.get());
            }
            progress.set(done);
        };
        let id = self
            .builder
            .add_blob(&mut tap, self.compression, &mut on_compressed)?;
        let blob = self.builder.blob(id).map(|blob| blob.plain);
        match blob {
            Some(plain) if plain == diff_id => {
                self.layers.insert(diff_id, id);
                Ok(id)
            }
            Some(got) => Err(SourceError::Digest {
                what: what.to_string(),
                want: diff_id.to_string(),
                got,
            }
            .into()),
            None => Err(SourceError::Missing(what.to_string()).into()),
        }
    }
}

/// Counts what is read from a source.
struct Counted<'a> {
    inner: Box<dyn Read>,
    progress: &'a Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.progress.add(read as u64);
        Ok(read)
    }
}

/// Shows the plain bytes to the scan as they pass, and counts them.
struct Tap<'a, R> {
    inner: R,
    scan: Option<&'a mut Scan>,
    bytes: &'a Cell<u64>,
}

impl<R: Read> Read for Tap<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.bytes.set(self.bytes.get() + read as u64);
        if let Some(scan) = &mut self.scan {
            scan.feed(&into[..read]);
        }
        Ok(read)
    }
}
