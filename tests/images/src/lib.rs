//! Real container images for tests and for the demo, made from real packages and cached.
//!
//! Each image is an OCI archive (one tar file) under `target/test-images/`, named by a hash of its
//! recipe: the first call fetches packages from Debian and npm, every later one returns at once.
//! All images stand on one shared base layer, so that sharing layers is real in tests. Layers have
//! sorted entries, one constant time and fixed owners: the same packages give the same bytes.
//!
//! What this never does: run a package's install scripts, need root, need a container engine, or
//! change anything outside its cache folder.

#![forbid(unsafe_code)]

mod apt;
mod cache;
mod command;
mod convert;
mod layer;
mod npm;
mod oci;
mod recipes;
mod tree;

use std::path::PathBuf;

use anyhow::{Context, Result};

pub use convert::{docker_archive, oci_dir};
pub use oci::{ImageInfo, info};

/// The time that every file in an image and every image carries: 2025-01-01T00:00:00Z.
pub const SOURCE_DATE_EPOCH: u64 = 1_735_689_600;
const CREATED: &str = "2025-01-01T00:00:00Z";

/// Which of an image's two releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Version {
    /// The older package release.
    V1,
    /// The newer package release.
    V2,
}

impl Version {
    /// `1` or `2`.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

/// The images that there are recipes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// The MQTT broker, from Debian; with `mosquitto_sub` and `mosquitto_pub`. User 1883, port 1883.
    Mosquitto,
    /// The web server, from Debian. User 33, port 8080.
    Nginx,
    /// Node-RED from npm on Debian's Node.js. User 1000, port 1880, flow from `$FLOWS`.
    NodeRed,
    /// Statically linked busybox and two files, a few MB. Serves `/www` on port `$PORT` (8080).
    Tiny,
}

impl Image {
    /// All of them, smallest first.
    pub const ALL: [Self; 4] = [Self::Tiny, Self::Mosquitto, Self::Nginx, Self::NodeRed];

    /// The name in file names and progress lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mosquitto => "mosquitto",
            Self::Nginx => "nginx",
            Self::NodeRed => "node-red",
            Self::Tiny => "tiny",
        }
    }
}

/// The machine that an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// 64-bit ARM.
    Arm64,
    /// 32-bit ARM with hardware floating point.
    ArmV7,
}

impl Arch {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Amd64, Self::Arm64, Self::ArmV7];

    /// The machine that this program runs on.
    ///
    /// # Errors
    /// On any machine but the three above.
    pub fn host() -> Result<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self::Amd64),
            "aarch64" => Ok(Self::Arm64),
            "arm" => Ok(Self::ArmV7),
            other => anyhow::bail!("no test images for {other}"),
        }
    }

    /// As `relay pack --arch` names it: `amd64`, `arm64`, `arm/v7`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::ArmV7 => "arm/v7",
        }
    }

    fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::ArmV7 => "armhf",
        }
    }

    fn node(self) -> &'static str {
        match self {
            Self::Amd64 => "x64",
            Self::Arm64 => "arm64",
            Self::ArmV7 => "arm",
        }
    }
}

/// Builds images, or finds them in the cache.
pub struct Builder {
    arch: Arch,
    cache: cache::Cache,
    progress: Box<dyn Fn(&str)>,
}

impl Builder {
    /// A builder for one architecture that prints its progress on stderr.
    ///
    /// # Errors
    /// When the cache folder cannot be made.
    pub fn new(arch: Arch) -> Result<Self> {
        Ok(Self {
            arch,
            cache: cache::Cache::open()?,
            progress: Box::new(|line| eprintln!("test-images: {line}")),
        })
    }

    /// Sends progress lines to `progress` instead. A cached image makes none.
    #[must_use]
    pub fn on_progress(mut self, progress: impl Fn(&str) + 'static) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// The path of the image's OCI archive; builds it if the cache has none. Processes that want
    /// the same image at once wait for the first. A killed build leaves only files in `tmp/`.
    ///
    /// # Errors
    /// When a tool is missing, a package cannot be fetched, or the disk is full.
    pub fn build(&self, image: Image, version: Version) -> Result<PathBuf> {
        let recipe = recipes::recipe(image, version);
        layer::image(self, &recipe)
            .with_context(|| format!("building the image {} v{}", image.name(), version.number()))
    }

    fn say(&self, line: &str) {
        (self.progress)(line);
    }
}

/// The mosquitto image for this machine.
///
/// # Errors
/// As [`Builder::build`].
pub fn mosquitto(version: Version) -> Result<PathBuf> {
    Builder::new(Arch::host()?)?.build(Image::Mosquitto, version)
}

/// The nginx image for this machine.
///
/// # Errors
/// As [`Builder::build`].
pub fn nginx(version: Version) -> Result<PathBuf> {
    Builder::new(Arch::host()?)?.build(Image::Nginx, version)
}

/// The Node-RED image for this machine.
///
/// # Errors
/// As [`Builder::build`].
pub fn node_red(version: Version) -> Result<PathBuf> {
    Builder::new(Arch::host()?)?.build(Image::NodeRed, version)
}

/// The tiny image for this machine.
///
/// # Errors
/// As [`Builder::build`].
pub fn tiny(version: Version) -> Result<PathBuf> {
    Builder::new(Arch::host()?)?.build(Image::Tiny, version)
}

/// Builds all images in both versions for this machine; with a warm cache it takes milliseconds.
///
/// # Errors
/// As [`Builder::build`].
pub fn ensure_all() -> Result<()> {
    let builder = Builder::new(Arch::host()?)?;
    for image in Image::ALL {
        builder.build(image, Version::V1)?;
        builder.build(image, Version::V2)?;
    }
    Ok(())
}

/// The folder of the demo's app: `compose.v1.yaml` to `compose.v4.yaml` and the
/// files that they name.
#[must_use]
pub fn demo_dir() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/demo"))
}
