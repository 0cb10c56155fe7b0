//! A service: one container of an app, in the terms of Compose and OCI.
//!
//! The same types describe a service in the signed manifest, in the agent's plan and to the
//! runtime; only `environment` and templated files change on the way, by variables. Never holds
//! anything that differs between podman and containerd.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::bounded::list;
use crate::limits::LIST_MAX;
use crate::manifest::{FileId, ImageId, Text};
use crate::{NetworkName, ServiceName, VolumeName};

/// One container of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name; also its host name on the app's networks.
    pub name: ServiceName,
    /// Its image.
    pub image: ImageId,
    /// Replaces the image's entrypoint.
    #[serde(deserialize_with = "crate::manifest::service::maybe_list")]
    pub entrypoint: Option<Vec<Text>>,
    /// Replaces the image's command.
    #[serde(deserialize_with = "crate::manifest::service::maybe_list")]
    pub command: Option<Vec<Text>>,
    /// Environment, sorted by name; values may hold `${NAME}` of declared variables, and `$$`
    /// for a dollar sign.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub environment: Vec<(Text, Text)>,
    /// `user[:group]`, names or numbers.
    pub user: Option<Text>,
    /// Working directory within the container.
    pub working_dir: Option<Text>,
    /// Host name, if not the service's name.
    pub hostname: Option<Text>,
    /// How it is connected.
    pub network: NetworkMode,
    /// Published ports (only with [`NetworkMode::Bridge`]).
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub ports: Vec<Port>,
    /// Named volumes.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub volumes: Vec<VolumeMount>,
    /// Paths of the device.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub binds: Vec<BindMount>,
    /// Memory file systems.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub tmpfs: Vec<Tmpfs>,
    /// Configuration files of the bundle.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub files: Vec<FileMount>,
    /// Device nodes.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub devices: Vec<Device>,
    /// Whether the container has all privileges of the host's root.
    pub privileged: bool,
    /// Capabilities to add, without `CAP_`; `ALL` for all.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub cap_add: Vec<Text>,
    /// Capabilities to drop, without `CAP_`; `ALL` for all.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub cap_drop: Vec<Text>,
    /// Whether set-uid programs are kept from gaining privileges.
    pub no_new_privileges: bool,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Whether an init process reaps zombies and passes signals on.
    pub init: bool,
    /// Resource limits of the container as a whole.
    pub limits: Limits,
    /// Resource limits of each process (setrlimit(2)).
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub ulimits: Vec<Ulimit>,
    /// Kernel parameters of the container's namespaces.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub sysctls: Vec<(Text, Text)>,
    /// Lines for `/etc/hosts`: name and address.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub extra_hosts: Vec<(Text, Text)>,
    /// What happens when it exits.
    pub restart: Restart,
    /// The signal that stops it, by name (`SIGTERM`), if not the image's.
    pub stop_signal: Option<Text>,
    /// How long it may take to stop before it is killed, in seconds.
    pub stop_grace_s: u32,
    /// What must be so before it starts.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub depends_on: Vec<Dependency>,
    /// How its health is checked.
    pub health: Option<HealthCheck>,
    /// Bounds of its log.
    pub logging: Logging,
    /// Labels, sorted by name; none begins with `coracle.`.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub labels: Vec<(Text, Text)>,
    /// Named commands that an operator may run in it.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub diagnostics: Vec<Diagnostic>,
    /// Whether it gets the agent's application socket.
    pub api: bool,
}

impl Service {
    /// A service with nothing but a name and an image: no network, no mounts, no privileges,
    /// always restarted, ten seconds to stop, two log files of 1 MiB.
    pub fn new(name: ServiceName, image: ImageId) -> Self {
        Self {
            name,
            image,
            entrypoint: None,
            command: None,
            environment: Vec::new(),
            user: None,
            working_dir: None,
            hostname: None,
            network: NetworkMode::None,
            ports: Vec::new(),
            volumes: Vec::new(),
            binds: Vec::new(),
            tmpfs: Vec::new(),
            files: Vec::new(),
            devices: Vec::new(),
            privileged: false,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            no_new_privileges: true,
            read_only: false,
            init: false,
            limits: Limits::default(),
            ulimits: Vec::new(),
            sysctls: Vec::new(),
            extra_hosts: Vec::new(),
            restart: Restart::Always,
            stop_signal: None,
            stop_grace_s: 10,
            depends_on: Vec::new(),
            health: None,
            logging: Logging {
                bytes_max: 1 << 20,
                files_max: 2,
            },
            labels: Vec::new(),
            diagnostics: Vec::new(),
            api: false,
        }
    }
}

