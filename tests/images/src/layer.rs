//! Makes layers and images from recipes, each kept in the cache under a hash of its recipe.
//!
//! Never decides what is in an image: that is `recipes.rs`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::apt::Package;
use crate::oci::{self, Config};
use crate::tree::Tree;
use crate::{Arch, Builder, Version, apt, npm};

/// Raise it when the code that makes layers changes what is in them.
const FORMAT: u32 = 2;

/// One thing to put into a layer.
#[derive(Serialize)]
pub(crate) enum Step {
    /// Debian packages with their dependencies; see [`apt::add`] for `release`.
    Packages {
        names: &'static [&'static str],
        release: Option<Version>,
    },
    /// An npm package with its dependencies, in `path/node_modules`.
    Npm {
        path: &'static str,
        package: &'static str,
    },
    /// A text file owned by root.
    File {
        path: &'static str,
        mode: u32,
        text: String,
    },
    /// A folder with a mode and an owner.
    Dir {
        path: &'static str,
        mode: u32,
        owner: u32,
    },
    /// A symbolic link.
    Link { path: String, target: &'static str },
}

/// One layer: its name in progress lines, and its steps in order.
#[derive(Serialize)]
pub(crate) struct LayerRecipe {
    pub(crate) name: &'static str,
    pub(crate) steps: Vec<Step>,
}

/// One image: its layers from the bottom up, and how it runs.
pub(crate) struct ImageRecipe {
    pub(crate) name: &'static str,
    pub(crate) version: Version,
    pub(crate) layers: Vec<LayerRecipe>,
    pub(crate) config: Config,
}

/// A layer in the cache; `layer.json` beside its bytes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Layer {
    /// `sha256:…` of the compressed bytes.
    pub(crate) digest: String,
    /// Length of the compressed bytes.
    pub(crate) size: u64,
    /// `sha256:…` of the plain tar.
    pub(crate) diff_id: String,
    /// The recipe's name, for the image's history.
    pub(crate) name: String,
    /// The Debian packages in it.
    pub(crate) packages: Vec<Package>,
    /// Where the compressed bytes are.
    #[serde(skip)]
    pub(crate) blob: PathBuf,
}

/// The image's archive, from the cache or built now.
pub(crate) fn image(builder: &Builder, recipe: &ImageRecipe) -> Result<PathBuf> {
    let mut keys = Vec::new();
    for layer in &recipe.layers {
        keys.push(key(builder.arch, &keys, layer)?);
    }
    let config = serde_json::to_vec(&recipe.config)?;
    let image_key = hex(Sha256::new()
        .chain_update(keys.join(" "))
        .chain_update(config));
    let entry = format!(
        "images/{}-v{}-{}-{}.oci.tar",
        recipe.name,
        recipe.version.number(),
        builder.arch.debian(),
        image_key.get(..12).unwrap_or_default()
    );
    builder.cache.once(&entry, |path| {
        builder.say(&format!(
            "building {} v{}",
            recipe.name,
            recipe.version.number()
        ));
        let mut layers: Vec<Layer> = Vec::new();
        for (recipe, key) in recipe.layers.iter().zip(&keys) {
            let below: Vec<Package> = layers
                .iter()
                .flat_map(|layer| layer.packages.iter().cloned())
                .collect();
            layers.push(layer(builder, recipe, key, &below)?);
        }
        oci::write_archive(path, builder.arch, &recipe.config, &layers)
    })
}

/// A layer's key depends on the layers below, since they decide which packages it needs.
fn key(arch: Arch, below: &[String], recipe: &LayerRecipe) -> Result<String> {
    let recipe = serde_json::to_vec(&(FORMAT, crate::SOURCE_DATE_EPOCH, arch, below, recipe))?;
    Ok(hex(Sha256::new().chain_update(recipe)))
}

fn layer(builder: &Builder, recipe: &LayerRecipe, key: &str, below: &[Package]) -> Result<Layer> {
    let entry = format!("layers/{key}");
    let folder = builder.cache.once(&entry, |folder| {
        let mut tree = Tree::default();
        let mut packages = Vec::new();
        for step in &recipe.steps {
            match step {
                Step::Packages { names, release } => {
                    packages.extend(apt::add(builder, &mut tree, names, *release, below)?);
                }
                Step::Npm { path, package } => npm::add(builder, &mut tree, path, package)?,
                Step::File { path, mode, text } => tree.file(path, *mode, text.as_str()),
                Step::Dir { path, mode, owner } => tree.dir(path, *mode, *owner),
                Step::Link { path, target } => tree.symlink(path, target),
            }
        }
        builder.say(&format!("writing the layer {}", recipe.name));
        fs::create_dir(folder)?;
        let mut layer = write(&tree, &folder.join("layer.tar.gz"))?;
        layer.name = recipe.name.to_owned();
        layer.packages = packages;
        Ok(fs::write(
            folder.join("layer.json"),
            serde_json::to_vec_pretty(&layer)?,
        )?)
    })?;
    let record = fs::read(folder.join("layer.json"))?;
    let mut layer: Layer = serde_json::from_slice(&record)
        .with_context(|| format!("reading {}", folder.join("layer.json").display()))?;
    layer.blob = folder.join("layer.tar.gz");
    Ok(layer)
}

fn write(tree: &Tree, path: &Path) -> Result<Layer> {
    let file = Hashing::new(BufWriter::new(File::create(path)?));
    let gzip = GzBuilder::new().mtime(0).write(file, Compression::fast());
    let plain = tree.write(Hashing::new(gzip))?;
    let diff_id = plain.digest();
    let mut file = plain.inner.finish()?;
    file.flush()?;
    Ok(Layer {
        digest: file.digest(),
        size: fs::metadata(path)?.len(),
        diff_id,
        name: String::new(),
        packages: Vec::new(),
        blob: path.to_owned(),
    })
}

/// Hashes what passes through.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
        }
    }

    fn digest(&self) -> String {
        format!("sha256:{}", hex(self.hash.clone()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// A finished hash in hexadecimal.
pub(crate) fn hex(hash: Sha256) -> String {
    format!("{:x}", hash.finalize())
}
