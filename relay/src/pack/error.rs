//! Why nothing was packed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use bundle::Refused;
use bundle::build::{BuildError, KeyError};

use super::compose::ComposeError;
use super::env_file::EnvFileError;
use super::source::SourceError;

/// Why an image could not be added.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImageError {
    /// It could not be read, or is not what it should be.
    Source(SourceError),
    /// It could not be stored.
    Build(BuildError),
}

impl From<SourceError> for ImageError {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<BuildError> for ImageError {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::Build(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ImageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Source(error) => Some(error),
            Self::Build(error) => Some(error),
        }
    }
}

/// Why nothing was packed.
#[derive(Debug)]
#[non_exhaustive]
pub enum PackError {
    /// The Compose file is not one that we support.
    Compose(ComposeError),
    /// A file cannot be read or written.
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file of `NAME=value` lines cannot be understood.
    EnvFile {
        /// Which.
        path: PathBuf,
        /// Where and why.
        error: EnvFileError,
    },
    /// `--image` names a service that is not in the Compose file.
    NoSuchService {
        /// The name.
        name: String,
        /// The services that there are.
        services: Vec<String>,
    },
    /// `--image` names a service twice.
    ImageTwice(String),
    /// A service has no image.
    NoImage {
        /// Where the image is named, or else the service is.
        place: String,
        /// What its `image:` says, if it is there.
        image: Option<String>,
    },
    /// An image could not be added.
    Image {
        /// Its source.
        source: String,
        /// Why.
        error: ImageError,
    },
    /// A signing key cannot be used.
    Key {
        /// Its file.
        path: PathBuf,
        /// Why.
        error: KeyError,
    },
    /// The bundle cannot be built.
    Build(BuildError),
    /// The bundle that was written does not verify: nothing was kept.
    SelfCheck(Refused),
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compose(error) => error.fmt(f),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::EnvFile { path, error } => write!(f, "{}: {error}", path.display()),
            Self::NoSuchService { name, services } => write!(
                f,
                "--image {name}: the Compose file has no such service, only {}",
                services.join(", ")
            ),
            Self::ImageTwice(name) => write!(f, "--image {name}: is there twice"),
            Self::NoImage { place, image: None } => write!(f, "{place}: has no image"),
            Self::NoImage {
                place,
                image: Some(image),
            } => write!(
                f,
                "{place}: {image} is not pinned by digest, so it may be another image tomorrow"
            ),
            Self::Image { source, error } => write!(f, "{source}: {error}"),
            Self::Key { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Build(error) => error.fmt(f),
            Self::SelfCheck(refused) => {
                write!(f, "the bundle that was written does not verify: {refused}")
            }
        }
    }
}

impl std::error::Error for PackError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Compose(error) => Some(error),
            Self::Io { error, .. } => Some(error),
            Self::EnvFile { error, .. } => Some(error),
            Self::Image { error, .. } => Some(error),
            Self::Key { error, .. } => Some(error),
            Self::Build(error) => Some(error),
            Self::SelfCheck(refused) => Some(refused),
            Self::NoSuchService { .. } | Self::ImageTwice(_) | Self::NoImage { .. } => None,
        }
    }
}

impl PackError {
    /// What to do about it, if that is known.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Image {
                error: ImageError::Source(error),
                ..
            } => error.hint(),
            Self::NoImage { .. } => Some(
                "give --image SERVICE=SOURCE, or write image: HOST/NAME@sha256:… in the Compose file",
            ),
            Self::Key {
                error: KeyError::Read(..),
                ..
            } => Some("make a key with `relay key new --out release`"),
            Self::Key {
                error: KeyError::Password(_) | KeyError::WrongPassword,
                ..
            } => Some("set CORACLE_KEY_PASSWORD, or type the password when asked"),
            Self::SelfCheck(_) => Some(
                "the disk may be failing; if it is not, this is a mistake in Coracle: please report it",
            ),
            _ => None,
        }
    }
}
