//! Images out of podman's or docker's local store, over their Unix sockets.
//!
//! Both give a docker archive, which keeps the image's configuration, and so its id, byte for
//! byte; podman's OCI archive would rewrite that of images in docker's format. Never starts an
//! engine and never talks to one over the network.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::OpenImage;
use super::docker;
use super::error::SourceError;
use super::store::Tar;
use crate::net::Net;

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// podman, through its own API.
    Podman,
    /// docker, or whatever speaks its API.
    Docker,
}

impl Engine {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Docker => "docker",
        }
    }

    /// The environment variable that names its socket.
    const fn variable(self) -> &'static str {
        match self {
            Self::Podman => "CONTAINER_HOST",
            Self::Docker => "DOCKER_HOST",
        }
    }

    /// Where its socket is: what the environment says, else the user's, else the system's.
    fn socket(self) -> Result<PathBuf, SourceError> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(address) = variable(self.variable()) {
            return match address.strip_prefix("unix://") {
                Some(path) => Ok(PathBuf::from(path)),
                None => Err(SourceError::NotASocket(address)),
            };
        }
        let (in_runtime_dir, system) = match self {
            Self::Podman => ("podman/podman.sock", "/run/podman/podman.sock"),
            Self::Docker => ("docker.sock", "/var/run/docker.sock"),
        };
        let user = variable("XDG_RUNTIME_DIR").map(|dir| Path::new(&dir).join(in_runtime_dir));
        let candidates: Vec<PathBuf> = user.into_iter().chain([PathBuf::from(system)]).collect();
        candidates
            .iter()
            .find(|path| path.exists())
            .cloned()
            .ok_or_else(|| SourceError::NoSocket {
                engine: self.as_str(),
                tried: std::iter::once(format!("${}", self.variable()))
                    .chain(candidates.iter().map(|path| path.display().to_string()))
                    .collect(),
            })
    }

    fn url(self, reference: &str) -> String {
        match self {
            Self::Podman => {
                format!("http://podman/v4.0.0/libpod/images/{reference}/get?format=docker-archive")
            }
            Self::Docker => format!("http://docker/images/{reference}/get"),
        }
    }
}

/// What engines say with an error.
#[derive(Deserialize)]
struct Message {
    message: String,
}

/// The image that an engine knows by `reference`, copied through `spool`.
pub(crate) fn open(
    engine: Engine,
    reference: &str,
    net: &Net,
    spool: &Path,
) -> Result<OpenImage, SourceError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"./:@_-".contains(&b);
    if reference.is_empty() || !reference.bytes().all(plain) {
        return Err(SourceError::Unknown(format!(
            "{}:{reference}",
            engine.as_str()
        )));
    }
    let socket = engine.socket()?;
    let response = net.run(async {
        let client = reqwest::Client::builder()
            .unix_socket(socket.as_path())
            // No TLS here, so no need of root certificates, which small machines may lack.
            .tls_certs_only([])
            .build()?;
        client.get(engine.url(reference)).send().await
    });
    let response = response.map_err(|error| SourceError::Connection {
        engine: engine.as_str(),
        socket,
        error,
    })?;
    let status = response.status();
    if !status.is_success() {
        let body = net.run(response.text()).unwrap_or_default();
        let message = serde_json::from_str::<Message>(&body).map(|body| body.message);
        return Err(SourceError::Engine {
            engine: engine.as_str(),
            status: status.as_u16(),
            message: message.unwrap_or(body),
        });
    }
    let mut stream = net.reader(Box::pin(response.bytes_stream()));
    let what = format!("the archive from {}", engine.as_str());
    docker::archive(Box::new(Tar::spooled(&mut *stream, &what, spool)?))
}
