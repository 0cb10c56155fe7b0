//! What can go wrong between an image's source and its plain layers.

use std::fmt;
use std::io;
use std::path::PathBuf;

use bundle::{Arch, Digest};
use oci_client::errors::OciDistributionError;

/// Why an image could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum SourceError {
    /// The text after `--image SERVICE=` names no source.
    Unknown(String),
    /// A registry source without `@sha256:…`.
    NotPinned(String),
    /// A file, folder or stream could not be read.
    Io {
        /// Which.
        what: String,
        /// Why.
        error: io::Error,
    },
    /// The archive or layout lacks a file that it must have.
    Missing(String),
    /// A JSON document of the image cannot be understood.
    Json {
        /// Which.
        what: String,
        /// Why.
        error: serde_json::Error,
    },
    /// There are several images, or none.
    Images(usize),
    /// No image for the wanted architecture.
    Architecture {
        /// What `--arch` says.
        want: Arch,
        /// What is there.
        found: Vec<String>,
    },
    /// The bytes are not those that their digest promises.
    Digest {
        /// Whose.
        what: String,
        /// What it should be.
        want: String,
        /// What it is.
        got: Digest,
    },
    /// A digest that is not a SHA-256.
    DigestForm(String),
    /// The configuration names another number of layers than the manifest.
    LayerCount {
        /// In the configuration.
        config: usize,
        /// In the manifest.
        manifest: usize,
    },
    /// More than the format allows.
    TooLarge {
        /// What.
        what: String,
        /// The most.
        max: u64,
    },
    /// A layer in a form that cannot be unpacked here.
    Compression(&'static str),
    /// No engine's socket was found.
    NoSocket {
        /// "podman" or "docker".
        engine: &'static str,
        /// Where it was looked for.
        tried: Vec<String>,
    },
    /// The address of an engine is no Unix socket.
    NotASocket(String),
    /// The engine answered with an error.
    Engine {
        /// "podman" or "docker".
        engine: &'static str,
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// Talking to the engine failed.
    Connection {
        /// "podman" or "docker".
        engine: &'static str,
        /// Its socket.
        socket: PathBuf,
        /// Why.
        error: reqwest::Error,
    },
    /// Talking to the registry failed.
    Registry(Box<OciDistributionError>),
    /// The file of registry credentials cannot be understood.
    AuthFile {
        /// Which.
        path: String,
        /// Why.
        error: serde_json::Error,
    },
    /// The registry's credentials lie in a helper program, which is not run.
    AuthHelper {
        /// Which registry.
        registry: String,
        /// Which helper.
        helper: String,
    },
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(text) => write!(f, "{text:?} is not an image source"),
            Self::NotPinned(text) => write!(f, "{text} is not pinned by digest"),
            Self::Io { what, error } => write!(f, "{what}: {error}"),
            Self::Missing(name) => write!(f, "{name} is missing"),
            Self::Json { what, error } => write!(f, "{what} cannot be understood: {error}"),
            Self::Images(0) => f.write_str("there is no image in it"),
            Self::Images(count) => write!(f, "there are {count} images in it"),
            Self::Architecture { want, found } => {
                write!(f, "the image is for {}, not {want}", found.join(", "))
            }
            Self::Digest { what, want, got } => {
                write!(f, "{what} should have the digest {want}, but has {got}")
            }
            Self::DigestForm(text) => write!(f, "{text:?} is no SHA-256 digest"),
            Self::LayerCount { config, manifest } => write!(
                f,
                "the image's configuration names {config} layers, its manifest {manifest}"
            ),
            Self::TooLarge { what, max } => write!(f, "{what} is larger than {max} bytes"),
            Self::Compression(name) => write!(f, "layers compressed with {name} are not supported"),
            Self::NoSocket { engine, tried } => {
                write!(
                    f,
                    "no socket of {engine} found (tried {})",
                    tried.join(", ")
                )
            }
            Self::NotASocket(address) => write!(f, "{address} is not a unix:// address"),
            Self::Engine {
                engine,
                status,
                message,
            } => write!(f, "{engine} answered {status}: {message}"),
            Self::Connection {
                engine,
                socket,
                error,
            } => write!(f, "{engine} at {}: {}", socket.display(), chain(error)),
            Self::Registry(error) => f.write_str(&chain(error)),
            Self::AuthFile { path, error } => {
                write!(f, "the credentials in {path} cannot be understood: {error}")
            }
            Self::AuthHelper { registry, helper } => write!(
                f,
                "the credentials for {registry} lie in the helper docker-credential-{helper}"
            ),
        }
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Json { error, .. } | Self::AuthFile { error, .. } => Some(error),
            Self::Connection { error, .. } => Some(error),
            Self::Registry(error) => Some(&**error),
            _ => None,
        }
    }
}

impl From<OciDistributionError> for SourceError {
    fn from(error: OciDistributionError) -> Self {
        Self::Registry(Box::new(error))
    }
}

impl SourceError {
    /// What to do about it, if that is known.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unknown(_) => {
                "use oci-archive:PATH, oci:DIR, docker-archive:PATH, podman:REF, docker:REF or registry:REF@sha256:…"
            }
            Self::NotPinned(_) => {
                "write registry:HOST/NAME@sha256:…, so that the same command always packs the same image; `skopeo inspect` shows the digest"
            }
            Self::Images(0) | Self::Missing(_) => {
                "check the kind of source: `podman save --format oci-archive` makes oci-archive, `docker save` makes docker-archive"
            }
            Self::Images(_) => "save one image per archive",
            Self::Architecture { .. } => {
                "build the image for that architecture (podman build --platform), or change --arch"
            }
            Self::Compression(_) => {
                "recompress with gzip or zstd: skopeo copy --dest-compress-format zstd"
            }
            Self::NoSocket {
                engine: "podman", ..
            } => {
                "start it with `systemctl --user start podman.socket`, or set CONTAINER_HOST=unix:///path"
            }
            Self::NoSocket { .. } => "start docker, or set DOCKER_HOST=unix:///path",
            Self::NotASocket(_) => "only local sockets are supported: unix:///path",
            Self::Registry(_) => {
                "check name, digest and credentials (--registry-auth-file, or `podman login`); the registry must speak HTTPS unless it is on this machine, and SSL_CERT_FILE may name its authority"
            }
            Self::AuthHelper { .. } => {
                "helpers are not run: log in with `podman login`, or give --registry-auth-file"
            }
            _ => return None,
        })
    }
}

/// An error with its causes, since HTTP clients put the cause that matters last.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
