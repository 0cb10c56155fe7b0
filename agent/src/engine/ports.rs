//! What the engine is given: files, machine, runtime, relay.
//!
//! Never falls back from a configured runtime to another one.

use std::rc::Rc;

use runtime_shim::{OpenError, Runtime};

use super::failure;
use super::host::{Host, Machine};
use crate::api::Failure;
use crate::config::Config;
use crate::relay::{HttpRemote, RemoteError, SharedRemote, Way};
use crate::state::vfs::{RealVfs, Vfs};

/// The runtime that is waited for where none is found.
const DEFAULT_RUNTIME: &str = "podman:///run/podman/podman.sock";

/// The ports of an engine.
pub(crate) struct Ports {
    pub(crate) vfs: Rc<dyn Vfs>,
    pub(crate) host: Rc<dyn Host>,
    pub(crate) runtime: Rc<dyn Runtime>,
    pub(crate) dial: Dial,
}

/// Makes the way to a relay; nothing is sent by it.
pub(crate) type Dial = Rc<dyn Fn(Way) -> Result<SharedRemote, RemoteError>>;

impl Ports {
    /// The file system, clock and container runtime of this machine.
    ///
    /// # Errors
    /// [`Failure`] if the configured runtime is none that this agent knows.
    pub(crate) fn of_this_machine(config: &Config) -> Result<Self, Failure> {
        let runtime = match runtime_shim::open(&config.runtime) {
            // It may come later; until then its calls say that it cannot be reached.
            Err(OpenError::NoSocket(_)) => runtime_shim::open(DEFAULT_RUNTIME),
            other => other,
        };
        Ok(Self {
            vfs: Rc::new(RealVfs),
            host: Rc::new(Machine::new()),
            runtime: Rc::from(runtime.map_err(|error| failure::runtime_address(&error))?),
            dial: Rc::new(|way| Ok(Rc::new(HttpRemote::new(way)?))),
        })
    }
}
