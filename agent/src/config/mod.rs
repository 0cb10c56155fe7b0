//! The agent's configuration: command line, then environment, then files, then defaults.
//!
//! [`keys`] is the table of what can be configured, [`load()`] reads the layers. Never writes, and
//! never prints the value of a variable, which may be a secret.

mod error;
mod identity;
mod keys;
mod load;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use bundle::{DeviceId, Label};
use log::LevelFilter;

pub use error::{ConfigError, Origin};
pub use keys::{KEYS, Key};
pub use load::{Layers, load};

/// What the agent was told, with the defaults for the rest. `docs/agent.toml.md` is its reference.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the agent keeps what it must remember.
    pub state_dir: PathBuf,
    /// The folder of the release keys, `*.pub`.
    pub keys_dir: PathBuf,
    /// The container runtime, `podman:///path.sock`; empty: whichever answers.
    pub runtime: String,
    /// The socket on which the daemon takes requests.
    pub control_socket: PathBuf,
    /// The relay's address; none: the one of the enrolment.
    pub relay: Option<String>,
    /// The certificates of the relay's authority; none: those of the enrolment, else the system's.
    pub relay_ca: Option<PathBuf>,
    /// HTTP proxy on the way to the relay; none: the environment's.
    pub proxy: Option<String>,
    /// Most bytes a second of all downloads together.
    pub rate_max: Option<u64>,
    /// Most bytes of download in a month; no effect yet.
    pub byte_budget_month: Option<u64>,
    /// What this device is, for people and for selectors.
    pub labels: BTreeMap<String, String>,
    /// The least important messages that the daemon logs.
    pub log_level: LevelFilter,
    /// This device's id as configured; [`Config::device`] knows the defaults too.
    pub device_id: Option<DeviceId>,
    /// The fleet that bundles must be for.
    pub fleet: Label,
    /// The class of this device.
    pub device_class: Option<Label>,
    /// The device's own policy: what bundles may ask for.
    pub policy_file: PathBuf,
    /// The device's time zone, an IANA name; none: the system's.
    pub time_zone: Option<String>,
    /// This device's values of the apps' variables: app → name → value.
    pub variables: BTreeMap<String, BTreeMap<String, String>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/coracle".into(),
            keys_dir: "/etc/coracle/keys".into(),
            runtime: String::new(),
            control_socket: "/run/coracle/agent.sock".into(),
            relay: None,
            relay_ca: None,
            proxy: None,
            rate_max: None,
            byte_budget_month: None,
            labels: BTreeMap::new(),
            log_level: LevelFilter::Info,
            device_id: None,
            fleet: default_fleet(),
            device_class: None,
            policy_file: "/etc/coracle/policy.toml".into(),
            time_zone: None,
            variables: BTreeMap::new(),
        }
    }
}

/// The fleet of a device, and of a bundle, that nobody put into another.
#[allow(clippy::expect_used, reason = "a constant that the tests check")]
fn default_fleet() -> Label {
    Label::new("default").expect("`default` is a label")
}

impl Config {
    /// This device's id: as configured, else from the machine id, the device tree's serial
    /// number or the host name.
    ///
    /// # Errors
    /// [`ConfigError::NoDeviceId`] if the machine has none of them.
    pub fn device(&self) -> Result<DeviceId, ConfigError> {
        match &self.device_id {
            Some(id) => Ok(id.clone()),
            None => identity::derive(&identity::Machine::this()).ok_or(ConfigError::NoDeviceId),
        }
    }
}

impl fmt::Debug for Config {
    /// Without the values of variables, and without the proxy, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("state_dir", &self.state_dir)
            .field("keys_dir", &self.keys_dir)
            .field("runtime", &self.runtime)
            .field("control_socket", &self.control_socket)
            .field("relay", &self.relay)
            .field("labels", &self.labels)
            .field("log_level", &self.log_level)
            .field("device_id", &self.device_id)
            .field("fleet", &self.fleet)
            .field("device_class", &self.device_class)
            .field("policy_file", &self.policy_file)
            .field("time_zone", &self.time_zone)
            .finish_non_exhaustive()
    }
}
