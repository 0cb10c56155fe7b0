//! The operator's API: JSON over HTTPS below `/api/v1`, for `relay`'s command line and for scripts.
//!
//! Requests carry `Authorization: Bearer TOKEN`. Fields are a contract: added, never renamed.
//! Times are RFC 3339 in UTC; ids of rollouts and audit entries are numbers that grow.
//!
//! | Request | Body → answer |
//! |---|---|
//! | `POST /api/v1/bundles` | the bundle file → 201 [`Published`], 200 if it was there |
//! | `GET /api/v1/releases[?app=A]` | → `[`[`Release`]`]`, newest first |
//! | `GET /api/v1/devices[?selector=S]` | → `[`[`Device`]`]`, by id |
//! | `GET /api/v1/devices/ID` | → [`DeviceDetail`] |
//! | `PATCH /api/v1/devices/ID/labels` | [`LabelChange`] → [`Device`] |
//! | `PATCH /api/v1/devices/ID/variables` | [`VariableChange`] → [`DeviceDetail`] |
//! | `DELETE /api/v1/devices/ID` | → 204 |
//! | `POST /api/v1/rollouts` | [`StartRollout`] → 201 [`Rollout`]; 409 with [`Unfit`] devices |
//! | `GET /api/v1/rollouts[?app=A]` | → `[`[`Rollout`]`]`, newest first |
//! | `GET /api/v1/rollouts/ID` | → [`RolloutDetail`] |
//! | `POST /api/v1/rollouts/ID/abort` | → [`Rollout`] |
//! | `POST /api/v1/enroll-tokens` | [`NewEnrollToken`] → 201 [`EnrollToken`] with its secret |
//! | `GET /api/v1/enroll-tokens`, `DELETE …/ID` | → `[`[`EnrollToken`]`]`, 204 |
//! | `POST /api/v1/tokens` | [`NewToken`] → 201 [`Token`] with its secret |
//! | `GET /api/v1/tokens`, `DELETE …/ID` | → `[`[`Token`]`]`, 204 |
//! | `GET /api/v1/audit[?before=ID&limit=N]` | → `[`[`AuditEntry`]`]`, newest first |
//! | `GET /api/v1/whoami` | → [`Whoami`] |

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// Labels, by name.
pub type Labels = BTreeMap<String, String>;

/// Why a request was not done. The body of every answer with a status of 400 or above, of the
/// device API too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: ErrorInfo,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorInfo {
    /// For programs: one word, such as `token_used`.
    pub code: String,
    /// For people: one sentence.
    pub message: String,
    /// What to do next; may be empty.
    #[serde(default)]
    pub hint: String,
    /// With `unfit`: the devices that the release does not fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unfit: Vec<Unfit>,
}

/// A device that a release does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfit {
    /// The device.
    pub device: String,
    /// Why, in words.
    pub reason: String,
}

/// A bundle that the relay has taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Whether it is new here.
    pub new: bool,
    /// The bundle.
    pub bundle: Bundle,
}

/// A bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The app.
    pub app: String,
    /// The version.
    pub version: String,
    /// Its `seq`.
    pub seq: u64,
    /// Its `epoch`.
    pub epoch: u64,
    /// `sha256:` of its manifest: its identity.
    pub digest: String,
    /// `sha256:` of the file.
    pub file: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// The architecture that it is for.
    pub arch: String,
    /// The fleet that it is for.
    pub fleet: String,
    /// The device classes that it is for; empty: any.
    pub classes: Vec<String>,
    /// The devices that it is for; empty: any.
    pub devices: Vec<String>,
    /// When it was made.
    pub issued_at: String,
    /// When it expires.
    pub not_after: Option<String>,
    /// The ids of the keys that it says it is signed by.
    pub keys: Vec<String>,
    /// When it was published.
    pub published_at: String,
    /// By whom.
    pub published_by: String,
}

/// The bundles of one app and version, one for each target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The app.
    pub app: String,
    /// The version.
    pub version: String,
    /// Its bundles.
    pub bundles: Vec<Bundle>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its id.
    pub id: String,
    /// Its labels: those of its configuration, then those of its token, then those that operators
    /// gave it, which win.
    pub labels: Labels,
    /// When it last checked in; none if it never has.
    pub last_seen: Option<String>,
    /// What it runs, by app, and what it shall run.
    pub apps: Vec<DeviceApp>,
    /// When it was enrolled.
    pub enrolled_at: String,
    /// The architecture.
    pub arch: String,
    /// The fleet.
    pub fleet: String,
    /// The class.
    pub class: Option<String>,
    /// The agent's version.
    pub agent: String,
    /// Its time zone.
    pub time_zone: Option<String>,
}

/// An app on a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceApp {
    /// The app.
    pub app: String,
    /// The version that it runs; none if it runs none.
    pub version: Option<String>,
    /// Its `seq`.
    pub seq: Option<u64>,
    /// `sha256:` of its manifest.
    pub bundle: Option<String>,
    /// Its generation.
    pub generation: Option<u32>,
    /// `running`, `updating`, `trial`, `failed`, `stopped`; `pending` if the device has not said
    /// anything about it yet.
    pub state: String,
    /// What it shall run; none if no rollout wants anything.
    pub wanted: Option<Wanted>,
    /// Its services.
    pub services: Vec<DeviceService>,
}

/// What a device shall run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The version.
    pub version: String,
    /// Its `seq`.
    pub seq: u64,
    /// The rollout that wants it.
    pub rollout: u64,
    /// `pending`, `succeeded`, `failed`.
    pub state: String,
    /// Why it failed, in words.
    pub cause: Option<String>,
}

