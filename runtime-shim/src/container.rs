//! Containers as the agent describes them to a runtime, and as the runtime describes them back.
//!
//! Never holds a runtime's own vocabulary.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use async_trait::async_trait;
use bundle::manifest::Service;
use bundle::{AppName, Digest, NetworkName, VolumeName};

use crate::RuntimeError;

/// Labels that Coracle puts on what it creates.
pub mod labels {
    /// The app.
    pub const APP: &str = "coracle.app";
    /// The service.
    pub const SERVICE: &str = "coracle.service";
    /// The generation that created it.
    pub const GENERATION: &str = "coracle.generation";
    /// The digest of the bundle that created it.
    pub const BUNDLE: &str = "coracle.bundle";
    /// The device.
    pub const DEVICE: &str = "coracle.device";
    /// SHA-256 of the service's resolved definition.
    pub const SPEC: &str = "coracle.spec";
}

/// A container to create.
#[derive(Clone, Debug)]
pub struct ContainerSpec {
    /// The app: volumes and networks are named after it (see [`ContainerSpec::volume_name`]).
    pub app: AppName,
    /// Its name: `coracle-<app>-<service>-<generation>`.
    pub name: String,
    /// The image id, present in the runtime.
    pub image: Digest,
    /// The definition, with variables already put into `environment`.
    pub service: Service,
    /// All labels, Coracle's and the service's own.
    pub labels: BTreeMap<String, String>,
    /// The device's path of each of `service.files`, in their order.
    pub file_sources: Vec<PathBuf>,
    /// The application socket to mount at `/run/coracle/app.sock`, if the service has one.
    pub api_socket: Option<PathBuf>,
}

impl ContainerSpec {
    /// The runtime's name of an app's volume. `_` is in no app's name, so no two apps collide.
    pub fn volume_name(app: &AppName, volume: &VolumeName) -> String {
        format!("coracle_{app}_{volume}")
    }

    /// The runtime's name of an app's network.
    pub fn network_name(app: &AppName, network: &NetworkName) -> String {
        format!("coracle_{app}_{network}")
    }
}

/// The runtime's own id of a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(pub String);

/// A container as the runtime sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The image id (configuration digest), if the runtime tells.
    pub image: Option<Digest>,
    /// What it is doing.
    pub state: ContainerState,
    /// When it was last started: seconds since 1970-01-01 UTC.
    pub started_at: Option<u64>,
    /// Its addresses on bridge networks (filled in by `inspect` only).
    pub addresses: Vec<IpAddr>,
}

impl Container {
    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Created, never started.
    Created,
    /// Running, with the process id of its init in the device's own namespace.
    Running {
        /// The process id.
        pid: u32,
    },
    /// Exited.
    Exited(ExitStatus),
    /// Something that Coracle never asks for: paused, being removed.
    Other,
}

/// How a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitStatus {
    /// The exit code; 128 + signal if a signal ended it.
    pub code: i32,
    /// Whether the kernel ended it for lack of memory.
    pub oom_killed: bool,
}

/// Which of the two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line of a container's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Where it was written.
    pub stream: Stream,
    /// When: RFC 3339 as the runtime writes it; empty if it does not tell.
    pub at: String,
    /// The line without its end, at most 16 KiB, invalid UTF-8 replaced.
    pub text: String,
}

/// Which lines of a log are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// At most so many of the last lines; none means all.
    pub tail: Option<u32>,
    /// None older than this: seconds since 1970-01-01 UTC.
    pub since: Option<u64>,
    /// Whether to wait for further lines until the container ends.
    pub follow: bool,
}

/// Lines of a log, as they come.
#[async_trait(?Send)]
pub trait LogStream {
    /// The next line; none at the end.
    ///
    /// # Errors
    /// When the connection breaks.
    async fn next(&mut self) -> Result<Option<LogLine>, RuntimeError>;
}

/// What a running container uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// CPU time since it started, in nanoseconds.
    pub cpu_ns: u64,
    /// Processes and threads.
    pub pids: u32,
}

/// What a command in a container gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit code.
    pub code: i32,
    /// What it wrote, both streams joined, at most 64 KiB; the rest is read and dropped.
    pub output: Vec<u8>,
}

/// Something that happened to one of Coracle's containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeEvent {
    /// Which container.
    pub container: ContainerId,
    /// What.
    pub kind: RuntimeEventKind,
}

/// What happened to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuntimeEventKind {
    /// It was created.
    Created,
    /// It was started.
    Started,
    /// It ended.
    Exited,
    /// It was removed.
    Removed,
}

/// Events as they come; only containers with Coracle's labels.
#[async_trait(?Send)]
pub trait EventStream {
    /// The next event; none when the runtime ends the stream.
    ///
    /// # Errors
    /// When the connection breaks.
    async fn next(&mut self) -> Result<Option<RuntimeEvent>, RuntimeError>;
}
