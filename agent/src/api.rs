//! What the command line asks of the engine, and what it answers.
//!
//! The same types serve both ways of asking: over the control socket to a running daemon, and
//! in this process where there is none. The views are also what `--json` prints, so their fields
//! are a contract: added, never renamed. Never holds a secret variable's value.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Something asked of the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Verify, stage, switch, try; commit or roll back. Answer: [`Reply::Applied`].
    Apply {
        /// The bundle file, absolute.
        bundle: PathBuf,
    },
    /// What applying would change. Answer: [`Reply::Plan`].
    Plan {
        /// The bundle file, absolute.
        bundle: PathBuf,
    },
    /// The device and its apps. Answer: [`Reply::Status`].
    Status,
    /// The containers on this device. Answer: [`Reply::Containers`].
    Ps,
    /// How updates ended, newest first. Answer: [`Reply::History`].
    History {
        /// Only of this app.
        app: Option<String>,
    },
    /// Lines of logs, as [`Update::Log`]. Answer: [`Reply::Done`].
    Logs {
        /// The app; may be left out where there is only one.
        app: Option<String>,
        /// Only of this service.
        service: Option<String>,
        /// At most so many of the last lines of each service.
        tail: Option<u32>,
        /// None older than this: seconds since 1970-01-01 UTC.
        since: Option<u64>,
        /// Whether to wait for more.
        follow: bool,
    },
    /// Return to the previous generation. Answer: [`Reply::Applied`].
    Rollback {
        /// The app; may be left out where there is only one.
        app: Option<String>,
    },
    /// Stop and remove an app's containers; volumes stay. Answer: [`Reply::Done`].
    Remove {
        /// The app.
        app: String,
    },
    /// Whether this device is fit. Answer: [`Reply::Doctor`].
    Doctor,
    /// Make this device known to a relay. Answer: [`Reply::Enrolled`].
    Enroll {
        /// The relay's address.
        url: String,
        /// The one-time token.
        token: Secret,
        /// The certificates of the relay's authority in PEM; none: the configured or the
        /// system's.
        ca: Option<String>,
    },
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Something on the way to the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Update {
    /// Where an update is.
    Progress(Progress),
    /// A line of a log.
    Log {
        /// The service that wrote it.
        service: String,
        /// `stdout` or `stderr`.
        stream: String,
        /// When, RFC 3339; may be empty.
        at: String,
        /// The line.
        text: String,
    },
}

/// Where an update is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// What it is being done to: a service, an image; may be empty.
    pub what: String,
    /// How much is done, in bytes or milliseconds.
    pub done: u64,
    /// Of how much; 0 if unknown.
    pub total: u64,
}

/// The steps of an update, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Signature, target and digests (bytes).
    Verify,
    /// What the device lacks, from the relay or another server (bytes).
    Fetch,
    /// Images into the runtime (bytes).
    Stage,
    /// Waiting for a lock or a window.
    Wait,
    /// Replacing containers.
    Switch,
    /// Watching the new generation (milliseconds).
    Trial,
    /// Restoring the generation before.
    Rollback,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It is done; there is nothing more to say.
    Done,
    /// How an update ended well.
    Applied(AppliedView),
    /// What would change.
    Plan(PlanView),
    /// The device and its apps.
    Status(StatusView),
    /// The containers.
    Containers(Vec<ContainerView>),
    /// How updates ended.
    History(Vec<HistoryView>),
    /// Whether the device is fit.
    Doctor(Vec<CheckView>),
    /// The device is known to a relay.
    Enrolled(EnrolledView),
}

/// Why a request was not done, for a person and for a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The exit code (`crate::exit`).
    pub code: u8,
    /// One sentence: what is wrong.
    pub message: String,
    /// One sentence: what to do next; may be empty.
    pub hint: String,
}

/// The device is known to a relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolledView {
    /// The device's id.
    pub device: String,
    /// The relay's address.
    pub url: String,
    /// The labels that the token gave it.
    pub labels: BTreeMap<String, String>,
}

/// How an update ended well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedView {
    /// The app.
    pub app: String,
    /// The version that runs now.
    pub version: String,
    /// Its `seq`.
    pub seq: u64,
    /// Its generation.
    pub generation: u32,
    /// The version that ran before.
    pub from: Option<String>,
    /// What happened to each service.
    pub services: Vec<ServiceAction>,
}

/// What would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    /// The app.
    pub app: String,
    /// The version that runs now.
    pub from: Option<String>,
    /// The version of the bundle.
    pub to: String,
    /// Bytes that would be read from the bundle.
    pub fetch_bytes: u64,
    /// Bytes that a device without any of its images and files would read.
    pub full_bytes: u64,
    /// Most further bytes on disk at any moment.
    pub peak_disk_bytes: u64,
    /// What would happen to each service.
    pub services: Vec<ServiceAction>,
    /// What stands against it, in words; empty if nothing does.
    pub blocked_by: Vec<String>,
}