/// A service on a device, with the fields of `agent status --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceService {
    /// Its name.
    pub name: String,
    /// `created`, `running`, `restarting` or `exited`.
    pub state: String,
    /// Whether its health check passes.
    pub healthy: Option<bool>,
    /// How often it was restarted after a crash.
    pub restarts: u32,
    /// `sha256:` of the image's configuration.
    pub image_id: String,
}

/// A device and what happened on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceDetail {
    /// The device.
    #[serde(flatten)]
    pub device: Device,
    /// The values that the relay gives, app by app; secret ones as `(secret)` where the schema
    /// says so.
    pub variables: BTreeMap<String, BTreeMap<String, String>>,
    /// What it reported last, newest first, at most 50.
    pub events: Vec<DeviceEvent>,
}

/// Something that a device reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceEvent {
    /// When, by the device's clock.
    pub at: String,
    /// When the relay learnt of it.
    pub received_at: String,
    /// The app.
    pub app: String,
    /// `update`, `exited` or `health`.
    pub kind: String,
    /// In words.
    pub summary: String,
    /// Of an update: `committed`, `rolled_back`, `failed`, `rollback_failed`, `refused`, `removed`.
    pub result: Option<String>,
    /// Of an update: the version.
    pub version: Option<String>,
    /// Of an update: the rollout that wanted it; none if somebody on site did.
    pub rollout: Option<u64>,
    /// Why it did not go well.
    pub cause: Option<String>,
    /// Of an update that failed: how its containers ended and what they wrote last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<EvidenceView>,
}

/// How a container of a failed version ended, and what it wrote last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceView {
    /// Its service.
    pub service: String,
    /// Its exit code; none if it still ran.
    pub exit_code: Option<i32>,
    /// Its last lines, oldest first.
    pub lines: Vec<String>,
}

/// A change of the labels that operators gave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelChange {
    /// Labels to set.
    #[serde(default)]
    pub set: Labels,
    /// Labels to take away.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// A change of the variables that the relay gives.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariableChange {
    /// Values to set: app → name → value.
    #[serde(default)]
    pub set: BTreeMap<String, BTreeMap<String, String>>,
    /// Values to take away: app and name.
    #[serde(default)]
    pub remove: Vec<(String, String)>,
}

/// A rollout to start: of the release of an app and version, or of one bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRollout {
    /// The app.
    pub app: String,
    /// The version.
    pub version: String,
    /// The devices: a selector, see `docs/relay-cli.md`.
    pub to: String,
    /// Leave devices out that the release does not fit, instead of refusing.
    #[serde(default)]
    pub skip_unfit: bool,
}

/// A rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Its id.
    pub id: u64,
    /// The app.
    pub app: String,
    /// The version.
    pub version: String,
    /// Its devices.
    pub to: String,
    /// `running`, `paused`, `succeeded`, `failed` or `reverted`.
    pub state: String,
    /// Why it is not running or succeeded, in words.
    pub cause: Option<String>,
    /// When it was started.
    pub started_at: String,
    /// By whom.
    pub started_by: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Its stages.
    pub stages: Vec<Stage>,
}

/// A stage of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// As of a rollout.
    pub state: String,
    /// How many devices it is for.
    pub targets: u64,
    /// How many run it, after their trial.
    pub healthy: u64,
    /// On how many it failed.
    pub failed: u64,
    /// Of how many nothing is known yet.
    pub pending: u64,
}

/// A rollout, device by device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutDetail {
    /// The rollout.
    #[serde(flatten)]
    pub rollout: Rollout,
    /// Its devices.
    pub devices: Vec<RolloutDevice>,
}

/// A device of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutDevice {
    /// Its id.
    pub id: String,
    /// `pending`, `succeeded`, `failed`.
    pub state: String,
    /// Why it failed, in words.
    pub cause: Option<String>,
    /// Since when.
    pub at: String,
}

/// An enrolment token to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEnrollToken {
    /// The labels of the device that uses it.
    #[serde(default)]
    pub labels: Labels,
    /// How long it can be used, in seconds.
    pub ttl_s: u64,
}

/// An enrolment token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollToken {
    /// Its id.
    pub id: u64,
    /// The token itself: told once, when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The labels of the device that uses it.
    pub labels: Labels,
    /// `open`, `used`, `expired` or `revoked`.
    pub state: String,
    /// The device that used it.
    pub device: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// By whom.
    pub created_by: String,
    /// Until when it can be used.
    pub expires_at: String,
}

/// An operator's token to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewToken {
    /// Who will use it.
    pub name: String,
    /// How long it can be used, in seconds.
    pub ttl_s: u64,
}

/// An operator's token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its id.
    pub id: u64,
    /// Who uses it.
    pub name: String,
    /// The token itself: told once, when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// `open`, `expired` or `revoked`.
    pub state: String,
    /// When it was made.
    pub created_at: String,
    /// Until when it can be used.
    pub expires_at: String,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whoami {
    /// The name of the token.
    pub name: String,
    /// Until when it can be used.
    pub expires_at: String,
    /// The relay's version.
    pub relay: String,
}

/// Something that somebody did, or was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number, from 1.
    pub id: u64,
    /// When.
    pub at: String,
    /// Who: an operator's name, `device ID`, `relay` itself, or `nobody` if it did not say.
    pub who: String,
    /// What: `publish`, `rollout.start`, `device.label`, …
    pub action: String,
    /// On what: an app and version, a device, a token's id.
    pub on: String,
    /// More about it; may be empty.
    pub detail: String,
    /// `done`, `refused` or `failed`.
    pub result: String,
    /// From where: the address of the peer.
    pub from: String,
}
