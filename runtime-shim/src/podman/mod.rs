//! podman through its libpod REST API over a Unix socket; 4.0 and later.
//!
//! Knows nothing of podman's command line, and keeps no connection open between calls, so that a
//! socket-activated service may leave memory in the meantime.

mod api;
mod container;
mod exec;
mod http;
mod image;
mod pidfd;
mod registry;
mod signal;
mod spec;
mod store;
mod stream;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bundle::{AppName, Digest};
use serde::Deserialize;

use self::api::{Api, Call};
use crate::{
    Container, ContainerId, ContainerSpec, EventStream, ExecOutput, ExitStatus, ImageImport,
    LogQuery, LogStream, Runtime, RuntimeError, RuntimeInfo, Stats, error, labels,
};

/// The oldest major version whose API this module speaks.
const MAJOR_MIN: u32 = 4;

/// podman's service at a socket. Connects anew for each call.
#[derive(Clone, Debug)]
pub struct Podman {
    api: Api,
}

#[derive(Deserialize)]
struct Info {
    host: Host,
    store: Store,
    version: Version,
}

#[derive(Deserialize)]
struct Host {
    security: Security,
}

#[derive(Deserialize)]
struct Security {
    rootless: bool,
}

#[derive(Deserialize)]
struct Store {
    #[serde(rename = "graphRoot")]
    graph_root: PathBuf,
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "Version")]
    version: String,
}

impl Podman {
    /// podman at this socket. Does not connect yet; [`Runtime::info`] tells whether it answers
    /// and is new enough.
    pub fn new(socket: &Path) -> Self {
        Self {
            api: Api::new(socket.to_owned()),
        }
    }
}

/// The label filter for an app's things, or all of Coracle's.
fn app_label(app: Option<&AppName>) -> String {
    match app {
        Some(app) => format!("{}={app}", labels::APP),
        None => labels::APP.to_owned(),
    }
}

/// Refuses what is too old, or is not podman.
fn check_version(version: &str) -> Result<(), RuntimeError> {
    let major = version.split('.').next().and_then(|part| part.parse().ok());
    match major {
        Some(MAJOR_MIN..) => Ok(()),
        _ => Err(RuntimeError::Refused {
            status: 400,
            message: format!(
                "podman {} is too old: {MAJOR_MIN}.0 or newer is needed",
                error::clean(version)
            ),
        }),
    }
}

#[async_trait(?Send)]
impl Runtime for Podman {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        let info: Info = match self.api.ask(Call::get("info")).await {
            // Other services on a Docker-like socket know no such path.
            Err(RuntimeError::NotFound) => {
                return Err(RuntimeError::Protocol("not podman's service"));
            }
            other => other?,
        };
        check_version(&info.version.version)?;
        Ok(RuntimeInfo {
            name: "podman",
            version: error::clean(&info.version.version),
            rootless: info.host.security.rootless,
            store: info.store.graph_root,
        })
    }

    async fn has_image(&self, id: &Digest) -> Result<bool, RuntimeError> {
        image::exists(&self.api, id).await
    }

    async fn import_image(
        &self,
        image: &ImageImport,
        progress: &dyn Fn(u64),
    ) -> Result<(), RuntimeError> {
        let store = self.info().await?.store;
        image::import(&self.api, image, progress, store).await
    }

    async fn images(&self) -> Result<Vec<Digest>, RuntimeError> {
        image::list(&self.api).await
    }

    async fn remove_image(&self, id: &Digest) -> Result<(), RuntimeError> {
        image::remove(&self.api, id).await
    }

    async fn ensure_network(&self, app: &AppName, name: &str) -> Result<(), RuntimeError> {
        store::ensure_network(&self.api, app, name).await
    }

    async fn networks(&self, app: Option<&AppName>) -> Result<Vec<String>, RuntimeError> {
        store::networks(&self.api, app).await
    }

    async fn remove_network(&self, name: &str) -> Result<(), RuntimeError> {
        store::remove_network(&self.api, name).await
    }

    async fn ensure_volume(&self, app: &AppName, name: &str) -> Result<PathBuf, RuntimeError> {
        store::ensure_volume(&self.api, app, name).await
    }

    async fn volumes(&self, app: Option<&AppName>) -> Result<Vec<String>, RuntimeError> {
        store::volumes(&self.api, app).await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), RuntimeError> {
        store::remove_volume(&self.api, name).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
        container::create(&self.api, spec).await
    }

    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        container::start(&self.api, id).await
    }

    async fn stop(&self, id: &ContainerId, grace_s: u32) -> Result<(), RuntimeError> {
        container::stop(&self.api, id, grace_s).await
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        container::remove(&self.api, id).await
    }

    async fn inspect(&self, id_or_name: &str) -> Result<Option<Container>, RuntimeError> {
        container::inspect(&self.api, id_or_name).await
    }

    async fn containers(&self, app: Option<&AppName>) -> Result<Vec<Container>, RuntimeError> {
        container::list(&self.api, app).await
    }

    async fn wait(&self, id: &ContainerId) -> Result<ExitStatus, RuntimeError> {
        container::wait(&self.api, id).await
    }

    async fn logs(
        &self,
        id: &ContainerId,
        query: &LogQuery,
    ) -> Result<Box<dyn LogStream>, RuntimeError> {
        let mut call = Call::get(&format!("containers/{}/logs", id.0))
            .query("stdout", "true")
            .query("stderr", "true")
            .query("timestamps", "true");
        if query.follow {
            call = call.query("follow", "true");
        }
        if let Some(tail) = query.tail {
            call = call.query("tail", &tail.to_string());
        }
        if let Some(since) = query.since {
            call = call.query("since", &since.to_string());
        }
        Ok(Box::new(stream::Log::new(self.api.stream(call).await?)))
    }

    async fn events(&self) -> Result<Box<dyn EventStream>, RuntimeError> {
        Ok(Box::new(stream::Events::new(self.api.clone())))
    }

    async fn stats(&self, id: &ContainerId) -> Result<Stats, RuntimeError> {
        container::stats(&self.api, id).await
    }

    async fn exec(
        &self,
        id: &ContainerId,
        command: &[&str],
        timeout_ms: u32,
    ) -> Result<ExecOutput, RuntimeError> {
        exec::exec(&self.api, id, command, timeout_ms).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for good in ["4.0.0", "4.3.1", "5.8.6-rhel", "10.0"] {
            assert!(check_version(good).is_ok(), "{good}");
        }
        for bad in ["3.4.4", "", "dev", "\x1b[2J"] {
            let message = check_version(bad).unwrap_err().to_string();
            assert!(message.contains("4.0 or newer"), "{message}");
            assert!(!message.contains('\x1b'));
        }
    }
}