/// What happens to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAction {
    /// Its name.
    pub name: String,
    /// `keep`, `create`, `replace` or `remove`.
    pub action: String,
}

/// The device and its apps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// The device.
    pub device: DeviceView,
    /// The relay.
    pub relay: RelayView,
    /// The apps, by name.
    pub apps: Vec<AppView>,
}

/// The device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceView {
    /// Its id.
    pub id: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// The relay, as the device knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayView {
    /// Its address; none if the device has no relay.
    pub url: Option<String>,
    /// When it last answered, RFC 3339.
    pub last_contact: Option<String>,
    /// How many reports wait until it answers.
    #[serde(default)]
    pub reports_waiting: u32,
    /// Why it could not be spoken to at the last attempt, in words; none if it could.
    #[serde(default)]
    pub error: Option<String>,
}

/// An app on this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppView {
    /// Its name.
    pub app: String,
    /// The committed version; none before the first.
    pub version: Option<String>,
    /// Its `seq`.
    pub seq: Option<u64>,
    /// Its generation.
    pub generation: Option<u32>,
    /// `running`, `updating`, `trial`, `failed` or `stopped`.
    pub state: String,
    /// How the last update ended.
    pub last_update: Option<LastUpdateView>,
    /// Its services.
    pub services: Vec<ServiceView>,
    /// What the device can return to.
    pub previous: Option<PreviousView>,
}

/// How the last update ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUpdateView {
    /// The version that it was about.
    pub version: String,
    /// Its `seq`.
    pub seq: u64,
    /// `committed`, `rolled_back`, `refused` or `failed`.
    pub result: String,
    /// Why, in words; none if it went well.
    pub cause: Option<String>,
    /// When, RFC 3339.
    pub at: String,
}

/// A service of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceView {
    /// Its name.
    pub name: String,
    /// `created`, `running`, `restarting` or `exited`.
    pub state: String,
    /// Whether its health check passes; none without a check, or before the first result.
    pub healthy: Option<bool>,
    /// How often it was restarted after a crash, since its container was created or the agent
    /// was started, whichever is later.
    pub restarts: u32,
    /// The image id: `sha256:` and the configuration's digest.
    pub image_id: String,
    /// When its container was last started, RFC 3339.
    pub started_at: Option<String>,
}

/// What the device can return to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousView {
    /// The version.
    pub version: String,
    /// Its `seq`.
    pub seq: u64,
}

/// A container on this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerView {
    /// Its app.
    pub app: String,
    /// Its service.
    pub service: String,
    /// The generation that created it.
    pub generation: u32,
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// `created`, `running`, `restarting` or `exited`.
    pub state: String,
    /// Whether its health check passes.
    pub healthy: Option<bool>,
    /// How often it was restarted after a crash.
    pub restarts: u32,
    /// The last exit code, if it has exited.
    pub exit_code: Option<i32>,
    /// The image id.
    pub image_id: String,
    /// When it was last started, RFC 3339.
    pub started_at: Option<String>,
}

/// How an update ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryView {
    /// When, RFC 3339.
    pub at: String,
    /// The app.
    pub app: String,
    /// The version.
    pub version: String,
    /// Its `seq`.
    pub seq: u64,
    /// Its generation; none if it was refused.
    pub generation: Option<u32>,
    /// `committed`, `rolled_back`, `refused`, `failed` or `removed`.
    pub result: String,
    /// Why, in words.
    pub cause: Option<String>,
}

/// One thing that `doctor` looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckView {
    /// What.
    pub name: String,
    /// `ok`, `warning` or `failed`.
    pub result: String,
    /// What was found.
    pub found: String,
    /// What to do; may be empty.
    pub hint: String,
}

/// What `verify` found in a bundle that is in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyView {
    /// The app.
    pub app: String,
    /// The version.
    pub version: String,
    /// Its `seq`.
    pub seq: u64,
    /// Its `epoch`.
    pub epoch: u64,
    /// The key ids of the signatures that this device trusts, as minisign writes them.
    pub signers: Vec<String>,
    /// When it was made, RFC 3339.
    pub issued_at: String,
    /// When it expires, RFC 3339; none if never.
    pub not_after: Option<String>,
    /// The architecture that it is for.
    pub arch: String,
    /// The fleet that it is for.
    pub fleet: String,
    /// The device classes that it is for; empty: any.
    pub classes: Vec<String>,
    /// The devices that it is for; empty: any.
    pub devices: Vec<String>,
    /// Whether this device was found to be a target; false with `--any-target`.
    pub target_checked: bool,
    /// How many services it has.
    pub services: u32,
    /// How many images it carries.
    pub images: u32,
    /// How many blobs it carries, each of which was hashed.
    pub blobs: u32,
    /// Bytes of the bundle as a whole.
    pub bundle_bytes: u64,
    /// Bytes of its images and files once unpacked.
    pub plain_bytes: u64,
}
