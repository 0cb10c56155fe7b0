//! Where images come from.
//!
//! Every source gives the same: the configuration's bytes, and each layer as a stream in
//! whatever encoding it lies there. Digests and architecture are checked by `image`.

mod auth;
mod docker;
mod engine;
mod error;
mod layer;
mod oci;
mod registry;
mod store;

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bundle::Arch;
use oci_client::Reference;

pub use engine::Engine;
pub use error::SourceError;
pub(crate) use layer::plain;
pub(crate) use oci::{fits_architecture, platform_name};

/// A source of an image, as `--image SERVICE=SOURCE` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// `oci-archive:PATH`: a tar of an OCI layout.
    OciArchive(PathBuf),
    /// `oci:DIR`: an OCI layout.
    Oci(PathBuf),
    /// `docker-archive:PATH`: what `docker save` writes.
    DockerArchive(PathBuf),
    /// `podman:REF` or `docker:REF`: the local store of an engine.
    Engine(Engine, String),
    /// `registry:REF@sha256:…`.
    Registry(Reference),
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let unknown = || SourceError::Unknown(text.to_string());
        let (kind, rest) = text.split_once(':').ok_or_else(unknown)?;
        if rest.is_empty() {
            return Err(unknown());
        }
        match kind {
            "oci-archive" => Ok(Self::OciArchive(rest.into())),
            "oci" => Ok(Self::Oci(rest.into())),
            "docker-archive" => Ok(Self::DockerArchive(rest.into())),
            "podman" => Ok(Self::Engine(Engine::Podman, rest.to_string())),
            "docker" => Ok(Self::Engine(Engine::Docker, rest.to_string())),
            "registry" => Ok(Self::Registry(registry::parse(rest)?)),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OciArchive(path) => write!(f, "oci-archive:{}", path.display()),
            Self::Oci(path) => write!(f, "oci:{}", path.display()),
            Self::DockerArchive(path) => write!(f, "docker-archive:{}", path.display()),
            Self::Engine(engine, reference) => write!(f, "{}:{reference}", engine.as_str()),
            Self::Registry(reference) => write!(f, "registry:{}", reference.whole()),
        }
    }
}

/// An image, opened.
pub(crate) struct OpenImage {
    /// The bytes of its configuration; their digest is the image id.
    pub(crate) config: Vec<u8>,
    /// The size of each layer as it lies there, lowest first.
    pub(crate) layer_bytes: Vec<u64>,
    /// The layers.
    pub(crate) layers: Box<dyn Layers>,
}

/// The layers of an image, lowest first.
pub(crate) trait Layers {
    /// The layer's bytes as they lie there, perhaps compressed.
    fn open(&self, index: usize) -> Result<Box<dyn Read>, SourceError>;
}

/// What opening needs besides the source.
pub(crate) struct Access<'a> {
    /// The wanted architecture.
    pub(crate) arch: Arch,
    /// Where streams may be copied to.
    pub(crate) spool: &'a Path,
    /// Credentials for registries, if not from the usual places.
    pub(crate) auth_file: Option<&'a Path>,
    /// The network.
    pub(crate) net: &'a crate::net::Net,
}

impl Source {
    /// Opens the image; layers are fetched as they are read.
    pub(crate) fn open(&self, access: &Access<'_>) -> Result<OpenImage, SourceError> {
        let Access { arch, spool, .. } = *access;
        match self {
            Self::OciArchive(path) => oci::layout(Box::new(store::Tar::open(path, spool)?), arch),
            Self::Oci(path) => oci::layout(Box::new(store::Folder(path.clone())), arch),
            Self::DockerArchive(path) => docker::archive(Box::new(store::Tar::open(path, spool)?)),
            Self::Engine(engine, reference) => engine::open(*engine, reference, access.net, spool),
            Self::Registry(reference) => {
                registry::open(reference, arch, access.auth_file, access.net)
            }
        }
    }
}
