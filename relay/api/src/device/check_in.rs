//! The check-in: what a device is and runs, and what it shall run (clauses D30 to D44).

use alloc::string::String;
use alloc::vec::Vec;

use bundle::manifest::AgentVersion;
use bundle::{AppName, Arch, Digest, Label, ServiceName, VariableName, VersionLabel};
use serde::{Deserialize, Serialize};

/// Longest that a relay holds a check-in back, in seconds: proxies on the way close a connection
/// that is silent for a minute.
pub const LONG_POLL_S_MAX: u16 = 55;

/// What a device is and runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckIn {
    /// What it is.
    pub facts: DeviceFacts,
    /// Its apps, by name.
    pub apps: Vec<AppFacts>,
    /// [`Answer::revision`] of the last answer that it has taken in; 0 if there was none.
    pub seen: u64,
    /// How long the relay may hold its answer back while its revision is `seen`, in seconds.
    pub wait_s: u16,
}

/// What a device is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFacts {
    /// The agent's version.
    pub agent: AgentVersion,
    /// The processor.
    pub arch: Arch,
    /// The fleet of its configuration.
    pub fleet: Label,
    /// The class of its configuration.
    pub class: Option<Label>,
    /// Its time zone, an IANA name, if it knows one.
    pub time_zone: Option<String>,
    /// The labels of its configuration.
    pub labels: Vec<(Label, Label)>,
}

/// An app on a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppFacts {
    /// Its name.
    pub app: AppName,
    /// Where it is.
    pub phase: AppPhase,
    /// The committed generation; none before the first, and after a removal.
    pub running: Option<Running>,
    /// `seq` of the generation that it can return to.
    pub previous_seq: Option<u64>,
    /// The services of the committed generation.
    pub services: Vec<ServiceFacts>,
}

/// A committed generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The version of its bundle.
    pub version: VersionLabel,
    /// The `seq` of its bundle.
    pub seq: u64,
    /// The digest of its bundle: SHA-256 of the manifest.
    pub bundle: Digest,
    /// Its number on the device.
    pub generation: u32,
}

/// Where an app is; the words of `agent status --json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppPhase {
    /// The committed generation runs.
    Running,
    /// An update is under way.
    Updating,
    /// A new generation is being watched.
    Trial,
    /// What should run does not.
    Failed,
    /// Nothing should run.
    Stopped,
}

impl AppPhase {
    /// Its word, the same on the device and at the relay.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Updating => "updating",
            Self::Trial => "trial",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// A service of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFacts {
    /// Its name.
    pub service: ServiceName,
    /// The image that its container was made of: the digest of its configuration.
    pub image: Digest,
    /// The container's state.
    pub state: ServiceState,
    /// Whether its health check passes; none without a check, or before the first result.
    pub healthy: Option<bool>,
    /// How often it was restarted after a crash.
    pub restarts: u32,
}

/// A container's state; the words of `agent status --json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceState {
    /// Not started yet.
    Created,
    /// Running.
    Running,
    /// Waiting to be started again.
    Restarting,
    /// It has ended.
    Exited,
}

impl ServiceState {
    /// Its word, the same on the device and at the relay.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
        }
    }
}

/// What the device shall run, and when it shall ask again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The relay's clock: seconds since 1970-01-01 UTC. Unsigned, so only shown.
    pub now: u64,
    /// A number that stands for the rest of this answer; never 0.
    pub revision: u64,
    /// The bundles that the device shall run, at most one for each app. An app that is not named
    /// stays as it is.
    pub desired: Vec<Desired>,
    /// The values of variables that the relay gives, of each app that it gives any: all of them.
    pub variables: Vec<AppVariables>,
    /// How long until the next check-in, in seconds.
    pub interval_s: u32,
    /// How long the device may ask the relay to hold its next answer back, in seconds; 0: not at
    /// all. With a hold, the next check-in follows at once.
    pub long_poll_s: u16,
}

/// A bundle that a device shall run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The app.
    pub app: AppName,
    /// The rollout that wants it. A device tries a bundle once for each rollout, unless what went
    /// wrong may pass: no space, a broken download, a runtime that does not answer.
    pub rollout: u64,
    /// The digest of the bundle: SHA-256 of its manifest.
    pub bundle: Digest,
    /// Its `seq`. A device that has committed a higher one leaves this one alone.
    pub seq: u64,
    /// SHA-256 of the bundle file, also its strong `ETag`.
    pub file: Digest,
    /// Bytes of the bundle file.
    pub file_bytes: u64,
    /// Where it is: an absolute URL, or a path at the relay itself. Requests elsewhere are not
    /// signed.
    pub url: String,
}

/// The relay's values of an app's variables.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppVariables {
    /// The app.
    pub app: AppName,
    /// Names and values, by name.
    pub values: Vec<(VariableName, String)>,
}

impl core::fmt::Debug for AppVariables {
    /// Without the values, which may be secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let names = self.values.iter().map(|(name, _)| name);
        write!(f, "{}: ", self.app)?;
        f.debug_list().entries(names).finish()
    }
}