pub(crate) fn maybe_list<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Text>>, D::Error> {
    #[derive(Deserialize)]
    struct Bounded(#[serde(deserialize_with = "list::<_, _, LIST_MAX>")] Vec<Text>);
    Ok(Option::<Bounded>::deserialize(deserializer)?.map(|bounded| bounded.0))
}

/// How a container is connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NetworkMode {
    /// The device's own network.
    Host,
    /// No network but loopback.
    None,
    /// Bridge networks of the app, on which services find each other by name.
    Bridge(#[serde(deserialize_with = "list::<_, _, LIST_MAX>")] Vec<NetworkAttachment>),
}

/// A bridge network that a service is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAttachment {
    /// The network.
    pub network: NetworkName,
    /// Further host names of the service on it.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub aliases: Vec<Text>,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A port of the device that leads into a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The device's address to listen on; none means all.
    pub host_ip: Option<Text>,
    /// The device's port.
    pub host: u16,
    /// The container's port.
    pub container: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

/// A named volume in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeMount {
    /// The volume.
    pub volume: VolumeName,
    /// Where it is in the container: an absolute path.
    pub target: Text,
    /// Whether the container may only read it.
    pub read_only: bool,
}

/// A path of the device in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindMount {
    /// The device's path, absolute.
    pub source: Text,
    /// Where it is in the container: an absolute path.
    pub target: Text,
    /// Whether the container may only read it.
    pub read_only: bool,
}

/// A memory file system in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Where it is in the container: an absolute path.
    pub target: Text,
    /// Its most bytes; none means half the memory.
    pub bytes_max: Option<u64>,
}

/// A configuration file in a container, always read-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMount {
    /// The file.
    pub file: FileId,
    /// Where it is in the container: an absolute path.
    pub target: Text,
    /// Its permission bits, at most 0o777.
    pub mode: u16,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// A device node in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The device's path.
    pub source: Text,
    /// The container's path.
    pub target: Text,
    /// Letters of `rwm`: read, write, make.
    pub permissions: Text,
}

/// Resource limits of a container; none means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// CPU time, in thousandths of one CPU.
    pub cpu_milli: Option<u32>,
    /// Relative CPU weight (Compose `cpu_shares`, 2 to 262144).
    pub cpu_shares: Option<u32>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

/// A resource limit of each process (setrlimit(2)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Its name in lower case: `nofile`.
    pub name: Text,
    /// The soft limit.
    pub soft: u64,
    /// The hard limit.
    pub hard: u64,
}

/// What the agent does when a container exits by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Restart {
    /// Nothing.
    No,
    /// Restart it after an exit code other than 0, at most so many times in a row.
    OnFailure {
        /// The most; none means without end.
        max: Option<u32>,
    },
    /// Restart it always (Compose `always` and `unless-stopped`).
    Always,
}

/// Something that must be so before a service starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The other service.
    pub service: ServiceName,
    /// What must be so of it.
    pub condition: Condition,
}

/// What must be so of a service that another depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Condition {
    /// It has been started.
    Started,
    /// Its health check passes.
    Healthy,
    /// It has exited with code 0.
    CompletedSuccessfully,
}

/// How the health of a service is checked; the agent runs it, not the runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What is tried.
    pub probe: Probe,
    /// Milliseconds between two tries.
    pub interval_ms: u32,
    /// Milliseconds that a try may take.
    pub timeout_ms: u32,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// Milliseconds after the start during which failures do not count.
    pub start_period_ms: u32,
}

/// What a health check tries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Probe {
    /// A command in the container; exit code 0 is healthy. Compose `CMD-SHELL` comes as
    /// `/bin/sh -c …`.
    Exec(#[serde(deserialize_with = "list::<_, _, LIST_MAX>")] Vec<Text>),
    /// `GET` on a port of the container; 200 to 399 is healthy.
    Http {
        /// The container's port.
        port: u16,
        /// The path with its query, beginning with `/`.
        path: Text,
    },
    /// A TCP connection to a port of the container.
    Tcp {
        /// The container's port.
        port: u16,
    },
}

/// Bounds of a service's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// Bytes of a log file before it is rotated.
    pub bytes_max: u64,
    /// Log files that are kept, the one being written included.
    pub files_max: u32,
}

/// A named command that an operator may run in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Its name.
    pub name: Text,
    /// The command.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub command: Vec<Text>,
}
