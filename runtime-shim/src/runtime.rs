//! The trait that every runtime implements.
//!
//! Every call is safe to repeat: after a crash in the middle the same call is made again. Calls
//! are cancelled by dropping their future; what the runtime had begun may still finish.

use std::path::PathBuf;

use async_trait::async_trait;
use bundle::{AppName, Digest};

use crate::{
    Container, ContainerId, ContainerSpec, EventStream, ExecOutput, ExitStatus, ImageImport,
    LogQuery, LogStream, RuntimeError, Stats,
};

/// What a runtime says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeInfo {
    /// `podman`, `containerd` or `fake`.
    pub name: &'static str,
    /// Its version.
    pub version: String,
    /// Whether it runs without root, so that bridge addresses cannot be reached from outside.
    pub rootless: bool,
    /// The folder of its image store, whose file system is asked for free space and synced.
    pub store: PathBuf,
}

/// A container runtime.
///
/// # Errors
/// All calls: [`RuntimeError::Unreachable`] if nothing answers, [`RuntimeError::TimedOut`] when a
/// deadline passes, [`RuntimeError::NotFound`] for what does not exist, unless said otherwise.
#[async_trait(?Send)]
pub trait Runtime {
    /// What it says of itself; also the check that it answers.
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError>;

    /// Whether an image with this id is there, complete as far as the runtime knows.
    async fn has_image(&self, id: &Digest) -> Result<bool, RuntimeError>;

    /// Brings an image in; only layers that are missing move. `progress` gets the bytes read so
    /// far. Done means that it is in the runtime's store under `image.name` with a tag of the
    /// first 12 digits of its id; a crash in the middle leaves at most what the next import of
    /// the same image reuses, or [`Runtime::remove_image`] removes.
    async fn import_image(
        &self,
        image: &ImageImport,
        progress: &dyn Fn(u64),
    ) -> Result<(), RuntimeError>;

    /// The ids of the images under `localhost/coracle/`.
    async fn images(&self) -> Result<Vec<Digest>, RuntimeError>;

    /// Removes Coracle's names of an image, and the image if nothing else names or uses it. An
    /// absent one is fine; one that a container uses is [`RuntimeError::Conflict`].
    async fn remove_image(&self, id: &Digest) -> Result<(), RuntimeError>;

    /// Makes a bridge network with name resolution, unless it exists; `name` as from
    /// [`ContainerSpec::network_name`], labelled with the app.
    async fn ensure_network(&self, app: &AppName, name: &str) -> Result<(), RuntimeError>;

    /// The names of an app's networks, or of all apps'.
    async fn networks(&self, app: Option<&AppName>) -> Result<Vec<String>, RuntimeError>;

    /// Removes a network; an absent one is fine.
    async fn remove_network(&self, name: &str) -> Result<(), RuntimeError>;

    /// Makes a named volume, unless it exists; `name` as from [`ContainerSpec::volume_name`],
    /// labelled with the app. Gives the folder of its content on the device.
    async fn ensure_volume(&self, app: &AppName, name: &str) -> Result<PathBuf, RuntimeError>;

    /// The names of an app's volumes, or of all apps'.
    async fn volumes(&self, app: Option<&AppName>) -> Result<Vec<String>, RuntimeError>;

    /// Removes a volume with its content; an absent one is fine.
    async fn remove_volume(&self, name: &str) -> Result<(), RuntimeError>;

    /// Creates a container without starting it. If one with the same name exists and carries the
    /// same `coracle.spec` and `coracle.generation` labels, that one is the answer; another one
    /// of that name is [`RuntimeError::Conflict`].
    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError>;

    /// Starts a container; a running one is fine.
    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Stops a container with its stop signal, and kills it after `grace_s` seconds. One that
    /// does not run is fine, an absent one too.
    async fn stop(&self, id: &ContainerId, grace_s: u32) -> Result<(), RuntimeError>;

    /// Removes a container, killing it if it runs; an absent one is fine. Named volumes stay.
    async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// A container by id or name, with its addresses; none if there is no such.
    async fn inspect(&self, id_or_name: &str) -> Result<Option<Container>, RuntimeError>;

    /// Containers with the label `coracle.app`: an app's, or all apps'.
    async fn containers(&self, app: Option<&AppName>) -> Result<Vec<Container>, RuntimeError>;

    /// Waits until a container does not run; one that was never started is
    /// [`RuntimeError::Conflict`]. Without a runtime's process behind it where the
    /// kernel has pidfds (5.3 and later).
    async fn wait(&self, id: &ContainerId) -> Result<ExitStatus, RuntimeError>;

    /// Lines of a container's log.
    async fn logs(
        &self,
        id: &ContainerId,
        query: &LogQuery,
    ) -> Result<Box<dyn LogStream>, RuntimeError>;

    /// What happens to Coracle's containers from now on.
    async fn events(&self) -> Result<Box<dyn EventStream>, RuntimeError>;

    /// What a running container uses.
    async fn stats(&self, id: &ContainerId) -> Result<Stats, RuntimeError>;

    /// Runs a command in a running container and waits for its end, at most `timeout_ms`.
    async fn exec(
        &self,
        id: &ContainerId,
        command: &[&str],
        timeout_ms: u32,
    ) -> Result<ExecOutput, RuntimeError>;
}
